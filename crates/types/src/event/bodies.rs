//! What events say, type by type.

use super::TaskPatch;
use crate::error::TaskError;
use crate::id::TaskId;
use crate::json::Json;
use crate::state::State;
use crate::step::OnUnknown;
use crate::task::{ForkedFrom, PauseReason, Progress, TaskSpec};
use crate::time::Timestamp;
use crate::wait::{Cause, Wait};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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
