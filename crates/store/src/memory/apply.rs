//! Write sets.

use super::state::{BlobKey, Record, State, Stream};
use crate::error::StoreError;
use crate::rows::{DependencyRow, KeyRow, QueueRow, TimerRow};
use crate::work::{Committed, Row, StreamWrite, WriteSet};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::stream::StreamName;
use everloop_types::task::Task;
use everloop_types::time::Timestamp;
use std::cmp::Reverse;

impl State {
    /// Writes a set. After an error half of it may be there.
    pub(super) fn apply(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        let mut done = Committed::default();
        let staying: Vec<_> = writes.streams.iter().filter(|write| self.stays(write, &mut done)).collect();
        for lane in &writes.lanes {
            done.rows_written += u64::from(self.lanes.insert(lane.id(), lane.clone()).is_none());
        }
        for write in &staying {
            self.grow(write, &mut done);
        }
        for row in staying.iter().flat_map(|write| &write.rows).chain(&writes.rows) {
            done.rows_written += self.write_row(row)?;
        }
        Ok(done)
    }

    /// Compares head and new keys, and takes the keys of a stream that stays.
    fn stays(&mut self, write: &StreamWrite, done: &mut Committed) -> bool {
        let head_is_expected = match self.streams.get(&write.stream) {
            Some(stream) => stream.tenant == write.tenant && stream.head.seq == write.expected,
            None => write.expected == 0,
        };
        let new_keys = || write.rows.iter().filter_map(new_key);
        let stays = head_is_expected && new_keys().all(|key| !self.keys.contains_key(&key.hash));
        if stays {
            for key in new_keys() {
                self.keys.insert(key.hash, key.clone());
                done.rows_written += 1;
            }
        } else {
            done.moved.push(write.stream);
        }
        stays
    }

    fn grow(&mut self, write: &StreamWrite, done: &mut Committed) {
        if write.events.is_empty() {
            return;
        }
        let stream = self.streams.entry(write.stream).or_insert_with(|| Stream {
            tenant: write.tenant,
            head: write.head,
            events: Default::default(),
            anchor: None,
        });
        stream.head = write.head;
        for event in &write.events {
            self.last_pos += 1;
            stream.events.insert(event.seq, (self.last_pos, event.clone()));
            self.feed.insert(self.last_pos, (write.stream, event.seq));
            done.last_pos = Some(self.last_pos);
            done.rows_written += 1;
        }
        if let Some(new) = &write.task {
            if let Some(parent) = &new.task.spec.parent {
                self.children.insert((parent.task, new.task.id));
            }
            let record = self.tasks.entry(new.task.id).or_insert_with(|| Record {
                task: Task::clone(&new.task),
                data_subject: new.data_subject.clone(),
                signature: None,
            });
            record.task = Task::clone(&new.task);
            if let Some(signature) = &new.signature {
                record.signature = Some(signature.clone());
            }
            done.rows_written += 1;
        }
    }

