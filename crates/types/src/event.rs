//! Events: the envelope that is hashed and the bodies that it carries.
//!
//! Bodies are structs whose fields stand in the order of their names, so that serialising one gives canonical JSON: a test
//! in `journal` holds every body to that. A new field of a body is optional; any other change is a new `body_v`, and
//! [`EventBody::read`] upcasts the old ones.

use crate::error::TaskError;
use crate::id::{TaskId, TenantId};
use crate::json::Json;
use crate::state::State;
use crate::step::OnUnknown;
use crate::stream::StreamName;
use crate::task::{ForkedFrom, PauseReason, Policy, Progress, TaskSpec};
use crate::time::Timestamp;
use crate::wait::{Cause, Wait};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Version of the envelope.
pub const ENVELOPE_VERSION: u32 = 1;

/// Who an event comes from when no person or worker does.
pub const SYSTEM: &str = "system";

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Random bytes that keep a digest from giving away its data.
pub type Salt = [u8; 16];

/// The head of a stream: what the next event is linked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last event; 0 before the first one.
    pub seq: u64,
    /// Its hash; before the first event the one that the stream's name gives.
    pub hash: Hash,
    /// Its time.
    pub ts: Timestamp,
}

/// An event as it is stored and served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Version of the envelope.
    pub v: u32,
    /// Whose it is.
    pub tenant: TenantId,
    /// The stream that it stands in.
    pub stream: StreamName,
    /// Its number in the stream, from 1 without gaps.
    pub seq: u64,
    /// When it was written; never before the event before it.
    pub ts: Timestamp,
    /// Its type.
    pub kind: Cow<'static, str>,
    /// Version of its body.
    pub body_v: u32,
    /// Who caused it: `usr_…`, `wkr_…` or `system`.
    pub actor: String,
    /// A W3C trace context, when there was one.
    pub trace: Option<String>,
    /// `SHA-256(salt ‖ data)`.
    pub data_hash: Hash,
    /// `SHA-256(hash of the event before ‖ canonical envelope)`.
    pub hash: Hash,
    /// Salt and data; none where they were erased or folded.
    pub payload: Option<Payload>,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Goes with the data.
    pub salt: Salt,
    /// Canonical JSON.
    pub data: Json,
}

impl Event {
    /// Reads the body, upcasting old versions; none where the payload is gone.
    ///
    /// # Errors
    /// If the data is not of the form that its type and version have.
    pub fn body(&self) -> Result<Option<EventBody>, BodyError> {
        self.payload
            .as_ref()
            .map(|payload| EventBody::read(&self.kind, self.body_v, &payload.data))
            .transpose()
    }

    /// Whether no event follows this one in a task's stream.
    pub fn is_terminal(&self) -> bool {
        is_terminal(&self.kind)
    }
}

/// Whether an event of this type ends a task's stream.
pub fn is_terminal(kind: &str) -> bool {
    matches!(kind, "task.completed" | "task.failed" | "task.cancelled")
}

/// Why data is not the body that its type promises.
#[derive(Debug, thiserror::Error)]
#[error("the data of a {kind} event (body_v {body_v}) can't be read: {source}")]
pub struct BodyError {
    /// Type of the event.
    pub kind: String,
    /// Version of its body.
    pub body_v: u32,
    /// What serde said.
    pub source: serde_json::Error,
}

/// Level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For whoever debugs the executor.
    Debug,
    /// For whoever watches.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// How an attempt was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostReason {
    /// Its worker was not heard from, or its server went down.
    Expired,
    /// Its worker gave it back.
    HandedBack,
}

