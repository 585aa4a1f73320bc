//! Where work comes from, and where its events go.

use everloop_types::blob::BlobName;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::event::EventBody;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::state::State;
use everloop_types::task::{PauseReason, TaskSpec};
use everloop_types::wait::Wait;
use everloop_types::worker::{Replay, WorkerSpec};
use futures_util::future::BoxFuture;
use std::time::Duration;

/// Why a call to a source failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// The source refused: trying again changes nothing.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The source could not be reached, or is too busy: the same call may be made again.
    #[error("the source is not available: {0}")]
    Unavailable(String),
}

impl SourceError {
    /// Whether the attempt is over for this worker.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self, Self::Refused(refusal) if matches!(refusal.code, Code::LeaseLost | Code::NotFound))
    }
}

/// What every call to a source gives.
pub type Sourced<'a, T> = BoxFuture<'a, Result<T, SourceError>>;

/// A task that was claimed: everything its executor needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The task.
    pub task: TaskId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What to show with every call about this attempt.
    pub lease: LeaseToken,
    /// Life of the lease unless it is renewed; none for a worker that lives and dies with its server.
    pub lease_ttl: Option<Duration>,
    /// Number of the attempt.
    pub attempt: u32,
    /// Tries that failed before.
    pub tries: u32,
    /// What was asked for, with its input.
    pub spec: TaskSpec,
    /// Version of the executor that shall run it.
    pub kind_version: Option<u32>,
    /// The recorded history, in order: steps, inputs and what else a replay needs.
    pub journal: Vec<JournalEntry>,
    /// How to replay it, where the task is not just to go on.
    pub replay: Option<Replay>,
}

/// An event of the task's past that a replay needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its number in the stream.
    pub seq: u64,
    /// What it says.
    pub body: EventBody,
}

/// Types of the events that belong into the journal that a worker gets.
pub const JOURNAL: [&str; 11] = [
    "task.forked",
    "step.started",
    "step.completed",
    "step.failed",
    "task.waiting",
    "task.ready",
    "task.input",
    "task.input_taken",
    "approval.requested",
    "approval.decision",
    "task.child",
];

/// Whether an event type belongs into the journal that a worker gets.
pub fn is_journal(kind: &str) -> bool {
    JOURNAL.contains(&kind)
}

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// With a result.
    Completed {
        /// Which.
        result: Json,
    },
    /// With an error; the task's policy says whether it is tried again.
    Failed {
        /// Which.
        error: TaskError,
    },
    /// The task waits, and needs no worker until then.
    Waiting {
        /// What for.
        wait: Wait,
    },
    /// It stands still at a step: it was asked to, or its code does not follow its journal.
    Paused {
        /// Why.
        reason: PauseReason,
    },
    /// It gave up, as it was asked to.
    Cancelled,
    /// The worker gives the task back undone.
    Released,
    /// It ends, and a new task with this input goes on for it.
    ContinuedAs {
        /// Input of the new task.
        input: Json,
    },
}

/// What a worker is told about a task that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop at the next step.
    Pause,
    /// Go on after all.
    Resume,
    /// Give up, within this time.
    Cancel {
        /// Time to clean up.
        grace: Duration,
    },
    /// The attempt is over: stop at once, write nothing.
    LeaseLost,
}

/// A signal and the task that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSignal {
    /// The task.
    pub task: TaskId,
    /// The attempt that is meant.
    pub attempt: u32,
    /// What.
    pub signal: Signal,
}

/// Passing words to live followers: never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What kind of frame: `token`, `progress` or an executor's own.
    pub kind: String,
    /// Anything.
    pub data: Json,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The state that it ended in.
    pub state: State,
    /// What it gave.
    pub result: Option<Json>,
    /// How it failed.
    pub error: Option<TaskError>,
    /// The task that goes on for it.
    pub continued_as: Option<TaskId>,
}

/// Tasks of others, as code that starts some needs them.
pub trait Tasks: Send + Sync {
    /// Submits a task under a request key: however often that is done, there is one.
    fn submit(&self, spec: TaskSpec, key: String) -> Sourced<'_, TaskId>;

    /// How a task ended that has.
    fn output(&self, task: TaskId) -> Sourced<'_, Output>;
}

/// Hands out tasks and takes their events.
pub trait WorkSource: Send + Sync {
    /// Makes the worker known.
    fn register(&self, spec: WorkerSpec) -> Sourced<'_, WorkerId>;

    /// Says that the worker lives, and whether it is in trouble.
    fn heartbeat(&self, worker: WorkerId, trouble: Option<String>) -> Sourced<'_, ()>;

    /// Waits for tasks, at most so many and so long. Repeating a request id gives the same tasks again.
    fn claim(&self, worker: WorkerId, max: u32, wait: Duration, request: u64)
    -> Sourced<'_, Vec<Assignment>>;

    /// Holds leases for another term; gives those that are lost.
    fn renew(&self, worker: WorkerId, leases: Vec<(TaskId, LeaseToken)>) -> Sourced<'_, Vec<TaskId>>;

    /// Waits for signals about tasks that the worker holds.
    fn signals(&self, worker: WorkerId, wait: Duration) -> Sourced<'_, Vec<TaskSignal>>;

    /// Writes events and, with `end`, ends the attempt in the same commit. Batches of an attempt are numbered from 1, and
    /// repeating a number changes nothing.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn write(
        &self,
        worker: WorkerId,
        tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
        batch: u32,
        events: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Sourced<'_, ()>;

    /// The bytes of a blob, if it is there.
    fn blob(&self, tenant: TenantId, id: String) -> Sourced<'_, Option<Vec<u8>>>;

    /// Keeps bytes, durably, and gives what names them.
    fn put_blob(&self, tenant: TenantId, media_type: String, bytes: Vec<u8>) -> Sourced<'_, BlobName>;

    /// Tasks that the code of a task starts, where the source can do that.
    fn tasks(&self) -> Option<&dyn Tasks> {
        None
    }

    /// Shows frames to live followers. They may be lost.
    fn frames(
        &self,
        tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
        frames: Vec<Frame>,
    ) -> Sourced<'_, ()>;
}
