//! What a database holds.

use crate::rows::{
    BlobRow, DependencyRow, Installation, JobRow, KeyHash, KeyRow, Lane, LaneId, LeaseRow, OutboxRow,
    QueueRow, Signature, SigningKeyRow, TaskRow, TenantRow, TimerRow,
};
use everloop_types::event::{Event, Head};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::stream::StreamName;
use everloop_types::task::Task;
use everloop_types::worker::Worker;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The order of the queue within a lane and tenant: higher priority first, then the older task.
pub(super) type QueueKey = (LaneId, TenantId, Reverse<i32>, TaskId);

/// A blob is its tenant's.
pub(super) type BlobKey = (TenantId, String);

#[derive(Clone)]
pub(super) struct State {
    pub(super) installation: Installation,
    pub(super) streams: BTreeMap<StreamName, Stream>,
    pub(super) tasks: BTreeMap<TaskId, Record>,
    /// Parent and child.
    pub(super) children: BTreeSet<(TaskId, TaskId)>,
    /// The order of all events.
    pub(super) feed: BTreeMap<i64, (StreamName, u64)>,
    pub(super) last_pos: i64,
    pub(super) keys: BTreeMap<KeyHash, KeyRow>,
    pub(super) lanes: BTreeMap<LaneId, Lane>,
    pub(super) queue: BTreeMap<QueueKey, QueueRow>,
    pub(super) leases: BTreeMap<TaskId, LeaseRow>,
    pub(super) timers: BTreeMap<TaskId, TimerRow>,
    pub(super) timers_by_time: BTreeSet<TimerRow>,
    /// By prerequisite and dependent.
    pub(super) dependencies: BTreeMap<(TaskId, TaskId), DependencyRow>,
    /// By dependent and prerequisite.
    pub(super) prerequisites: BTreeSet<(TaskId, TaskId)>,
    pub(super) outbox: BTreeMap<TaskId, OutboxRow>,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) paused_queues: BTreeSet<String>,
    pub(super) jobs: BTreeMap<String, JobRow>,
    pub(super) blobs: BTreeMap<BlobKey, BlobRow>,
    pub(super) blob_uses: BTreeSet<(BlobKey, TaskId)>,
    pub(super) tenants: BTreeMap<TenantId, TenantRow>,
    pub(super) signing_keys: BTreeMap<String, SigningKeyRow>,
}

/// A stream, by number the position and the event.
#[derive(Clone)]
pub(super) struct Stream {
    pub(super) tenant: TenantId,
    pub(super) head: Head,
    pub(super) events: BTreeMap<u64, (i64, Event)>,
    pub(super) anchor: Option<(u64, String)>,
}

/// What is kept of a task beside its stream.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) task: Task,
    pub(super) data_subject: Option<String>,
    pub(super) signature: Option<Signature>,
}

impl State {
    pub(super) fn new(installation: Installation) -> Self {
        Self {
            installation,
            streams: BTreeMap::new(),
            tasks: BTreeMap::new(),
            children: BTreeSet::new(),
            feed: BTreeMap::new(),
            last_pos: 0,
            keys: BTreeMap::new(),
            lanes: BTreeMap::new(),
            queue: BTreeMap::new(),
            leases: BTreeMap::new(),
            timers: BTreeMap::new(),
            timers_by_time: BTreeSet::new(),
            dependencies: BTreeMap::new(),
            prerequisites: BTreeSet::new(),
            outbox: BTreeMap::new(),
            workers: BTreeMap::new(),
            paused_queues: BTreeSet::new(),
            jobs: BTreeMap::new(),
            blobs: BTreeMap::new(),
            blob_uses: BTreeSet::new(),
            tenants: BTreeMap::new(),
            signing_keys: BTreeMap::new(),
        }
    }

    /// A stream, if it is this tenant's.
    pub(super) fn stream(&self, tenant: TenantId, name: StreamName) -> Option<&Stream> {
        self.streams.get(&name).filter(|stream| stream.tenant == tenant)
    }

    /// A task with its head, if it is this tenant's.
    pub(super) fn task(&self, tenant: TenantId, id: TaskId) -> Option<TaskRow> {
        let record = self.tasks.get(&id).filter(|record| record.task.tenant == tenant)?;
        self.row(record)
    }

    /// The row of a record.
    pub(super) fn row(&self, record: &Record) -> Option<TaskRow> {
        let head = self.streams.get(&StreamName::Task(record.task.id))?.head;
        let Record { task, data_subject, signature } = record.clone();
        Some(TaskRow { task, head, data_subject, signature })
    }

    /// Children of a task that live, by id.
    pub(super) fn live_children(&self, tenant: TenantId, parent: TaskId) -> impl Iterator<Item = TaskId> {
        self.children
            .range((parent, TaskId([0; 16]))..=(parent, TaskId([0xff; 16])))
            .filter_map(|(_, child)| self.tasks.get(child))
            .filter(move |record| record.task.tenant == tenant && !record.task.state.is_terminal())
            .map(|record| record.task.id)
    }
}
