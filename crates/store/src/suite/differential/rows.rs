//! Rows, at random: one function, with an arm for each variant.

use super::Name;
use super::generate::Model;
use crate::rows::{DependencyRow, Installation, JobRow, OutboxRow, SigningKeyRow};
use crate::suite::fixtures::{Made, key_hash};
use crate::suite::harness::Harness;
use crate::work::{ReadyQuery, Row, Wanted};
use everloop_types::id::{IncarnationId, TaskId, TenantId, WorkerId};
use everloop_types::random::Random;
use everloop_types::task::DependsOn;
use everloop_types::time::Timestamp;
use std::time::Duration;

/// Every name that [`name`] gives.
pub(super) const NAMES: &[Name] = &[
    "KeyNew",
    "QueuePut",
    "QueueDelete",
    "LeasePut",
    "LeaseDelete",
    "TimerPut",
    "TimerDelete",
    "DependencyPut",
    "DependencyDelete",
    "OutboxPut",
    "OutboxDelete",
    "WorkerPut",
    "WorkerDelete",
    "QueuePaused",
    "queue goes on",
    "BlobPut",
    "BlobUse",
    "BlobDelete",
    "KeyPut",
    "KeyMove",
    "JobPut",
    "JobDelete",
    "InstallationPut",
    "TenantPut",
    "SigningKeyPut",
    "StreamDelete",
    "PayloadsErase",
    "StreamTrim",
    "KeysSweep",
];

/// The name of a row's variant. A new variant stops here: name it, list it in [`NAMES`] and make one in [`Model::row`].
pub(super) fn name(row: &Row) -> Name {
    match row {
        Row::KeyNew(_) => "KeyNew",
        Row::KeyPut(_) => "KeyPut",
        Row::KeyMove { .. } => "KeyMove",
        Row::JobPut(_) => "JobPut",
        Row::JobDelete(_) => "JobDelete",
        Row::InstallationPut(_) => "InstallationPut",
        Row::QueuePut(_) => "QueuePut",
        Row::QueueDelete(_) => "QueueDelete",
        Row::LeasePut(_) => "LeasePut",
        Row::LeaseDelete(_) => "LeaseDelete",
        Row::TimerPut(_) => "TimerPut",
        Row::TimerDelete(_) => "TimerDelete",
        Row::DependencyPut(_) => "DependencyPut",
        Row::DependencyDelete { .. } => "DependencyDelete",
        Row::OutboxPut(_) => "OutboxPut",
        Row::OutboxDelete(_) => "OutboxDelete",
        Row::WorkerPut(_) => "WorkerPut",
        Row::WorkerDelete(_) => "WorkerDelete",
        Row::QueuePaused { paused: true, .. } => "QueuePaused",
        Row::QueuePaused { paused: false, .. } => "queue goes on",
        Row::BlobPut(_) => "BlobPut",
        Row::BlobUse { .. } => "BlobUse",
        Row::BlobDelete { .. } => "BlobDelete",
        Row::TenantPut(_) => "TenantPut",
        Row::SigningKeyPut(_) => "SigningKeyPut",
        Row::StreamDelete { .. } => "StreamDelete",
        Row::PayloadsErase { .. } => "PayloadsErase",
        Row::StreamTrim { .. } => "StreamTrim",
        Row::KeysSweep { .. } => "KeysSweep",
    }
}

/// Whether the row changes whole streams or keys: it is written alone, since what it meets depends on the rest of the set.
pub(super) fn is_sweeping(row: &Row) -> bool {
    matches!(
        name(row),
        "StreamDelete" | "PayloadsErase" | "StreamTrim" | "KeysSweep" | "KeyPut" | "KeyMove" | "BlobDelete"
    )
}

/// The row of a task that another can't be told from.
fn on(tenant: TenantId, prerequisite: TaskId, dependent: TaskId, ended: bool) -> DependencyRow {
    let on = if ended { DependsOn::Ended } else { DependsOn::Completed };
    DependencyRow { tenant, prerequisite, dependent, on }
}

