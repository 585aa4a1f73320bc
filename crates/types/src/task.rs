//! The record of a task: what its events add up to.

use crate::error::TaskError;
use crate::id::{SessionId, TaskId, TenantId};
use crate::json::Json;
use crate::limits;
use crate::profile::ExecProfile;
use crate::retry::RetryPolicy;
use crate::state::State;
use crate::step::OnUnknown;
use crate::time::Timestamp;
use crate::wait::Wait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn default_queue() -> String {
    crate::names::DEFAULT_QUEUE.to_owned()
}

/// What a caller asked for: the data of `task.submitted`.
///
/// Fields stand in the order of their names and defaults are left out, so that serialising it gives canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Free parameters for the executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Json>,
    /// The task that this one continues, as an answer to `continue_as`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<TaskId>,
    /// Tasks that must end first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// What it is about, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The executor's input. In the record of a task it is left out: it stands in the first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// The caller's own name for the task, unique in its tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which executor runs it.
    pub kind: String,
    /// Which version of that executor; any when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_version: Option<u32>,
    /// What lists filter by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The caller's own data, never looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// A name in the language of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The task is not claimed before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The task that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// How it is to be run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// Where it waits for a worker.
    #[serde(default = "default_queue")]
    pub queue: String,
    /// Capabilities that a worker must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// The session that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl TaskSpec {
    /// A task of this kind with every default.
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            context: None,
            continues: None,
            depends_on: Vec::new(),
            description: None,
            input: None,
            key: None,
            kind: kind.into(),
            kind_version: None,
            labels: BTreeMap::new(),
            metadata: None,
            name: None,
            not_before: None,
            parent: None,
            policy: Policy::default(),
            queue: default_queue(),
            requires: Vec::new(),
            session: None,
            title: None,
        }
    }
}

/// A task that must end before another can start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// How it must end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on: DependsOn,
    /// Which one.
    pub task: TaskId,
}

/// How a prerequisite must end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependsOn {
    /// Completed; anything else fails the dependent task.
    #[default]
    Completed,
    /// In any way.
    Ended,
}

/// The task and step that started a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// Key of the step, when a step of the parent started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The parent.
    pub task: TaskId,
}

/// How a task is to be run. Fields that are left out have the defaults of [`limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What happens to live children when the task ends.
    #[serde(skip_serializing_if = "is_default")]
    pub children: ChildPolicy,
    /// At most so many tasks with this key run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The task fails when it has not ended by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How long a cancelled executor may clean up, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// Life of a lease that is not renewed, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// What to do about a step that was cut off; the executor's own choice when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<OnUnknown>,
    /// −100 to 100, higher first.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i32,
    /// What the executor may do.
    #[serde(skip_serializing_if = "is_default")]
    pub profile: ExecProfile,
    /// How often it is tried.
    #[serde(skip_serializing_if = "is_default")]
    pub retry: RetryPolicy,
    /// The longest time that one attempt may run, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl Policy {
    /// Time to clean up after a cancel.
    pub fn grace(&self) -> Duration {
        self.grace_ms.map_or(limits::GRACE, Duration::from_millis)
    }

    /// Life of a lease.
    pub fn lease(&self) -> Duration {
        self.lease_ms.map_or(limits::LEASE, Duration::from_millis)
    }
}

/// What happens to live children when their parent ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildPolicy {
    /// They are cancelled.
    #[default]
    Cancel,
    /// They go on.
    Leave,
}

/// A cap on tasks that run at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// Tasks of one tenant with the same key share the cap.
    pub key: String,
    /// How many may run, at least 1.
    pub limit: u32,
}

/// How far a task has got, in units of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Progress {
    /// How many are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// What is being done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// What a task has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Bytes of data in its events.
    pub event_bytes: u64,
    /// Time that a worker held it, in microseconds.
    pub running_us: u64,
}

/// Where a fork began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForkedFrom {
    /// Hash of the source's event `upto_seq`.
    pub hash: String,
    /// The task whose idempotency keys the steps keep: a redrive does the source's work again. Its own where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_of: Option<TaskId>,
    /// The source.
    pub task: TaskId,
    /// The last event of the source whose steps were kept.
    pub upto_seq: u64,
}