    /// Writes a row and says how many it touched.
    fn write_row(&mut self, row: &Row) -> Result<u64, StoreError> {
        let touched = match row {
            // Taken when the streams were compared.
            Row::KeyNew(_) => 0,
            Row::KeyPut(key) => {
                self.keys.insert(key.hash, key.clone());
                1
            }
            Row::KeyMove { hash, from, to, request } => match self.keys.get_mut(hash) {
                Some(key) if key.task == *from => {
                    (key.task, key.request) = (*to, request.unwrap_or(key.request));
                    key.deleted_at = None;
                    1
                }
                Some(_) | None => 0,
            },
            Row::QueuePut(row) => {
                self.needs_task(row.tenant, row.task, "queue")?;
                self.queue.insert(queue_key(row), row.clone());
                1
            }
            Row::QueueDelete(row) => u64::from(self.queue.remove(&queue_key(row)).is_some()),
            Row::LeasePut(row) => {
                self.needs_task(row.tenant, row.task, "lease")?;
                self.leases.insert(row.task, row.clone());
                1
            }
            Row::LeaseDelete(task) => u64::from(self.leases.remove(task).is_some()),
            Row::TimerPut(row) => {
                self.needs_task(row.tenant, row.task, "timer")?;
                self.timer_put(*row);
                1
            }
            Row::TimerDelete(task) => self.timer_delete(*task),
            Row::DependencyPut(row) => {
                self.needs_task(row.tenant, row.prerequisite, "dependency")?;
                self.needs_task(row.tenant, row.dependent, "dependency")?;
                self.dependency_put(*row);
                1
            }
            Row::DependencyDelete { prerequisite, dependent } => {
                self.dependency_delete(*prerequisite, *dependent)
            }
            Row::OutboxPut(row) => {
                self.needs_task(row.tenant, row.task, "outbox")?;
                self.outbox.insert(row.task, *row);
                1
            }
            Row::OutboxDelete(task) => u64::from(self.outbox.remove(task).is_some()),
            Row::WorkerPut(worker) => {
                self.workers.insert(worker.id, worker.clone());
                1
            }
            Row::WorkerDelete(id) => u64::from(self.workers.remove(id).is_some()),
            Row::QueuePaused { queue, paused: true } => u64::from(self.paused_queues.insert(queue.clone())),
            Row::QueuePaused { queue, paused: false } => u64::from(self.paused_queues.remove(queue)),
            Row::BlobPut(row) => {
                self.blobs.insert((row.tenant, row.id.clone()), row.clone());
                1
            }
            Row::BlobUse { blob, tenant, task } => self.blob_use((*tenant, blob.clone()), *task)?,
            Row::BlobDelete { blob, tenant } => self.blob_delete(&(*tenant, blob.clone())),
            Row::JobPut(job) => {
                self.jobs.insert(job.name.clone(), job.clone());
                1
            }
            Row::JobDelete(name) => u64::from(self.jobs.remove(name).is_some()),
            Row::InstallationPut(installation) => {
                self.installation = *installation;
                1
            }
            Row::TenantPut(row) => {
                self.tenants.insert(row.id, row.clone());
                1
            }
            Row::SigningKeyPut(row) => {
                self.signing_keys.insert(row.kid.clone(), row.clone());
                1
            }
            Row::StreamDelete { tenant, task, at } => self.stream_delete(*tenant, *task, *at),
            Row::PayloadsErase { tenant, stream, seqs } => self.payloads_erase(*tenant, *stream, seqs),
            Row::StreamTrim { tenant, stream, upto_seq, anchor } => {
                self.stream_trim(*tenant, *stream, *upto_seq, anchor)
            }
            Row::KeysSweep { deleted_before } => {
                let before = self.keys.len();
                self.keys.retain(|_, key| key.deleted_at.is_none_or(|at| at >= *deleted_before));
                (before - self.keys.len()) as u64
            }
        };
        Ok(touched)
    }

    fn needs_task(&self, tenant: TenantId, task: TaskId, what: &str) -> Result<(), StoreError> {
        if self.tasks.get(&task).is_some_and(|record| record.task.tenant == tenant) {
            Ok(())
        } else {
            Err(StoreError::Bug(format!("a {what} row of {task}, which {tenant} does not have").into()))
        }
    }

    fn timer_put(&mut self, row: TimerRow) {
        self.timer_delete(row.task);
        self.timers.insert(row.task, row);
        self.timers_by_time.insert(row);
    }

    fn timer_delete(&mut self, task: TaskId) -> u64 {
        self.timers.remove(&task).map_or(0, |row| u64::from(self.timers_by_time.remove(&row)))
    }

    fn dependency_put(&mut self, row: DependencyRow) {
        self.dependencies.insert((row.prerequisite, row.dependent), row);
        self.prerequisites.insert((row.dependent, row.prerequisite));
    }

