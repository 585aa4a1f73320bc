//! The working set that a batch of commands loads, and the write set that it commits.

use crate::rows::{
    BlobRow, DependencyRow, Installation, JobRow, KeyHash, KeyRow, Lane, LaneId, LeaseRow, OutboxRow,
    QueueRow, Signature, SigningKeyRow, TenantRow, TimerRow,
};
use everloop_types::event::{Event, Head};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::stream::StreamName;
use everloop_types::task::Task;
use everloop_types::time::Timestamp;
use everloop_types::worker::Worker;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// What a batch needs to know before it decides. Doubles are allowed and loaded once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Tasks, with their leases.
    pub tasks: Vec<WantedTask>,
    /// Keys.
    pub keys: Vec<KeyHash>,
    /// Tasks that could be claimed.
    pub ready: Vec<ReadyQuery>,
    /// Heads of streams that are no task's.
    pub streams: Vec<(TenantId, StreamName)>,
    /// Blobs that values name.
    pub blobs: Vec<BlobKey>,
}

/// A blob: whose it is, and its id.
pub type BlobKey = (TenantId, String);

/// A task to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WantedTask {
    /// Whose it must be: another tenant's is not found.
    pub tenant: TenantId,
    /// Which one.
    pub task: TaskId,
    /// Whether to look for dependents, children and prerequisites: asked for by what may end or release a task.
    pub relations: bool,
}

/// Tasks of one lane that could be claimed: of each tenant the first `per_tenant` in the order of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyQuery {
    /// The lane.
    pub lane: LaneId,
    /// How many of each tenant.
    pub per_tenant: u32,
    /// Concurrency keys at their cap: tasks with one of these are passed over.
    pub full: Vec<KeyHash>,
}

/// What was found. What is not here does not exist.
#[derive(Clone, Debug, Default)]
pub struct WorkingSet {
    /// The only time that decisions see: the database's on PostgreSQL, else the caller's.
    pub now: Timestamp,
    /// Tasks.
    pub tasks: HashMap<TaskId, LoadedTask>,
    /// Keys.
    pub keys: HashMap<KeyHash, KeyRow>,
    /// Claimable tasks, in no order across lanes and tenants. Their tasks are in `tasks` too, without relations.
    pub ready: Vec<QueueRow>,
    /// Heads.
    pub streams: HashMap<StreamName, Head>,
    /// Blobs.
    pub blobs: HashMap<BlobKey, BlobRow>,
}

/// A task as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedTask {
    /// The record.
    pub task: Arc<Task>,
    /// The last event of its stream.
    pub head: Head,
    /// Whose data it is about.
    pub data_subject: Option<String>,
    /// Who holds it.
    pub lease: Option<LeaseRow>,
    /// What it still waits for and who waits for it; empty unless asked for.
    pub relations: Relations,
}

/// Ties of a task to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    /// Tasks that must end before this one can start.
    pub prerequisites: Vec<DependencyRow>,
    /// Whether another task waits for this one's end.
    pub has_dependents: bool,
    /// Whether it has children that live.
    pub has_live_children: bool,
}

/// What a batch decided: all of it is written in one transaction, or none.
///
/// In this order: heads and new keys are compared, and streams that fail leave the set with all that is theirs (of two
/// streams with the same new key the first one stays); events and records are written; then the rows of the streams, in
/// order; then the rows of the set.
#[derive(Clone, Debug, Default)]
pub struct WriteSet {
    /// Streams that grow, each at most once.
    pub streams: Vec<StreamWrite>,
    /// Lanes that may be new.
    pub lanes: Vec<Lane>,
    /// Changes that hang on no stream's head.
    pub rows: Vec<Row>,
}

/// A stream that grows. If its head is not the expected one, nothing of this is written and the stream comes back.
///
/// Without events it is only compared, for rows that are right under that head alone, such as a renewed lease. Its record
/// is not looked at then: only events change one.
#[derive(Clone, Debug)]
pub struct StreamWrite {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub stream: StreamName,
    /// Number of the event that it was decided on; 0 for a stream that must not exist yet.
    pub expected: u64,
    /// Events, linked.
    pub events: Vec<Event>,
    /// The head after them.
    pub head: Head,
    /// The task's record after them, for a task's stream.
    pub task: Option<TaskWrite>,
    /// Rows that change with it.
    pub rows: Vec<Row>,
}

