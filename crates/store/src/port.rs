//! The ports.

use crate::error::StoreError;
use crate::rows::{
    BlobRow, DependencyRow, Depth, End, Installation, JobRow, KeyHash, KeyRow, Lane, LaneId, LeaseRow,
    OutboxRow, Positioned, SigningKeyRow, StateCount, TaskRow, TenantRow, TimerRow,
};
use crate::work::{Committed, Row, Wanted, WorkingSet, WriteSet};
use everloop_types::event::{Event, Head};
use everloop_types::id::{SessionId, TaskId, TenantId, WorkerId};
use everloop_types::names::DEFAULT_QUEUE;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use everloop_types::worker::Worker;
use std::collections::BTreeMap;

/// What every read gives.
pub type Read<T> = Result<T, StoreError>;

/// The writer. A store has one, and one thread owns it.
pub trait WriteStore: Send {
    /// Loads what a batch needs, as one consistent picture. `now` is the caller's clock; a store with a clock of its own
    /// answers with that.
    ///
    /// # Errors
    /// Nothing was changed by any.
    fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError>;

    /// Writes a batch in one transaction. When this returns `Ok`, a crash or a power cut at any later time loses nothing of
    /// it: the log was fsynced.
    ///
    /// # Errors
    /// After [`StoreError::Unknown`] the batch may or may not be there, or be on its way: once [`load`](Self::load) has answered, it is
    /// decided, and the heads say how. After [`StoreError::Failed`] nothing may be written any more. After any other error nothing of it is there.
    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError>;

    /// Called when there is nothing to commit for now: a moment for work that would otherwise be in the way.
    ///
    /// # Errors
    /// Whatever that work meets.
    fn idle(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Which tasks a list shows. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// One of these states.
    pub states: Vec<State>,
    /// One of these kinds.
    pub kinds: Vec<String>,
    /// In this queue.
    pub queue: Option<String>,
    /// Of this priority.
    pub priority: Option<i32>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Children of this task.
    pub parent: Option<TaskId>,
    /// In this session.
    pub session: Option<SessionId>,
    /// With a key that begins so.
    pub key_prefix: Option<String>,
    /// With this text in name, title or description, in any case of ASCII letters.
    pub text: Option<String>,
    /// Created by this actor.
    pub created_by: Option<String>,
}

/// What a list goes by: the condition that an index answers. The others are checked task by task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// Children of one task.
    ByParent,
    /// Tasks of one session.
    BySession,
    /// Tasks in these states.
    ByStates,
    /// Tasks of these kinds.
    ByKinds,
    /// Tasks of one queue that is not the default one.
    ByQueue,
    /// Tasks of one priority that is not the default one.
    ByPriority,
    /// Every task.
    ByAll,
}

impl TaskFilter {
    /// What the list goes by: what is likely to be rarest.
    pub fn goes(&self) -> Goes {
        if self.parent.is_some() {
            Goes::ByParent
        } else if self.session.is_some() {
            Goes::BySession
        } else if self.is_live() {
            Goes::ByStates
        } else if !self.kinds.is_empty() {
            Goes::ByKinds
        } else if self.queue.as_ref().is_some_and(|queue| queue != DEFAULT_QUEUE) {
            Goes::ByQueue
        } else if self.priority.is_some_and(|priority| priority != 0) {
            Goes::ByPriority
        } else if !self.states.is_empty() {
            Goes::ByStates
        } else {
            Goes::ByAll
        }
    }

    /// Whether it asks for tasks that have not ended, and for no others.
    pub fn is_live(&self) -> bool {
        !self.states.is_empty() && self.states.iter().all(|state| !state.is_terminal())
    }

    /// Whether any number of tasks may have to be looked at to find one that matches: what has ended, with conditions that no
    /// index answers.
    pub fn is_open(&self) -> bool {
        let own = match self.goes() {
            Goes::ByParent | Goes::BySession => return false,
            Goes::ByStates if self.is_live() => return false,
            Goes::ByAll => 0,
            Goes::ByStates | Goes::ByKinds | Goes::ByQueue | Goes::ByPriority => 1,
        };
        let given = [
            !self.states.is_empty(),
            !self.kinds.is_empty(),
            self.queue.is_some(),
            self.priority.is_some(),
            !self.labels.is_empty(),
            self.key_prefix.is_some(),
            self.text.is_some(),
            self.created_by.is_some(),
        ];
        given.into_iter().filter(|given| *given).count() > own
    }
}

/// A part of a list, in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// It begins behind this task, which need not match.
    pub after: Option<TaskId>,
    /// It ends with this task, which need not match.
    pub upto: Option<TaskId>,
}

impl From<Option<TaskId>> for Part {
    fn from(after: Option<TaskId>) -> Self {
        Self { after, upto: None }
    }
}