    fn dependency_delete(&mut self, prerequisite: TaskId, dependent: TaskId) -> u64 {
        self.prerequisites.remove(&(dependent, prerequisite));
        u64::from(self.dependencies.remove(&(prerequisite, dependent)).is_some())
    }

    fn blob_use(&mut self, blob: BlobKey, task: TaskId) -> Result<u64, StoreError> {
        self.needs_task(blob.0, task, "blob use")?;
        if !self.blobs.contains_key(&blob) {
            return Err(StoreError::Bug(
                format!("a use of the blob {}, which {} does not have", blob.1, blob.0).into(),
            ));
        }
        Ok(u64::from(self.blob_uses.insert((blob, task))))
    }

    fn blob_delete(&mut self, blob: &BlobKey) -> u64 {
        if self.is_blob_used(blob) { 0 } else { u64::from(self.blobs.remove(blob).is_some()) }
    }

    pub(super) fn is_blob_used(&self, blob: &BlobKey) -> bool {
        self.blob_uses.range((blob.clone(), TaskId([0; 16]))..).next().is_some_and(|(used, _)| used == blob)
    }

    fn stream_delete(&mut self, tenant: TenantId, task: TaskId, at: Timestamp) -> u64 {
        let Some(record) = self.tasks.get(&task).filter(|record| record.task.tenant == tenant) else {
            return 0;
        };
        if let Some(parent) = &record.task.spec.parent {
            self.children.remove(&(parent.task, task));
        }
        self.tasks.remove(&task);
        let mut touched = 1;
        if let Some(stream) = self.streams.remove(&StreamName::Task(task)) {
            for (pos, _) in stream.events.values() {
                self.feed.remove(pos);
                touched += 1;
            }
        }
        let rows = self.queue.len() + self.dependencies.len() + self.blob_uses.len();
        self.queue.retain(|_, row| row.task != task);
        self.dependencies.retain(|(prerequisite, dependent), _| *prerequisite != task && *dependent != task);
        self.prerequisites.retain(|(dependent, prerequisite)| *prerequisite != task && *dependent != task);
        self.blob_uses.retain(|(_, user)| *user != task);
        touched += (rows - self.queue.len() - self.dependencies.len() - self.blob_uses.len()) as u64;
        touched +=
            u64::from(self.leases.remove(&task).is_some()) + u64::from(self.outbox.remove(&task).is_some());
        touched += self.timer_delete(task);
        for key in self.keys.values_mut().filter(|key| key.task == task) {
            key.deleted_at = Some(at);
            touched += 1;
        }
        touched
    }

    fn payloads_erase(&mut self, tenant: TenantId, name: StreamName, seqs: &[u64]) -> u64 {
        let Some(stream) = self.streams.get_mut(&name).filter(|stream| stream.tenant == tenant) else {
            return 0;
        };
        seqs.iter()
            .filter(|seq| stream.events.get_mut(seq).is_some_and(|(_, event)| event.payload.take().is_some()))
            .count() as u64
    }

    fn stream_trim(&mut self, tenant: TenantId, name: StreamName, upto_seq: u64, anchor: &str) -> u64 {
        let Some(stream) = self.streams.get_mut(&name).filter(|stream| stream.tenant == tenant) else {
            return 0;
        };
        let rest = stream.events.split_off(&(upto_seq + 1));
        let gone = std::mem::replace(&mut stream.events, rest);
        for (pos, _) in gone.values() {
            self.feed.remove(pos);
        }
        stream.anchor = Some((upto_seq, anchor.to_owned()));
        gone.len() as u64 + 1
    }
}

fn queue_key(row: &QueueRow) -> super::state::QueueKey {
    (row.lane, row.tenant, Reverse(row.priority), row.task)
}

fn new_key(row: &Row) -> Option<&KeyRow> {
    if let Row::KeyNew(key) = row { Some(key) } else { None }
}
