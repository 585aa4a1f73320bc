//! The JSON Schema of what lives in `types`, which knows nothing of schemas. These twins are never built; a test holds each
//! against what its original writes.

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

mod null;

pub(crate) use null::not_null;

/// The id of a task: `task_` and 26 characters.
#[derive(JsonSchema, Serialize)]
pub struct TaskId(#[schemars(regex(pattern = "^task_[0-7][0-9a-hjkmnp-tv-z]{25}$"))] pub String);

/// The id of a worker: `wkr_` and 26 characters.
#[derive(JsonSchema, Serialize)]
pub struct WorkerId(#[schemars(regex(pattern = "^wkr_[0-7][0-9a-hjkmnp-tv-z]{25}$"))] pub String);

/// The id of a session: `ses_` and 26 characters.
#[derive(JsonSchema, Serialize)]
pub struct SessionId(#[schemars(regex(pattern = "^ses_[0-7][0-9a-hjkmnp-tv-z]{25}$"))] pub String);

/// The id of a tenant: `ten_` and 26 characters.
#[derive(JsonSchema, Serialize)]
pub struct TenantId(#[schemars(regex(pattern = "^ten_[0-7][0-9a-hjkmnp-tv-z]{25}$"))] pub String);

/// A point in time: RFC 3339, written in UTC with six digits.
#[derive(JsonSchema, Serialize)]
pub struct Timestamp(#[schemars(extend("format" = "date-time"))] pub String);

/// What a worker shows with every call about an attempt: `epoch.attempt.nonce`, as the claim gave it.
#[derive(JsonSchema, Serialize)]
pub struct LeaseToken(#[schemars(regex(pattern = LEASE_PATTERN))] pub String);

/// The form of a lease token.
pub const LEASE_PATTERN: &str = r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.[0-9a-f]{16}$";

/// The state of a task.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a time or for other tasks before it can be claimed.
    Pending,
    /// Can be claimed.
    Queued,
    /// A worker has it.
    Running,
    /// Waits for a timer, child, input or decision, and holds no worker.
    Waiting,
    /// A worker has it and was asked to stop at the next step.
    Pausing,
    /// Stands still until resumed.
    Paused,
    /// A worker has it and was asked to give up.
    Cancelling,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because somebody wanted it.
    Cancelled,
}

/// What kind of trouble an error is. Only `transient` and `internal` are tried again.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It may pass.
    Transient,
    /// Ours, or the executor's own fault.
    Internal,
    /// The input is wrong, and stays wrong.
    Validation,
    /// Who asks may not.
    Auth,
    /// A quota is used up.
    Quota,
    /// The budget is used up.
    Budget,
    /// Somebody wanted it to stop.
    Cancelled,
}

/// What a try, a step or a task ended with.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct TaskError {
    /// Decides whether it is tried again.
    pub class: Class,
    /// Stable snake_case code.
    pub code: String,
    /// More about it, for programs.
    pub details: Option<serde_json::Value>,
    /// What happened, for people.
    pub message: String,
}

/// How a task is to be run.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct Policy {
    /// What happens to live children when the task ends.
    #[schemars(transform = not_null)]
    pub children: Option<ChildPolicy>,
    /// At most so many tasks with this key run at once.
    pub concurrency: Option<Concurrency>,
    /// The task fails when it has not ended by then.
    pub deadline: Option<Timestamp>,
    /// How long a cancelled executor may clean up, in milliseconds; 10 s when not given.
    pub grace_ms: Option<u64>,
    /// Life of a lease that is not renewed, in milliseconds; 90 s when not given.
    pub lease_ms: Option<u64>,
    /// What to do about a step that was cut off; the executor's own choice when not given.
    pub on_unknown: Option<OnUnknown>,
    /// Higher first.
    #[schemars(range(min = -100, max = 100))]
    #[schemars(transform = not_null)]
    pub priority: Option<i32>,
    /// What the executor may do.
    #[schemars(transform = not_null)]
    pub profile: Option<ExecProfile>,
    /// How often it is tried.
    #[schemars(transform = not_null)]
    pub retry: Option<RetryPolicy>,
    /// The longest time that one attempt may run, in milliseconds.
    pub timeout_ms: Option<u64>,
}

/// What happens to live children when their parent ends.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildPolicy {
    /// They are cancelled.
    Cancel,
    /// They go on.
    Leave,
}

/// A cap on tasks that run at the same time.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct Concurrency {
    /// Tasks with the same key share the cap.
    pub key: String,
    /// How many may run.
    #[schemars(range(min = 1))]
    pub limit: u32,
}

/// What to do about a step that was started and whose outcome is unknown.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Run it again with the same idempotency key.
    Rerun,
    /// Ask a function of the user first, whether it happened.
    Verify,
    /// Let a person decide.
    Ask,
    /// End the task with `outcome_unknown`.
    Fail,
}

/// The permissions of one task. Nothing is granted that isn't named.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct ExecProfile {
    /// Hosts that the kinds `http` and `mcp` may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub hosts: Vec<String>,
    /// MCP servers of the operator's that the `mcp` kind may start, by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub mcp: Vec<String>,
    /// Bytes of output that are kept of a command.
    pub output_bytes: Option<u64>,
}

/// How often, and how far apart, a task that failed is tried again.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Largest delay before the second try, in milliseconds; 1000 when not given. It doubles from try to try.
    #[schemars(transform = not_null)]
    pub initial_ms: Option<u64>,
    /// Largest delay before any try, in milliseconds; 60000 when not given.
    #[schemars(transform = not_null)]
    pub max_ms: Option<u64>,
    /// Tries in all, the first one counted; 3 when not given.
    #[schemars(range(min = 1))]
    #[schemars(transform = not_null)]
    pub max_tries: Option<u32>,
}