/// The order of a list of tasks: by id, which is by time of submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// Tasks.
pub trait TaskRead {
    /// A task; another tenant's is not found.
    ///
    /// # Errors
    /// If the database can't be read.
    fn task(&self, tenant: TenantId, id: TaskId) -> Read<Option<TaskRow>>;
    /// What a key stands for.
    ///
    /// # Errors
    /// If the database can't be read.
    fn key(&self, hash: &KeyHash) -> Read<Option<KeyRow>>;
    /// The first tasks of a part of a list.
    ///
    /// # Errors
    /// If the database can't be read.
    fn tasks(
        &self,
        tenant: TenantId,
        filter: &TaskFilter,
        order: Order,
        part: Part,
        limit: usize,
    ) -> Read<Vec<TaskRow>>;
    /// The task that many places behind another one in the list of all; none if there are not so many.
    ///
    /// # Errors
    /// If the database can't be read.
    fn task_behind(
        &self,
        tenant: TenantId,
        order: Order,
        after: Option<TaskId>,
        places: u32,
    ) -> Read<Option<TaskId>>;
    /// How many tasks the filter matches, counted no further than `cap`.
    ///
    /// # Errors
    /// If the database can't be read.
    fn tasks_count(&self, tenant: TenantId, filter: &TaskFilter, cap: u64) -> Read<u64>;
    /// Tasks by queue and state.
    ///
    /// # Errors
    /// If the database can't be read.
    fn state_counts(&self, tenant: TenantId) -> Read<Vec<StateCount>>;
    /// Tasks, of any tenant, that ended behind the given end and before this time, in the order of their ends.
    ///
    /// # Errors
    /// If the database can't be read.
    fn finished(&self, after: Option<End>, before: Timestamp, limit: usize) -> Read<Vec<TaskRow>>;
}

/// Events.
pub trait EventRead {
    /// Events of a stream after this number, in order; fewer than `limit` only at the end. A stream that does not exist, or
    /// is another tenant's, has none.
    ///
    /// # Errors
    /// If the database can't be read.
    fn events(&self, tenant: TenantId, stream: StreamName, after: u64, limit: usize) -> Read<Vec<Event>>;
    /// Numbers of the events of a type, after the given one, whose payload is there.
    ///
    /// # Errors
    /// If the database can't be read.
    fn payloads(
        &self,
        tenant: TenantId,
        stream: StreamName,
        kind: &str,
        after: u64,
        limit: usize,
    ) -> Read<Vec<u64>>;
    /// One event.
    ///
    /// # Errors
    /// If the database can't be read.
    fn event(&self, tenant: TenantId, stream: StreamName, seq: u64) -> Read<Option<Event>>;
    /// The head of a stream that exists.
    ///
    /// # Errors
    /// If the database can't be read.
    fn head(&self, tenant: TenantId, stream: StreamName) -> Read<Option<Head>>;
    /// The anchor of a trimmed stream: number of its event, and the JWS.
    ///
    /// # Errors
    /// If the database can't be read.
    fn anchor(&self, tenant: TenantId, stream: StreamName) -> Read<Option<(u64, String)>>;
    /// Events of all of a tenant's streams after a position. No event ever appears behind a position that was given out.
    ///
    /// # Errors
    /// If the database can't be read.
    fn feed(&self, tenant: TenantId, after: i64, limit: usize) -> Read<Vec<Positioned>>;
    /// The last position that [`EventRead::feed`] can give now; 0 if none.
    ///
    /// # Errors
    /// If the database can't be read.
    fn last_position(&self, tenant: TenantId) -> Read<i64>;
    /// A tenant's last audit stream.
    ///
    /// # Errors
    /// If the database can't be read.
    fn audit_segment(&self, tenant: TenantId) -> Read<Option<u32>>;
}

/// What waits for workers, times and others.
pub trait QueueRead {
    /// Every lane that was ever used.
    ///
    /// # Errors
    /// If the database can't be read.
    fn lanes(&self) -> Read<Vec<(LaneId, Lane)>>;
    /// How many tasks wait where.
    ///
    /// # Errors
    /// If the database can't be read.
    fn depths(&self) -> Read<Vec<Depth>>;
    /// Every lease.
    ///
    /// # Errors
    /// If the database can't be read.
    fn leases(&self) -> Read<Vec<LeaseRow>>;
    /// Timers up to this time, earliest first.
    ///
    /// # Errors
    /// If the database can't be read.
    fn timers_due(&self, at: Timestamp, limit: usize) -> Read<Vec<TimerRow>>;
    /// The earliest timer.
    ///
    /// # Errors
    /// If the database can't be read.
    fn next_timer(&self) -> Read<Option<Timestamp>>;
    /// Ends that others were not told of.
    ///
    /// # Errors
    /// If the database can't be read.
    fn outbox(&self, limit: usize) -> Read<Vec<OutboxRow>>;
    /// Who waits for a task's end.
    ///
    /// # Errors
    /// If the database can't be read.
    fn dependents(&self, task: TaskId, limit: usize) -> Read<Vec<DependencyRow>>;
    /// Children of a task that live.
    ///
    /// # Errors
    /// If the database can't be read.
    fn live_children(&self, tenant: TenantId, parent: TaskId, limit: usize) -> Read<Vec<TaskId>>;
    /// Queues that stand still.
    ///
    /// # Errors
    /// If the database can't be read.
    fn paused_queues(&self) -> Read<Vec<String>>;
}