macro_rules! bodies {
    ($($(#[doc = $doc:literal])* $name:ident = $kind:literal { $($(#[$meta:meta])* $field:ident : $ty:ty),* $(,)? })*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$meta])* pub $field: $ty,)* }

            impl From<$name> for EventBody {
                fn from(body: $name) -> Self { Self::$name(body) }
            }
        )*

        /// What an event says, by its type.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum EventBody {
            /// `task.submitted`: the whole request.
            Submitted(Box<TaskSpec>),
            $($(#[doc = $doc])* $name($name),)*
            /// `custom.<name>`: an executor's own.
            Custom {
                /// What follows `custom.`.
                name: String,
                /// Anything.
                data: Json,
            },
        }

        impl EventBody {
            /// Every type of event but the custom ones.
            pub const KINDS: &'static [&'static str] = &["task.submitted", $($kind,)*];

            /// The type of the event.
            pub fn kind(&self) -> Cow<'static, str> {
                match self {
                    Self::Submitted(_) => Cow::Borrowed("task.submitted"),
                    $(Self::$name(_) => Cow::Borrowed($kind),)*
                    Self::Custom { name, .. } => Cow::Owned(format!("custom.{name}")),
                }
            }

            /// The canonical data.
            ///
            /// # Errors
            /// None that a body built from valid parts can cause.
            pub fn data(&self) -> Result<Json, serde_json::Error> {
                let text = match self {
                    Self::Submitted(body) => serde_json::to_string(body)?,
                    $(Self::$name(body) => serde_json::to_string(body)?,)*
                    Self::Custom { data, .. } => return Ok(data.clone()),
                };
                Json::from_canonical(text)
            }

            /// Reads the data of an event of this type.
            ///
            /// # Errors
            /// If the data is not of the form that the type and version have, or nobody knows the type.
            pub fn read(kind: &str, body_v: u32, data: &Json) -> Result<Self, BodyError> {
                use serde::de::Error;
                let read = || match (kind, body_v) {
                    ("task.submitted", 1) => data.parse().map(|body| Self::Submitted(Box::new(body))),
                    $(($kind, 1) => data.parse().map(Self::$name),)*
                    (_, 1) => match kind.strip_prefix("custom.") {
                        Some(name) => Ok(Self::Custom { name: name.to_owned(), data: data.clone() }),
                        None => Err(serde_json::Error::custom("unknown type of event: a newer Everloop wrote it")),
                    },
                    (_, _) => Err(serde_json::Error::custom("unknown body_v: a newer Everloop wrote it")),
                };
                read().map_err(|source| BodyError { kind: kind.to_owned(), body_v, source })
            }
        }
    };
}

impl EventBody {
    /// The value that it carries for somebody, with the name of its field: the one that may be the name of a blob.
    pub fn value(&self) -> Option<(&'static str, &Json)> {
        match self {
            Self::Submitted(spec) => spec.input.as_ref().map(|input| ("input", input)),
            Self::StepCompleted(step) => Some(("result", &step.result)),
            Self::Input(input) => Some(("data", &input.data)),
            Self::ApprovalDecision(answer) => answer.result.as_ref().map(|result| ("result", result)),
            Self::Completed(end) => Some(("result", &end.result)),
            _ => None,
        }
    }

    /// The same value, to be replaced.
    pub fn value_mut(&mut self) -> Option<&mut Json> {
        match self {
            Self::Submitted(spec) => spec.input.as_mut(),
            Self::StepCompleted(step) => Some(&mut step.result),
            Self::Input(input) => Some(&mut input.data),
            Self::ApprovalDecision(answer) => answer.result.as_mut(),
            Self::Completed(end) => Some(&mut end.result),
            _ => None,
        }
    }
}

