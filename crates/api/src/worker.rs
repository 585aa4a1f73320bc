//! The worker protocol, version 1. `docs/worker-protocol.md` tells it as a story.
//!
//! Every message about an attempt carries the lease token in the header `Everloop-Lease` and the worker's id in its body.

use crate::event::Body;
use crate::schema;
use crate::task::present;
use everloop_types::error::TaskError;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::task::{PauseReason, TaskSpec};
use everloop_types::wait::Wait;
use everloop_types::worker::{KindOffer, Replay, WorkerSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the protocol.
pub const PROTOCOL: u32 = 1;
/// Journal entries that a claim brings along; the rest is fetched page by page.
pub const JOURNAL_INLINE: usize = 1_000;

/// A worker makes itself known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// What it can do beyond its kinds, matched against a task's `requires`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The kinds that it runs.
    #[schemars(with = "Vec<schema::KindOffer>")]
    pub kinds: Vec<KindOffer>,
    /// Tasks at the same time.
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_tasks: u32,
    /// A name for people.
    pub name: String,
    /// Version of this protocol: 1.
    pub protocol: u32,
    /// Queues in the order in which it wants them tried; `high`, `default`, `low` when not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")))]
    pub queues: Vec<String>,
    /// Version of the program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

impl From<RegisterRequest> for WorkerSpec {
    fn from(request: RegisterRequest) -> Self {
        let queues = match request.queues {
            none if none.is_empty() => everloop_types::names::QUEUES.map(str::to_owned).to_vec(),
            some => some,
        };
        Self {
            capabilities: request.capabilities,
            kinds: request.kinds,
            max_concurrent_tasks: request.max_concurrent_tasks,
            name: request.name,
            protocol: request.protocol,
            queues,
            version: request.version,
        }
    }
}

impl From<WorkerSpec> for RegisterRequest {
    fn from(spec: WorkerSpec) -> Self {
        Self {
            capabilities: spec.capabilities,
            kinds: spec.kinds,
            max_concurrent_tasks: spec.max_concurrent_tasks,
            name: spec.name,
            protocol: spec.protocol,
            queues: spec.queues,
            version: spec.version,
        }
    }
}

/// A worker lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// What is wrong with it, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A worker wants tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    pub max: u32,
    /// Number of the request. Repeating it, when the answer was lost, gives the same tasks again.
    pub request: u64,
}

/// What a claim got; nothing when nothing came in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimAnswer {
    /// The tasks.
    pub assignments: Vec<AssignmentView>,
}

/// A task that was claimed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentView {
    /// The task.
    #[schemars(with = "schema::TaskId")]
    pub task: TaskId,
    /// Whose it is.
    #[schemars(with = "schema::TenantId")]
    pub tenant: TenantId,
    /// What to show with every call about this attempt.
    #[schemars(with = "schema::LeaseToken")]
    pub lease: LeaseToken,
    /// Life of the lease unless it is renewed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ttl_ms: Option<u64>,
    /// Number of the attempt.
    pub attempt: u32,
    /// Tries that failed before.
    pub tries: u32,
    /// Version of the executor that shall run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_version: Option<u32>,
    /// What was asked for, with its input.
    #[schemars(with = "schema::TaskSpec")]
    pub spec: TaskSpec,
    /// What was recorded, in order.
    pub journal: Vec<JournalItem>,
    /// There is more: fetch the journal after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_after: Option<u64>,
    /// How to replay it, where the task is not just to go on: `only` runs nothing that is not recorded, `always` replays again
    /// after each step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Replay>")]
    pub replay: Option<Replay>,
}

/// An event of the task's past that a replay needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalItem {
    /// Its number in the stream.
    pub seq: u64,
    /// Its type.
    pub r#type: String,
    /// What it says.
    #[schemars(with = "serde_json::Value")]
    pub data: Json,
}

/// A page of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalPage {
    /// What was recorded, in order.
    pub items: Vec<JournalItem>,
    /// There is more after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// A task and its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldLease {
    /// The task.
    #[schemars(with = "schema::TaskId")]
    pub task: TaskId,
    /// Its lease.
    #[schemars(with = "schema::LeaseToken")]
    pub lease: LeaseToken,
}

/// A worker holds its tasks for another term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// What it holds.
    pub leases: Vec<HeldLease>,
}

/// What became of a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenewAnswer {
    /// Tasks that it does not hold any more: stop them at once, write nothing.
    #[schemars(with = "Vec<schema::TaskId>")]
    pub lost: Vec<TaskId>,
}

/// Words about tasks that a worker holds; none when none came in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignalsAnswer {
    /// In the order in which they were said.
    pub signals: Vec<SignalView>,
}

/// A word about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignalView {
    /// The task.
    #[schemars(with = "schema::TaskId")]
    pub task: TaskId,
    /// The attempt that is meant.
    pub attempt: u32,
    /// What.
    pub signal: SignalWord,
    /// With `cancel`: time to clean up, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalWord {
    /// Stop at the next step.
    Pause,
    /// Go on after all.
    Resume,
    /// Give up.
    Cancel,
    /// The attempt is over: stop at once, write nothing.
    LeaseLost,
}

/// Events of an attempt, and frames for live followers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// Who sends it.
    #[schemars(with = "schema::WorkerId")]
    pub worker: WorkerId,
    /// Number of the batch in this attempt, from 1; repeating one changes nothing. Not needed for frames alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// Events, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Body>,
    /// Passing words: never stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Body>,
}

/// The attempt ends, and the task with it: with exactly one of `result`, `continue_as` and `cancelled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishRequest {
    /// Who sends it.
    #[schemars(with = "schema::WorkerId")]
    pub worker: WorkerId,
    /// Number of the batch in this attempt.
    pub batch: u32,
    /// Events that come before the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Body>,
    /// What the task gave.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Json>,
    /// The input of a new task that goes on for this one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub continue_as: Option<Json>,
    /// It gave up, as it was asked to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// The attempt ends and the task does not: with exactly one of `for` and `paused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendRequest {
    /// Who sends it.
    #[schemars(with = "schema::WorkerId")]
    pub worker: WorkerId,
    /// Number of the batch in this attempt.
    pub batch: u32,
    /// Events that come before the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Body>,
    /// What the task waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Wait>")]
    pub r#for: Option<Wait>,
    /// Why it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::PauseReason>")]
    pub paused: Option<PauseReason>,
}

/// The try failed; the task's policy says whether there is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailRequest {
    /// Who sends it.
    #[schemars(with = "schema::WorkerId")]
    pub worker: WorkerId,
    /// Number of the batch in this attempt.
    pub batch: u32,
    /// Events that come before the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Body>,
    /// How.
    #[schemars(with = "schema::TaskError")]
    pub error: TaskError,
}

/// The worker gives the task back undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Who sends it.
    #[schemars(with = "schema::WorkerId")]
    pub worker: WorkerId,
    /// Number of the batch in this attempt.
    pub batch: u32,
    /// Events that come before the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Body>,
}
