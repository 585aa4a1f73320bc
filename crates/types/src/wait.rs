//! What a suspended task waits for.

use crate::id::TaskId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A tree of conditions. The ids are the step keys of the waits, so that a replay asks for the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wait {
    /// All of these.
    All(Vec<Wait>),
    /// Any of these.
    Any(Vec<Wait>),
    /// A point in time.
    Timer {
        /// When.
        at: Timestamp,
        /// Step key of the wait.
        id: String,
    },
    /// An input of this name that the task has not taken.
    Input {
        /// Step key of the wait.
        id: String,
        /// Name of the input.
        name: String,
    },
    /// A decision about this request.
    Decision {
        /// Step key of the wait, and id of the request.
        id: String,
    },
    /// The end of a child.
    Child {
        /// Step key of the wait.
        id: String,
        /// The child.
        task: TaskId,
    },
}

/// What made a wait end, in the words of `task.ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// `not_before` or a deadline of a wait has come.
    Time,
    /// The delay before the next try is over.
    Retry,
    /// The prerequisites have ended.
    Dependency,
    /// A timer of the task has fired.
    Timer,
    /// An input has come.
    Input,
    /// A decision has been made.
    Decision,
    /// A child has ended.
    Child,
}

impl Wait {
    /// Whether the condition holds, given a test for its leaves; and if so, the leaf that a reader would name as the cause.
    pub fn satisfied<'a>(&'a self, holds: &dyn Fn(&Wait) -> bool) -> Option<&'a Wait> {
        match self {
            Self::All(parts) => {
                let mut last = None;
                for part in parts {
                    last = Some(part.satisfied(holds)?);
                }
                // A wait for nothing is over.
                Some(last.unwrap_or(self))
            }
            Self::Any(parts) => parts.iter().find_map(|part| part.satisfied(holds)),
            Self::Timer { .. } | Self::Input { .. } | Self::Decision { .. } | Self::Child { .. } => {
                holds(self).then_some(self)
            }
        }
    }

    /// The leaf's cause and id. A wait for all of nothing counts as time.
    pub fn cause(&self) -> (Cause, Option<&str>) {
        match self {
            Self::All(_) | Self::Any(_) => (Cause::Time, None),
            Self::Timer { id, .. } => (Cause::Timer, Some(id)),
            Self::Input { id, .. } => (Cause::Input, Some(id)),
            Self::Decision { id } => (Cause::Decision, Some(id)),
            Self::Child { id, .. } => (Cause::Child, Some(id)),
        }
    }

    /// Visits every leaf.
    pub fn leaves<'a>(&'a self, visit: &mut dyn FnMut(&'a Wait)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.leaves(visit)),
            Self::Timer { .. } | Self::Input { .. } | Self::Decision { .. } | Self::Child { .. } => {
                visit(self)
            }
        }
    }

    /// The earliest timer, when there is one: what the timer row of a waiting task says.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        self.leaves(&mut |leaf| {
            if let Self::Timer { at, .. } = leaf {
                next = Some(next.map_or(*at, |other| other.min(*at)));
            }
        });
        next
    }
}
