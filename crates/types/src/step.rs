//! Steps: their identity and what to do when one was cut off.

use serde::{Deserialize, Serialize};

/// The member of an MCP call's `_meta` that makes its repetition known, as the header `Idempotency-Key` does: messages over
/// standard input have no headers.
pub const IDEMPOTENCY_META: &str = "everloop/idempotency-key";

/// What to do about a step that was started and whose outcome is unknown because its attempt was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Run it again with the same idempotency key.
    #[default]
    Rerun,
    /// Ask the function that the executor has for it whether it happened; a person where it has none or nobody knows.
    Verify,
    /// Let a person decide.
    Ask,
    /// End the task with `outcome_unknown`.
    Fail,
}

impl OnUnknown {
    /// Whether `step.started` has to be durable before the effect.
    pub fn needs_start(self) -> bool {
        match self {
            Self::Rerun => false,
            Self::Verify | Self::Ask | Self::Fail => true,
        }
    }
}

/// The identity of a step within its task: `scope/name#occurrence`, or the caller's own key in place of the occurrence.
///
/// The scope is the path of the branch and is left out for the root; one logical thread owns a scope, so counting the
/// occurrences of a name within it cannot depend on scheduling.
pub fn step_key(scope: &str, name: &str, occurrence: impl std::fmt::Display) -> String {
    if scope.is_empty() { format!("{name}#{occurrence}") } else { format!("{scope}/{name}#{occurrence}") }
}