bodies! {
    /// `task.ready`: back in the queue.
    Ready = "task.ready" {
        /// What made it so.
        cause: Cause,
        /// Step key of the wait that ended.
        #[serde(default, skip_serializing_if = "Option::is_none")] id: Option<String>,
    }
    /// `task.started`: a worker has claimed it.
    Started = "task.started" {
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Version of the executor that runs it.
        #[serde(default, skip_serializing_if = "Option::is_none")] kind_version: Option<u32>,
        /// Who.
        worker: String,
    }
    /// `task.progress`.
    Progressed = "task.progress" {
        /// How many are done.
        #[serde(default, skip_serializing_if = "Option::is_none")] done: Option<u64>,
        /// What is being done.
        #[serde(default, skip_serializing_if = "Option::is_none")] note: Option<String>,
        /// How many there are.
        #[serde(default, skip_serializing_if = "Option::is_none")] total: Option<u64>,
    }
    /// `task.updated`: somebody changed it.
    Updated = "task.updated" {
        /// The fields that changed, with their new values.
        fields: TaskPatch,
    }
    /// `log`: a line or a chunk of output.
    Log = "log" {
        /// The bytes, where they are not UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")] base64: Option<String>,
        /// How much it matters.
        level: Level,
        /// Where the chunk begins in its source, in bytes.
        offset: u64,
        /// `stdout`, `stderr` or the executor's own.
        source: String,
        /// The text.
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
    }
    /// `step.started`: a step whose outcome must not be guessed is about to act.
    StepStarted = "step.started" {
        /// When.
        at: Timestamp,
        /// Version of the code that runs it.
        #[serde(default, skip_serializing_if = "Option::is_none")] code_version: Option<String>,
        /// SHA-256 of the canonical arguments.
        intent: String,
        /// What kind of step.
        kind: String,
        /// What to do if the outcome is never recorded.
        on_unknown: OnUnknown,
        /// Its identity.
        step: String,
    }
    /// `step.completed`: the outcome that every replay gets.
    StepCompleted = "step.completed" {
        /// The attempt that ran it.
        attempt: u32,
        /// Version of the code that ran it.
        #[serde(default, skip_serializing_if = "Option::is_none")] code_version: Option<String>,
        /// SHA-256 of the canonical arguments.
        intent: String,
        /// What kind of step.
        kind: String,
        /// What it gave.
        result: Json,
        /// When it began.
        started_at: Timestamp,
        /// Its identity.
        step: String,
    }
    /// `step.failed`: a try of a step failed; without `next_at` for good, and then that is what every replay gets.
    StepFailed = "step.failed" {
        /// How.
        error: TaskError,
        /// SHA-256 of the canonical arguments.
        intent: String,
        /// What kind of step.
        kind: String,
        /// When it is tried again.
        #[serde(default, skip_serializing_if = "Option::is_none")] next_at: Option<Timestamp>,
        /// Its identity.
        step: String,
        /// Which try of the step, from 1.
        r#try: u32,
    }
    /// `task.waiting`: the attempt has ended, the task waits.
    Waiting = "task.waiting" {
        /// What for.
        r#for: Wait,
    }
    /// `task.input`: something was sent to the task.
    Input = "task.input" {
        /// What.
        data: Json,
        /// Its id.
        id: String,
        /// For whom in the task.
        name: String,
    }
    /// `task.input_taken`: a step took an input, decision or child's end.
    InputTaken = "task.input_taken" {
        /// Id of the input.
        id: String,
        /// The step.
        step: String,
    }
    /// `approval.requested`: a person is asked.
    ApprovalRequested = "approval.requested" {
        /// Words that may be answered.
        choices: Vec<String>,
        /// What whoever decides should see.
        #[serde(default, skip_serializing_if = "Option::is_none")] details: Option<Json>,
        /// Its id: the key of the step that asks.
        id: String,
        /// The question.
        prompt: String,
    }
    /// `approval.decision`: the answer.
    ApprovalDecision = "approval.decision" {
        /// The word.
        decision: String,
        /// What was asked.
        id: String,
        /// Why, in the words of whoever decided.
        #[serde(default, skip_serializing_if = "Option::is_none")] note: Option<String>,
        /// A value that belongs to the decision.
        #[serde(default, skip_serializing_if = "Option::is_none")] result: Option<Json>,
    }
    /// `task.pausing`: it shall stop at the next step.
    Pausing = "task.pausing" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")] reason: Option<String>,
    }
    /// `task.paused`.
    Paused = "task.paused" {
        /// Why, and both sides of a mismatch.
        #[serde(default, skip_serializing_if = "Option::is_none")] details: Option<Json>,
        /// Why, in a word.
        reason: String,
    }
    /// `task.resumed`.
    Resumed = "task.resumed" {
        /// The state that it is in now.
        state: State,
    }
    /// `task.cancelling`: its worker was told to give up.
    Cancelling = "task.cancelling" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")] reason: Option<String>,
    }
    /// `task.cancelled`.
    Cancelled = "task.cancelled" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")] reason: Option<String>,
        /// Inputs that nobody took.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] unconsumed: Vec<String>,
    }
    /// `task.retry_scheduled`: a try failed and there will be another one.
    RetryScheduled = "task.retry_scheduled" {
        /// When.
        at: Timestamp,
        /// How the try failed.
        error: TaskError,
    }
    /// `task.lease_lost`: the attempt is over without an end.
    LeaseLost = "task.lease_lost" {
        /// Which one.
        attempt: u32,
        /// How.
        reason: LostReason,
    }
    /// `task.child`: a child has ended.
    Child = "task.child" {
        /// How it ended.
        state: State,
        /// The step that started it.
        #[serde(default, skip_serializing_if = "Option::is_none")] step: Option<String>,
        /// Which one.
        task: TaskId,
    }
    /// `task.forked`: the task begins with a prefix of another one.
    Forked = "task.forked" {
        /// Which one, and up to where.
        from: ForkedFrom,
    }
    /// `task.completed`.
    Completed = "task.completed" {
        /// The task that goes on for this one.
        #[serde(default, skip_serializing_if = "Option::is_none")] continued_as: Option<TaskId>,
        /// What it gave.
        result: Json,
        /// Inputs that nobody took.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] unconsumed: Vec<String>,
    }
    /// `task.failed`.
    Failed = "task.failed" {
        /// How.
        error: TaskError,
        /// Inputs that nobody took.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] unconsumed: Vec<String>,
    }
    /// `digest`: what the chain had come to.
    Digest = "digest" {
        /// Hash of the event before.
        hash: String,
        /// Its number.
        upto_seq: u64,
    }
    /// `task.deleted`, in the audit stream: a whole stream is gone.
    TaskDeleted = "task.deleted" {
        /// Hash of its last event.
        hash: String,
        /// Number of its last event.
        last_seq: u64,
        /// `requested` or `retention`.
        reason: String,
        /// Which one.
        task: TaskId,
    }
    /// `stream.folded`, in the audit stream: payloads of logs and partial output are gone.
    StreamFolded = "stream.folded" {
        /// Numbers of the events without payload, as `first-last` ranges.
        ranges: Vec<String>,
        /// Which one.
        stream: String,
    }
    /// `stream.trimmed`, in the audit stream: events are gone up to an anchor.
    StreamTrimmed = "stream.trimmed" {
        /// Hash of the event `upto_seq`.
        hash: String,
        /// Which one.
        stream: String,
        /// The last event that is gone.
        upto_seq: u64,
    }
    /// `audit.segment`: the first event of an audit stream's next segment.
    AuditSegment = "audit.segment" {
        /// Hash of the last segment's last event; absent in the first segment.
        #[serde(default, skip_serializing_if = "Option::is_none")] hash: Option<String>,
        /// The last segment; absent in the first one.
        #[serde(default, skip_serializing_if = "Option::is_none")] previous: Option<String>,
    }
}