impl Model {
    /// A row of this name: where it can, one that changes something.
    pub(super) fn row(&mut self, h: &mut Harness, name: Name) -> Option<Row> {
        let now = self.world.tick();
        // Within some seconds of now, so that times meet.
        let near = now.minus(Duration::from_millis(self.world.dice.below(40) as u64));
        let task: Made = self.a_task()?;
        let (tenant, id) = (task.task.tenant, task.id());
        let stray = self.world.dice.chance(10);
        let row = match name {
            "QueuePut" => {
                let mut row = task.queue_row();
                row.since = near;
                Row::QueuePut(row)
            }
            "QueueDelete" if stray => Row::QueueDelete(task.queue_row()),
            "QueueDelete" => {
                let query = ReadyQuery { lane: task.lane().id(), per_tenant: 50, full: Vec::new() };
                let found = h.load(&Wanted { ready: vec![query], ..Wanted::default() }).unwrap().ready;
                Row::QueueDelete(self.world.dice.pick(&found)?.clone())
            }
            "LeasePut" => {
                let worker = WorkerId([self.world.dice.below(3) as u8; 16]);
                let mut row = task.lease(&mut self.world, worker);
                row.batch = self.world.dice.below(100) as u32;
                row.expires_at = near;
                row.incarnation = stray.then_some(IncarnationId([5; 16]));
                Row::LeasePut(row)
            }
            "LeaseDelete" if stray => Row::LeaseDelete(id),
            "LeaseDelete" => Row::LeaseDelete(self.world.dice.pick(&h.reader.leases().unwrap())?.task),
            "TimerPut" => Row::TimerPut(task.timer(near)),
            "TimerDelete" if stray => Row::TimerDelete(id),
            "TimerDelete" => Row::TimerDelete(
                self.world.dice.pick(&h.reader.timers_due(Timestamp::MAX, 100).unwrap())?.task,
            ),
            "DependencyPut" => {
                let other = self.a_task_of(tenant)?;
                Row::DependencyPut(on(tenant, id, other.id(), stray))
            }
            "DependencyDelete" => {
                let found = h.reader.dependents(id, 100).unwrap();
                let found = self.world.dice.pick(&found)?;
                Row::DependencyDelete { prerequisite: found.prerequisite, dependent: found.dependent }
            }
            "OutboxPut" => Row::OutboxPut(OutboxRow { tenant, task: id }),
            "OutboxDelete" if stray => Row::OutboxDelete(id),
            "OutboxDelete" => Row::OutboxDelete(self.world.dice.pick(&h.reader.outbox(100).unwrap())?.task),
            "WorkerPut" => {
                let mut worker = self.world.worker();
                if let Some(old) = self.world.dice.pick(&h.reader.workers().unwrap())
                    && !stray
                {
                    (worker.id, worker.created_at) = (old.id, old.created_at);
                }
                Row::WorkerPut(worker)
            }
            "WorkerDelete" => Row::WorkerDelete(self.world.dice.pick(&h.reader.workers().unwrap())?.id),
            "QueuePaused" | "queue goes on" => {
                let queue = format!("q{}", self.world.dice.below(4));
                Row::QueuePaused { queue, paused: name == "QueuePaused" }
            }
            "BlobPut" => {
                let mut blob = self.world.blob(tenant);
                if let Some(old) = self.world.dice.pick(&self.blobs) {
                    let put_at = blob.put_at;
                    if self.world.dice.chance(60) {
                        blob = old.clone();
                        blob.put_at = put_at;
                    }
                }
                self.blobs.push(blob.clone());
                Row::BlobPut(blob)
            }
            "BlobUse" => {
                let found = h.reader.blobs_unused(Timestamp::MAX, 100).unwrap();
                let blob = self.world.dice.pick(&found)?;
                let user = self.a_task_of(blob.tenant)?;
                Row::BlobUse { blob: blob.id.clone(), tenant: blob.tenant, task: user.id() }
            }
            "BlobDelete" => {
                let found = h.reader.blobs_unused(Timestamp::MAX, 100).unwrap();
                let blob = self.world.dice.pick(if stray { &self.blobs } else { &found })?;
                Row::BlobDelete { blob: blob.id.clone(), tenant: blob.tenant }
            }
            "KeyPut" => {
                let Row::KeyNew(mut key) = self.key(&task) else { return None };
                key.deleted_at = stray.then_some(near);
                Row::KeyPut(key)
            }
            "KeyMove" => {
                let Row::KeyNew(key) = self.key(&task) else { return None };
                let from = h.reader.key(&key.hash).unwrap().map_or(id, |found| found.task);
                Row::KeyMove {
                    hash: key.hash,
                    from: if stray { id } else { from },
                    to: id,
                    request: self.world.dice.chance(50).then_some([4; 16]),
                }
            }
            "JobPut" => Row::JobPut(JobRow {
                name: format!("job{}", self.world.dice.below(3)),
                ran_at: now,
                upto: (!stray).then_some((near, id)),
            }),
            "JobDelete" => Row::JobDelete(format!("job{}", self.world.dice.below(3))),
            "InstallationPut" => Row::InstallationPut(Installation {
                epoch: h.reader.installation().unwrap().epoch + 1,
                ..h.reader.installation().unwrap()
            }),
            "TenantPut" => {
                let mut row = self.world.tenant();
                if let Some(old) = self.world.dice.pick(&h.reader.tenants().unwrap()) {
                    row.id = old.id;
                }
                Row::TenantPut(row)
            }
            "SigningKeyPut" => Row::SigningKeyPut(SigningKeyRow {
                kid: everloop_journal::hex::encode(&self.world.dice.bytes16()),
                public: self.world.tenant().secret,
                created_at: now,
            }),
            "StreamDelete" => Row::StreamDelete { tenant, task: self.ended_of(tenant)?.id(), at: near },
            "PayloadsErase" => {
                let seqs =
                    (0..3).map(|_| 1 + self.world.dice.below(task.log.events.len() + 1) as u64).collect();
                Row::PayloadsErase { tenant, stream: task.log.name, seqs }
            }
            "StreamTrim" => {
                let ended = self.ended_of(tenant)?;
                let upto_seq = self.trim_point(h, &ended)?;
                Row::StreamTrim {
                    tenant,
                    stream: ended.log.name,
                    upto_seq,
                    anchor: format!("a.{upto_seq}.b"),
                }
            }
            "KeysSweep" => Row::KeysSweep { deleted_before: near },
            // "KeyNew": only with a stream, which the plan makes.
            _ => return None,
        };
        Some(row)
    }

    /// A point in what is left of a stream, before its end.
    fn trim_point(&self, h: &Harness, ended: &Made) -> Option<u64> {
        let left = h.reader.events(ended.task.tenant, ended.log.name, 0, 1_000).unwrap();
        let (_, before_end) = left.split_last()?;
        self.world.dice.pick(before_end).map(|event| event.seq)
    }

    /// A new key, free or taken.
    pub(super) fn key(&self, made: &Made) -> Row {
        let text = format!("key-{}", self.world.dice.below(30));
        let mut key = made.key(&text);
        key.request = key_hash(made.task.tenant, &format!("request of {}", made.id()));
        Row::KeyNew(key)
    }
}