/// The record of a task after its events.
#[derive(Clone, Debug)]
pub struct TaskWrite {
    /// The record.
    pub task: Arc<Task>,
    /// Whose data it is about; only looked at when the task is new.
    pub data_subject: Option<String>,
    /// The receipt's signature, when it has ended.
    pub signature: Option<Signature>,
}

/// A change of a row that is no event and no task. Putting replaces; deleting what is not there is no error. Only what a
/// [`crate::port::Snapshot`] gives has a form as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    /// A new key: refused, with its stream, if it is there already, even as a deleted one. Only among the rows of a stream.
    #[serde(skip)]
    KeyNew(KeyRow),
    /// A key as a backup has it.
    KeyPut(KeyRow),
    /// What stood for one task stands for another one; nothing happens if it does not stand for the first.
    #[serde(skip)]
    KeyMove {
        /// Which key.
        hash: KeyHash,
        /// The task that gives it up.
        from: TaskId,
        /// The one that takes it over.
        to: TaskId,
        /// Digest of the request that made the one that takes it over; none where the first request stands for it, too.
        request: Option<KeyHash>,
    },
    /// The task can be claimed.
    QueuePut(QueueRow),
    /// The task can't be claimed any more. All parts of the row's key are needed.
    #[serde(skip)]
    QueueDelete(QueueRow),
    /// Somebody holds the task, or holds it for longer.
    LeasePut(LeaseRow),
    /// Nobody holds it.
    #[serde(skip)]
    LeaseDelete(TaskId),
    /// Something is due for the task.
    TimerPut(TimerRow),
    /// Nothing is.
    #[serde(skip)]
    TimerDelete(TaskId),
    /// A dependency.
    DependencyPut(DependencyRow),
    /// One dependency less.
    #[serde(skip)]
    DependencyDelete {
        /// The one that had to end.
        prerequisite: TaskId,
        /// The one that waited.
        dependent: TaskId,
    },
    /// Others have to be told of the task's end.
    OutboxPut(OutboxRow),
    /// They were.
    #[serde(skip)]
    OutboxDelete(TaskId),
    /// A worker registered or was heard from.
    #[serde(skip)]
    WorkerPut(Worker),
    /// It is gone.
    #[serde(skip)]
    WorkerDelete(WorkerId),
    /// A queue stands still, or goes on.
    QueuePaused {
        /// Its name.
        queue: String,
        /// Whether it stands still.
        paused: bool,
    },
    /// A blob was put.
    BlobPut(BlobRow),
    /// An event of the task names the blob.
    BlobUse {
        /// The blob.
        blob: String,
        /// Whose.
        tenant: TenantId,
        /// The task.
        task: TaskId,
    },
    /// The blob is gone, unless an event names it by now.
    #[serde(skip)]
    BlobDelete {
        /// The blob.
        blob: String,
        /// Whose.
        tenant: TenantId,
    },
    /// How far a job has come.
    JobPut(JobRow),
    /// There is no such job any more.
    #[serde(skip)]
    JobDelete(String),
    /// The installation is another one, as a backup has it.
    #[serde(skip)]
    InstallationPut(Installation),
    /// A tenant.
    TenantPut(TenantRow),
    /// A public key.
    SigningKeyPut(SigningKeyRow),
    /// A whole stream goes, with the task, its rows and uses of blobs; its keys are marked as deleted at this time.
    #[serde(skip)]
    StreamDelete {
        /// Whose.
        tenant: TenantId,
        /// Which one.
        task: TaskId,
        /// When.
        at: Timestamp,
    },
    /// Salt and data of these events go.
    #[serde(skip)]
    PayloadsErase {
        /// Whose.
        tenant: TenantId,
        /// Which stream.
        stream: StreamName,
        /// Which events.
        seqs: Vec<u64>,
    },
    /// Events up to this number go; the anchor stays.
    #[serde(skip)]
    StreamTrim {
        /// Whose.
        tenant: TenantId,
        /// Which stream.
        stream: StreamName,
        /// The last one that goes.
        upto_seq: u64,
        /// A JWS over the event `upto_seq`.
        anchor: String,
    },
    /// Keys of tasks that were deleted before this time are free.
    #[serde(skip)]
    KeysSweep {
        /// When.
        deleted_before: Timestamp,
    },
}

/// What became of a write set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Streams that came back: their head had moved, or a new key of theirs was taken. Nothing of theirs was written.
    pub moved: Vec<StreamName>,
    /// Rows that were written, for the row budget.
    pub rows_written: u64,
    /// Position of the last event that was written; none if none was.
    pub last_pos: Option<i64>,
}