/// Fields of a task that may change while it lives. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskPatch {
    /// New description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New labels, in place of all old ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// New metadata, in place of the old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New policy, in place of the old: priority, deadline, retry and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// New title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl TaskPatch {
    /// Puts the new values in place.
    pub fn apply(&self, spec: &mut TaskSpec) {
        if let Some(description) = &self.description {
            spec.description = Some(description.clone());
        }
        if let Some(labels) = &self.labels {
            spec.labels = labels.clone();
        }
        if let Some(metadata) = &self.metadata {
            spec.metadata = Some(metadata.clone());
        }
        if let Some(name) = &self.name {
            spec.name = Some(name.clone());
        }
        if let Some(policy) = &self.policy {
            spec.policy = policy.clone();
        }
        if let Some(title) = &self.title {
            spec.title = Some(title.clone());
        }
    }
}

impl From<Progress> for Progressed {
    fn from(p: Progress) -> Self {
        Self { done: p.done, note: p.note, total: p.total }
    }
}

impl From<PauseReason> for Paused {
    fn from(p: PauseReason) -> Self {
        Self { details: p.details, reason: p.reason }
    }
}

/// Upper-case names of the catalogue, and the dotted types that they stand for. Accepted wherever a type is a filter.
pub const ALIASES: &[(&str, &str)] = &[
    ("WORKFLOW_STARTED", "task.started"),
    ("WORKFLOW_COMPLETED", "task.completed"),
    ("WORKFLOW_FAILED", "task.failed"),
    ("WORKFLOW_PAUSING", "task.pausing"),
    ("WORKFLOW_PAUSED", "task.paused"),
    ("WORKFLOW_RESUMED", "task.resumed"),
    ("WORKFLOW_CANCELLING", "task.cancelling"),
    ("WORKFLOW_CANCELLED", "task.cancelled"),
    ("ERROR_OCCURRED", "step.failed"),
    ("PROGRESS", "task.progress"),
    ("APPROVAL_REQUESTED", "approval.requested"),
    ("APPROVAL_DECISION", "approval.decision"),
];