/// Workers.
pub trait WorkerRead {
    /// Every worker, oldest first.
    ///
    /// # Errors
    /// If the database can't be read.
    fn workers(&self) -> Read<Vec<Worker>>;
    /// One worker.
    ///
    /// # Errors
    /// If the database can't be read.
    fn worker(&self, id: WorkerId) -> Read<Option<Worker>>;
}

/// The installation, its tenants, keys and blobs.
pub trait InstallationRead {
    /// The installation, made when the database was.
    ///
    /// # Errors
    /// If the database can't be read.
    fn installation(&self) -> Read<Installation>;
    /// Every tenant.
    ///
    /// # Errors
    /// If the database can't be read.
    fn tenants(&self) -> Read<Vec<TenantRow>>;
    /// Every public key, oldest first.
    ///
    /// # Errors
    /// If the database can't be read.
    fn signing_keys(&self) -> Read<Vec<SigningKeyRow>>;
    /// How far a job has come.
    ///
    /// # Errors
    /// If the database can't be read.
    fn job(&self, name: &str) -> Read<Option<JobRow>>;
    /// A blob.
    ///
    /// # Errors
    /// If the database can't be read.
    fn blob(&self, tenant: TenantId, id: &str) -> Read<Option<BlobRow>>;
    /// Blobs that no event names and that were last put before this time.
    ///
    /// # Errors
    /// If the database can't be read.
    fn blobs_unused(&self, put_before: Timestamp, limit: usize) -> Read<Vec<BlobRow>>;
    /// Whether the database answers; what `/health` asks.
    ///
    /// # Errors
    /// If it does not.
    fn ping(&self) -> Read<()>;
}

/// One picture of everything: whatever is read through it, nothing that is committed meanwhile is seen.
pub trait Snapshot: TaskRead + EventRead + QueueRead + InstallationRead {
    /// Gives every row that hangs on tasks, tenants or the installation, as what would write it: what is no event, no record,
    /// no lane and no worker. Rows come in an order in which they can be written.
    ///
    /// # Errors
    /// If the database can't be read, or what `each` gives.
    fn rows(&self, each: &mut dyn FnMut(Row) -> Read<()>) -> Read<()>;
}

/// Pictures of everything, for backups.
pub trait SnapshotRead {
    /// Takes one. It holds a connection of its own, and keeps the database from tidying up, until it is dropped.
    ///
    /// # Errors
    /// If the database can't be read.
    fn snapshot(&self) -> Read<Box<dyn Snapshot>>;
}

/// Every read port. A function that needs one asks for that one.
pub trait ReadStore:
    TaskRead + EventRead + QueueRead + WorkerRead + InstallationRead + SnapshotRead + Send + Sync
{
}

impl<T: TaskRead + EventRead + QueueRead + WorkerRead + InstallationRead + SnapshotRead + Send + Sync>
    ReadStore for T
{
}

/// Space that is held back for the moment when the disk is full.
pub trait Reserve: Send + Sync {
    /// Takes the space, if it is not held already.
    ///
    /// # Errors
    /// [`StoreError::Full`] if there is none; nothing is held then.
    fn hold(&self) -> Result<(), StoreError>;
    /// Gives the space up.
    ///
    /// # Errors
    /// If that can't be done.
    fn release(&self) -> Result<(), StoreError>;
}

/// Bytes of blobs. Putting is durable when it returns, and putting the same bytes again is no error.
pub trait Blob: Send + Sync {
    /// Keeps the bytes under a tenant's id.
    ///
    /// # Errors
    /// If they can't be kept.
    fn put(&self, tenant: TenantId, id: &str, bytes: &[u8]) -> Result<(), StoreError>;
    /// The bytes.
    ///
    /// # Errors
    /// If they can't be read.
    fn get(&self, tenant: TenantId, id: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Removes them; no error if they are not there.
    ///
    /// # Errors
    /// If they can't be removed.
    fn delete(&self, tenant: TenantId, id: &str) -> Result<(), StoreError>;
}
