//! Everything else that is read.

use super::fault::Disk;
use super::{MemoryReader, MemoryStore};
use crate::port::{EventRead, InstallationRead, QueueRead, Read, Snapshot, SnapshotRead, WorkerRead};
use crate::rows::{
    BlobRow, DependencyRow, Depth, Installation, JobRow, Lane, LaneId, LeaseRow, OutboxRow, Positioned,
    SigningKeyRow, TenantRow, TimerRow,
};
use crate::work::Row;
use everloop_types::event::{Event, Head};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use everloop_types::worker::Worker;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

impl EventRead for MemoryReader {
    fn events(&self, tenant: TenantId, stream: StreamName, after: u64, limit: usize) -> Read<Vec<Event>> {
        let disk = self.store.disk();
        let Some(stream) = disk.read()?.stream(tenant, stream) else {
            return Ok(Vec::new());
        };
        let found = stream.events.range((Bound::Excluded(after), Bound::Unbounded)).take(limit);
        Ok(found.map(|(_, (_, event))| event.clone()).collect())
    }

    fn payloads(
        &self,
        tenant: TenantId,
        stream: StreamName,
        kind: &str,
        after: u64,
        limit: usize,
    ) -> Read<Vec<u64>> {
        let disk = self.store.disk();
        let Some(stream) = disk.read()?.stream(tenant, stream) else {
            return Ok(Vec::new());
        };
        let found = stream.events.range((Bound::Excluded(after), Bound::Unbounded));
        let found = found.filter(|(_, (_, event))| event.kind == kind && event.payload.is_some());
        Ok(found.map(|(seq, _)| *seq).take(limit).collect())
    }

    fn event(&self, tenant: TenantId, stream: StreamName, seq: u64) -> Read<Option<Event>> {
        let disk = self.store.disk();
        let found = disk.read()?.stream(tenant, stream).and_then(|stream| stream.events.get(&seq));
        Ok(found.map(|(_, event)| event.clone()))
    }

    fn head(&self, tenant: TenantId, stream: StreamName) -> Read<Option<Head>> {
        Ok(self.store.disk().read()?.stream(tenant, stream).map(|stream| stream.head))
    }

    fn anchor(&self, tenant: TenantId, stream: StreamName) -> Read<Option<(u64, String)>> {
        Ok(self.store.disk().read()?.stream(tenant, stream).and_then(|stream| stream.anchor.clone()))
    }

    fn feed(&self, tenant: TenantId, after: i64, limit: usize) -> Read<Vec<Positioned>> {
        let disk = self.store.disk();
        let state = disk.read()?;
        let found =
            state.feed.range((Bound::Excluded(after), Bound::Unbounded)).filter_map(|(pos, (name, seq))| {
                let (_, event) = state.stream(tenant, *name)?.events.get(seq)?;
                Some(Positioned { pos: *pos, event: event.clone() })
            });
        Ok(found.take(limit).collect())
    }

    fn last_position(&self, tenant: TenantId) -> Read<i64> {
        let disk = self.store.disk();
        let state = disk.read()?;
        let last = state.feed.iter().rev().find(|(_, (name, _))| state.stream(tenant, *name).is_some());
        Ok(last.map_or(0, |(pos, _)| *pos))
    }

    fn audit_segment(&self, tenant: TenantId) -> Read<Option<u32>> {
        let disk = self.store.disk();
        let all = StreamName::Audit(tenant, 0)..=StreamName::Audit(tenant, u32::MAX);
        Ok(disk.read()?.streams.range(all).next_back().and_then(|(name, _)| match name {
            StreamName::Audit(_, segment) => Some(*segment),
            StreamName::Task(_) => None,
        }))
    }
}

impl QueueRead for MemoryReader {
    fn lanes(&self) -> Read<Vec<(LaneId, Lane)>> {
        Ok(self.store.disk().read()?.lanes.iter().map(|(id, lane)| (*id, lane.clone())).collect())
    }

    fn depths(&self) -> Read<Vec<Depth>> {
        let disk = self.store.disk();
        let mut depths: BTreeMap<(LaneId, TenantId), Depth> = BTreeMap::new();
        for row in disk.read()?.queue.values() {
            let depth = depths.entry((row.lane, row.tenant)).or_insert_with(|| Depth {
                lane: row.lane,
                tenant: row.tenant,
                tasks: 0,
                oldest: row.since,
            });
            depth.tasks += 1;
            depth.oldest = depth.oldest.min(row.since);
        }
        Ok(depths.into_values().collect())
    }

    fn leases(&self) -> Read<Vec<LeaseRow>> {
        Ok(self.store.disk().read()?.leases.values().cloned().collect())
    }