/// An input, decision or child's end that the task has not taken yet. Its data stands in the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// What came, and for whom.
    pub what: ArrivedWhat,
    /// The event that carries it.
    pub seq: u64,
}

/// Kinds of what arrives at a task from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrivedWhat {
    /// An input of this id and name.
    Input {
        /// Id of the input.
        id: String,
        /// Its name.
        name: String,
    },
    /// The decision about the request of this id.
    Decision {
        /// Id of the request.
        id: String,
    },
    /// The end of a child.
    Child {
        /// The child.
        task: TaskId,
    },
}

/// Everything about a task that its events say, in a form that rules can decide on.
///
/// `evolve` in `engine::machine` is the only function that changes one. Leases, heartbeats and positions are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What was asked for, with later changes; without the input.
    pub spec: TaskSpec,
    /// Who asked.
    pub created_by: String,
    /// Where it stands.
    pub state: State,
    /// Claims so far.
    pub attempt: u32,
    /// Tries that ended in an error.
    pub tries: u32,
    /// Lost attempts since the last recorded step.
    pub lost: u32,
    /// Lost attempts in all.
    pub lost_total: u32,
    /// Steps recorded as completed or failed for good.
    pub steps: u32,
    /// Steps that were recorded as started and have not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_steps: Vec<String>,
    /// How far it has got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What it has used.
    pub usage: Usage,
    /// The error of the last try, or the one that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// The end of the delay before the next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// What a suspended task waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Wait>,
    /// Why it is paused, or about to be, and what the two sides of a mismatch were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseReason>,
    /// What came from outside and was not taken yet, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrived: Vec<Arrived>,
    /// The last inputs and ends of children that it has taken, in order: one that is sent again is known by its id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<TakenInput>,
    /// Requests for a decision that are open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_requests: Vec<OpenRequest>,
    /// Decisions that were made: id of the request and the decision's event, so that a second one learns of the winner.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub decided: BTreeMap<String, Decided>,
    /// Where it was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// The task that goes on for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continued_as: Option<TaskId>,
    /// Events since the last digest.
    pub since_digest: u32,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When its last event was written.
    pub updated_at: Timestamp,
    /// When it was first claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the current attempt was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl Task {
    /// The event of the input of this id that has come and was not taken yet.
    pub fn arrived_input(&self, input: &str) -> Option<u64> {
        let found = self.arrived.iter().find(|arrived| match &arrived.what {
            ArrivedWhat::Input { id, .. } => id == input,
            ArrivedWhat::Decision { .. } | ArrivedWhat::Child { .. } => false,
        });
        found.map(|arrived| arrived.seq)
    }

    /// The event of the end of this child that has come and was not taken yet.
    pub fn arrived_child(&self, child: &str) -> Option<u64> {
        let of = |arrived: &&Arrived| match &arrived.what {
            ArrivedWhat::Child { task } => task.to_string() == child,
            ArrivedWhat::Input { .. } | ArrivedWhat::Decision { .. } => false,
        };
        self.arrived.iter().find(of).map(|arrived| arrived.seq)
    }

    /// The event of the input of this id, taken or not, if it is known still.
    pub fn known_input(&self, input: &str) -> Option<u64> {
        let taken = self.taken.iter().find(|taken| taken.id == input).map(|taken| taken.seq);
        taken.or_else(|| self.arrived_input(input))
    }
}

/// Why a task is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseReason {
    /// Who paused it.
    pub by: String,
    /// More about it: both sides of a mismatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
    /// `requested`, `nondeterminism`, or the words of whoever asked.
    pub reason: String,
}

impl PauseReason {
    /// The reason where somebody asked and gave none, and of a worker that has stopped because it was told to.
    pub const REQUESTED: &str = "requested";
}

/// An input, or the end of a child, that the task has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenInput {
    /// Its id.
    pub id: String,
    /// The event that carries it.
    pub seq: u64,
}

/// A question to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// Words that may be answered; any when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Its id: the key of the step that asks.
    pub id: String,
    /// The event that asks.
    pub seq: u64,
}

/// Who decided what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Who.
    pub by: String,
    /// What, in one word.
    pub decision: String,
    /// The event.
    pub seq: u64,
}