/// A filter of types: `task.completed`, `step.*`, or a name of [`ALIASES`]; a list of them matches what any matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeFilter {
    /// Exact types.
    pub exact: Vec<String>,
    /// Beginnings of types, with the dot.
    pub prefixes: Vec<String>,
}

impl TypeFilter {
    /// Reads a comma list.
    ///
    /// # Errors
    /// The item that is neither a dotted type, nor a prefix with `.*`, nor a known upper-case name.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let dotted = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
            if let Some((_, kind)) = ALIASES.iter().find(|(alias, _)| *alias == item) {
                filter.exact.push((*kind).to_owned());
            } else if let Some(prefix) = item.strip_suffix('*') {
                if !prefix.ends_with('.') || !prefix.chars().all(dotted) {
                    return Err(item.to_owned());
                }
                filter.prefixes.push(prefix.to_owned());
            } else if item.chars().all(dotted) {
                filter.exact.push(item.to_owned());
            } else {
                return Err(item.to_owned());
            }
        }
        Ok(filter)
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    /// Whether it lets this type through.
    pub fn matches(&self, kind: &str) -> bool {
        self.is_empty()
            || self.exact.iter().any(|exact| exact == kind)
            || self.prefixes.iter().any(|prefix| kind.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_types_prefixes_and_catalogue_names() {
        let filter = TypeFilter::parse("step.*, WORKFLOW_FAILED,custom.mock").unwrap();
        for (kind, matches) in [
            ("step.completed", true),
            ("task.failed", true),
            ("custom.mock", true),
            ("custom.mocks", false),
            ("steps", false),
        ] {
            assert_eq!(filter.matches(kind), matches, "{kind}");
        }
        assert!(TypeFilter::parse("").unwrap().matches("log"));
        for bad in ["TOOL", "a b", "*", "task*", "Task.x"] {
            assert_eq!(TypeFilter::parse(bad), Err(bad.to_owned()));
        }
    }

    #[test]
    fn every_alias_names_a_type_that_exists() {
        for (alias, kind) in ALIASES {
            assert!(EventBody::KINDS.contains(kind), "{alias}");
        }
    }
}