/// A task that must end before another can start.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct Dependency {
    /// How it must end; `completed` when not given.
    #[schemars(transform = not_null)]
    pub on: Option<DependsOn>,
    /// Which one.
    pub task: TaskId,
}

/// How a prerequisite must end.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DependsOn {
    /// Completed; anything else fails the dependent task.
    Completed,
    /// In any way.
    Ended,
}

/// The task and step that started a child.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct Parent {
    /// Key of the step that started it.
    pub step: Option<String>,
    /// The parent.
    pub task: TaskId,
}

/// How far a task has got, in units of its own.
#[derive(JsonSchema, Serialize)]
pub struct Progress {
    /// How many are done.
    pub done: Option<u64>,
    /// What is being done.
    pub note: Option<String>,
    /// How many there are.
    pub total: Option<u64>,
}

/// What a task has used.
#[derive(JsonSchema, Serialize)]
pub struct Usage {
    /// Bytes of data in its events.
    pub event_bytes: u64,
    /// Time that a worker held it, in microseconds.
    pub running_us: u64,
}

/// Where a fork began.
#[derive(JsonSchema, Serialize)]
pub struct ForkedFrom {
    /// Hash of the source's event `upto_seq`.
    pub hash: String,
    /// The task whose idempotency keys the steps keep, where the fork is a redrive.
    pub keys_of: Option<TaskId>,
    /// The source.
    pub task: TaskId,
    /// The last event of the source whose steps were kept.
    pub upto_seq: u64,
}

/// Why a task is paused.
#[derive(JsonSchema, Serialize)]
pub struct PauseReason {
    /// Who paused it.
    pub by: String,
    /// More about it: both sides of a mismatch.
    pub details: Option<serde_json::Value>,
    /// `requested`, `nondeterminism`, or the words of whoever asked.
    pub reason: String,
}

/// A tree of conditions that a task waits for. The ids are the step keys of the waits.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(deny_unknown_fields)]
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
    /// An input of this name.
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

/// What a caller asked for, as a worker gets it.
#[derive(JsonSchema, Serialize)]
pub struct TaskSpec {
    /// Free parameters for the executor.
    pub context: Option<serde_json::Value>,
    /// The task that this one continues.
    pub continues: Option<TaskId>,
    /// Tasks that had to end first.
    #[schemars(default)]
    pub depends_on: Vec<Dependency>,
    /// What it is about, for people.
    pub description: Option<String>,
    /// The executor's input.
    pub input: Option<serde_json::Value>,
    /// The caller's own name for the task.
    pub key: Option<String>,
    /// Which executor runs it.
    pub kind: String,
    /// Which version of that executor.
    pub kind_version: Option<u32>,
    /// What lists filter by.
    #[schemars(default)]
    pub labels: BTreeMap<String, String>,
    /// The caller's own data.
    pub metadata: Option<serde_json::Value>,
    /// A name in the language of the program.
    pub name: Option<String>,
    /// The task is not claimed before this time.
    pub not_before: Option<Timestamp>,
    /// The task that started it.
    pub parent: Option<Parent>,
    /// How it is to be run.
    #[schemars(transform = not_null)]
    pub policy: Option<Policy>,
    /// Where it waits for a worker.
    pub queue: String,
    /// Capabilities that a worker must have.
    #[schemars(default)]
    pub requires: Vec<String>,
    /// The session that it belongs to.
    pub session: Option<SessionId>,
    /// A title for people.
    pub title: Option<String>,
}

/// How a worker shall replay what was recorded, where the task is not just to go on.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// Whatever is not recorded is not run.
    Only,
    /// Again after each step.
    Always,
}

/// What tasks of a kind get where whoever submits them says nothing, or what is the default anyway.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct KindDefaults {
    /// Limits and rules; each of them for itself.
    #[schemars(transform = not_null)]
    pub policy: Option<Policy>,
    /// The queue.
    pub queue: Option<String>,
}

/// A kind that a worker can run.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct KindOffer {
    /// What it does, in one line.
    pub about: Option<String>,
    /// What its tasks get where nothing else is said.
    #[schemars(transform = not_null)]
    pub defaults: Option<KindDefaults>,
    /// Faces that offer it as something of its own: `mcp` makes it a tool.
    #[schemars(default)]
    pub expose: Vec<String>,
    /// JSON Schema (2020-12) of its input. An input that is not of it is refused.
    pub input_schema: Option<serde_json::Value>,
    /// Name of the kind.
    pub kind: String,
    /// JSON Schema (2020-12) of its result, for those who read it.
    pub output_schema: Option<serde_json::Value>,
    /// Versions that the worker can run; the last one is what new tasks get.
    pub versions: Vec<u32>,
}

/// What a worker says about itself when it registers.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct WorkerSpec {
    /// What it can do beyond its kinds.
    #[schemars(default)]
    pub capabilities: Vec<String>,
    /// The kinds that it runs.
    pub kinds: Vec<KindOffer>,
    /// Tasks at the same time.
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_tasks: u32,
    /// A name for people.
    pub name: String,
    /// Version of the worker protocol: 1.
    pub protocol: u32,
    /// Queues in the order in which it wants them tried.
    pub queues: Vec<String>,
    /// Version of the program.
    #[schemars(default)]
    pub version: String,
}

#[cfg(test)]
mod tests;