    fn timers_due(&self, at: Timestamp, limit: usize) -> Read<Vec<TimerRow>> {
        let disk = self.store.disk();
        Ok(disk.read()?.timers_by_time.iter().take_while(|row| row.at <= at).take(limit).copied().collect())
    }

    fn next_timer(&self) -> Read<Option<Timestamp>> {
        Ok(self.store.disk().read()?.timers_by_time.first().map(|row| row.at))
    }

    fn outbox(&self, limit: usize) -> Read<Vec<OutboxRow>> {
        Ok(self.store.disk().read()?.outbox.values().take(limit).copied().collect())
    }

    fn dependents(&self, task: TaskId, limit: usize) -> Read<Vec<DependencyRow>> {
        let disk = self.store.disk();
        let all = (task, TaskId([0; 16]))..=(task, TaskId([0xff; 16]));
        Ok(disk.read()?.dependencies.range(all).take(limit).map(|(_, row)| *row).collect())
    }

    fn live_children(&self, tenant: TenantId, parent: TaskId, limit: usize) -> Read<Vec<TaskId>> {
        Ok(self.store.disk().read()?.live_children(tenant, parent).take(limit).collect())
    }

    fn paused_queues(&self) -> Read<Vec<String>> {
        Ok(self.store.disk().read()?.paused_queues.iter().cloned().collect())
    }
}

impl WorkerRead for MemoryReader {
    fn workers(&self) -> Read<Vec<Worker>> {
        Ok(self.store.disk().read()?.workers.values().cloned().collect())
    }

    fn worker(&self, id: WorkerId) -> Read<Option<Worker>> {
        Ok(self.store.disk().read()?.workers.get(&id).cloned())
    }
}

impl InstallationRead for MemoryReader {
    fn installation(&self) -> Read<Installation> {
        Ok(self.store.disk().read()?.installation)
    }

    fn tenants(&self) -> Read<Vec<TenantRow>> {
        Ok(self.store.disk().read()?.tenants.values().cloned().collect())
    }

    fn signing_keys(&self) -> Read<Vec<SigningKeyRow>> {
        let mut keys: Vec<_> = self.store.disk().read()?.signing_keys.values().cloned().collect();
        keys.sort_by_key(|key| key.created_at);
        Ok(keys)
    }

    fn job(&self, name: &str) -> Read<Option<JobRow>> {
        Ok(self.store.disk().read()?.jobs.get(name).cloned())
    }

    fn blob(&self, tenant: TenantId, id: &str) -> Read<Option<BlobRow>> {
        Ok(self.store.disk().read()?.blobs.get(&(tenant, id.to_owned())).cloned())
    }

    fn blobs_unused(&self, put_before: Timestamp, limit: usize) -> Read<Vec<BlobRow>> {
        let disk = self.store.disk();
        let state = disk.read()?;
        let unused =
            state.blobs.iter().filter(|(key, row)| row.put_at < put_before && !state.is_blob_used(key));
        Ok(unused.take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn ping(&self) -> Read<()> {
        self.store.disk().read().map(drop)
    }
}

impl SnapshotRead for MemoryReader {
    fn snapshot(&self) -> Read<Box<dyn Snapshot>> {
        let disk = Disk::of(self.store.disk().read()?.clone());
        let store = MemoryStore { disk: Arc::new(Mutex::new(disk)), blobs: self.store.blobs.clone() };
        Ok(Box::new(Self { store }))
    }
}

impl Snapshot for MemoryReader {
    fn rows(&self, each: &mut dyn FnMut(Row) -> Read<()>) -> Read<()> {
        let disk = self.store.disk();
        let state = disk.read()?;
        let uses = state.blob_uses.iter().map(|((tenant, blob), task)| Row::BlobUse {
            blob: blob.clone(),
            tenant: *tenant,
            task: *task,
        });
        let paused = |queue: &String| Row::QueuePaused { queue: queue.clone(), paused: true };
        (state.tenants.values().cloned().map(Row::TenantPut))
            .chain(state.signing_keys.values().cloned().map(Row::SigningKeyPut))
            .chain(state.paused_queues.iter().map(paused))
            .chain(state.jobs.values().cloned().map(Row::JobPut))
            .chain(state.keys.values().cloned().map(Row::KeyPut))
            .chain(state.queue.values().cloned().map(Row::QueuePut))
            .chain(state.leases.values().cloned().map(Row::LeasePut))
            .chain(state.timers.values().copied().map(Row::TimerPut))
            .chain(state.dependencies.values().copied().map(Row::DependencyPut))
            .chain(state.outbox.values().copied().map(Row::OutboxPut))
            .chain(state.blobs.values().cloned().map(Row::BlobPut))
            .chain(uses)
            .try_for_each(each)
    }
}
