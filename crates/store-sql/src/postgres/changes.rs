//! Changes of rows, gathered by table so that each table takes one statement. Of changes to one row the last one counts.

use super::columns::{self, column};
use super::session::{Call, Param};
use super::{remove, sql};
use crate::encode;
use everloop_store::error::StoreError;
use everloop_store::rows::{
    BlobRow, DependencyRow, Installation, JobRow, KeyHash, KeyRow, LeaseRow, OutboxRow, QueueRow,
    SigningKeyRow, TenantRow, TimerRow,
};
use everloop_store::work::Row;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};

type QueueKey = (i64, TenantId, i64, TaskId);

/// What a write set does to rows. Maps are in key order: the order in which rows are locked.
#[derive(Default)]
pub(super) struct Changes<'a> {
    queue: BTreeMap<QueueKey, (bool, &'a QueueRow)>,
    leases: BTreeMap<TaskId, Option<&'a LeaseRow>>,
    timers: BTreeMap<TaskId, Option<&'a TimerRow>>,
    dependencies: BTreeMap<(TaskId, TaskId), Option<&'a DependencyRow>>,
    outbox: BTreeMap<TaskId, Option<&'a OutboxRow>>,
    workers: BTreeMap<WorkerId, Option<&'a Worker>>,
    paused_queues: BTreeMap<&'a str, bool>,
    blobs: BTreeMap<(TenantId, &'a str), Option<&'a BlobRow>>,
    blob_uses: BTreeSet<(TenantId, &'a str, TaskId)>,
    keys: BTreeMap<KeyHash, &'a KeyRow>,
    moved_keys: BTreeMap<KeyHash, (TaskId, TaskId, Option<&'a KeyHash>)>,
    jobs: BTreeMap<&'a str, Option<&'a JobRow>>,
    installation: Option<&'a Installation>,
    tenants: BTreeMap<TenantId, &'a TenantRow>,
    signing_keys: BTreeMap<&'a str, &'a SigningKeyRow>,
    removals: remove::Removals<'a>,
}

impl<'a> Changes<'a> {
    /// Takes a row in.
    pub(super) fn add(&mut self, row: &'a Row) {
        let queue_key = |row: &QueueRow| (row.lane.0, row.tenant, -i64::from(row.priority), row.task);
        match row {
            // Taken when the heads were compared.
            Row::KeyNew(_) => {}
            Row::KeyPut(key) => drop(self.keys.insert(key.hash, key)),
            Row::KeyMove { hash, from, to, request } => {
                self.moved_keys.insert(*hash, (*from, *to, request.as_ref()));
            }
            Row::JobPut(job) => drop(self.jobs.insert(&job.name, Some(job))),
            Row::JobDelete(name) => drop(self.jobs.insert(name, None)),
            Row::InstallationPut(installation) => self.installation = Some(installation),
            Row::QueuePut(row) => drop(self.queue.insert(queue_key(row), (true, row))),
            Row::QueueDelete(row) => drop(self.queue.insert(queue_key(row), (false, row))),
            Row::LeasePut(row) => drop(self.leases.insert(row.task, Some(row))),
            Row::LeaseDelete(task) => drop(self.leases.insert(*task, None)),
            Row::TimerPut(row) => drop(self.timers.insert(row.task, Some(row))),
            Row::TimerDelete(task) => drop(self.timers.insert(*task, None)),
            Row::DependencyPut(row) => {
                self.dependencies.insert((row.dependent, row.prerequisite), Some(row));
            }
            Row::DependencyDelete { prerequisite, dependent } => {
                self.dependencies.insert((*dependent, *prerequisite), None);
            }
            Row::OutboxPut(row) => drop(self.outbox.insert(row.task, Some(row))),
            Row::OutboxDelete(task) => drop(self.outbox.insert(*task, None)),
            Row::WorkerPut(worker) => drop(self.workers.insert(worker.id, Some(worker))),
            Row::WorkerDelete(id) => drop(self.workers.insert(*id, None)),
            Row::QueuePaused { queue, paused } => drop(self.paused_queues.insert(queue, *paused)),
            Row::BlobPut(row) => drop(self.blobs.insert((row.tenant, &row.id), Some(row))),
            Row::BlobUse { blob, tenant, task } => drop(self.blob_uses.insert((*tenant, blob, *task))),
            Row::BlobDelete { blob, tenant } => drop(self.blobs.insert((*tenant, blob), None)),
            Row::TenantPut(row) => drop(self.tenants.insert(row.id, row)),
            Row::SigningKeyPut(row) => drop(self.signing_keys.insert(&row.kid, row)),
            Row::StreamDelete { .. }
            | Row::PayloadsErase { .. }
            | Row::StreamTrim { .. }
            | Row::KeysSweep { .. } => {
                self.removals.add(row);
            }
        }
    }

    /// The statements, tables always in the same order.
    pub(super) fn calls(&self, calls: &mut Vec<Call<'a>>) -> Result<(), StoreError> {
        let mut call = |statement, params| calls.push(Call::Run(statement, params));
        let (put, gone): (Vec<_>, Vec<_>) = self.queue.values().partition(|(put, _)| *put);
        if !gone.is_empty() {
            let rows: Vec<&QueueRow> = gone.into_iter().map(|(_, row)| row).collect();
            call(&sql::QUEUE_DELETE, columns::queue_key(&rows));
        }
        if !put.is_empty() {
            let rows: Vec<&QueueRow> = put.into_iter().map(|(_, row)| row).collect();
            call(&sql::QUEUE_PUT, columns::queue(&rows));
        }
        let (put, gone) = split(&self.leases);
        if !gone.is_empty() {
            call(&sql::LEASE_DELETE, vec![column(&gone, |task| task.0.to_vec())]);
        }
        if !put.is_empty() {
            call(&sql::LEASE_PUT, columns::leases(&put));
        }
        let (put, gone) = split(&self.timers);
        if !gone.is_empty() {
            call(&sql::TIMER_DELETE, vec![column(&gone, |task| task.0.to_vec())]);
        }
        if !put.is_empty() {
            let params = vec![
                column(&put, |row| &row.task.0[..]),
                column(&put, |row| &row.tenant.0[..]),
                column(&put, |row| row.at.as_micros()),
            ];
            call(&sql::TIMER_PUT, params);
        }
        let (put, gone) = split(&self.dependencies);
        if !gone.is_empty() {
            let params = vec![column(&gone, |key| key.0.0.to_vec()), column(&gone, |key| key.1.0.to_vec())];
            call(&sql::DEPENDENCY_DELETE, params);
        }
        if !put.is_empty() {
            call(&sql::DEPENDENCY_PUT, columns::dependencies(&put));
        }
        let (put, gone) = split(&self.outbox);
        if !gone.is_empty() {
            call(&sql::OUTBOX_DELETE, vec![column(&gone, |task| task.0.to_vec())]);
        }
        if !put.is_empty() {
            let params = vec![column(&put, |row| &row.task.0[..]), column(&put, |row| &row.tenant.0[..])];
            call(&sql::OUTBOX_PUT, params);
        }
        let (put, gone) = split(&self.workers);
        if !gone.is_empty() {
            call(&sql::WORKER_DELETE, vec![column(&gone, |id| id.0.to_vec())]);
        }
        if !put.is_empty() {
            let docs = put.iter().copied().map(encode::json).collect::<Result<Vec<_>, _>>()?;
            call(&sql::WORKER_PUT, vec![column(&put, |worker| &worker.id.0[..]), Box::new(docs)]);
        }
        self.rare_calls(calls);
        Ok(())
    }

    fn rare_calls(&self, calls: &mut Vec<Call<'a>>) {
        let mut call = |statement, params| calls.push(Call::Run(statement, params));
        for (paused, statement) in [(false, &sql::QUEUE_RESUME), (true, &sql::QUEUE_PAUSE)] {
            let queues: Vec<&str> =
                self.paused_queues.iter().filter(|(_, is)| **is == paused).map(|(queue, _)| *queue).collect();
            if !queues.is_empty() {
                call(statement, vec![Box::new(queues)]);
            }
        }
        let (put, gone) = split(&self.blobs);
        if !put.is_empty() {
            call(&sql::BLOB_PUT, columns::blobs(&put));
        }
        if !self.blob_uses.is_empty() {
            let rows: Vec<_> = self.blob_uses.iter().copied().collect();
            let params = vec![
                column(&rows, |(tenant, _, _)| tenant.0.to_vec()),
                column(&rows, |(_, blob, _)| *blob),
                column(&rows, |(_, _, task)| task.0.to_vec()),
            ];
            call(&sql::BLOB_USE, params);
        }
        if !self.keys.is_empty() {
            call(&sql::KEY_PUT, columns::keys(&self.keys.values().copied().collect::<Vec<_>>()));
        }
        if !self.moved_keys.is_empty() {
            let rows: Vec<_> = self.moved_keys.iter().collect();
            let params = vec![
                column(&rows, |(_, (_, to, _))| to.0.to_vec()),
                column(&rows, |(_, (_, _, request))| request.map(|request| &request[..])),
                column(&rows, |(hash, _)| hash.to_vec()),
                column(&rows, |(_, (from, _, _))| from.0.to_vec()),
            ];
            call(&sql::KEY_MOVE, params);
        }
        let (put, names) = split(&self.jobs);
        if !put.is_empty() {
            let params = vec![
                column(&put, |job| &*job.name),
                column(&put, |job| job.ran_at.as_micros()),
                column(&put, |job| job.upto.map(|(at, _)| at.as_micros())),
                column(&put, |job| job.upto.as_ref().map(|(_, task)| &task.0[..])),
            ];
            call(&sql::JOB_PUT, params);
        }
        if !names.is_empty() {
            call(&sql::JOB_DELETE, vec![Box::new(names)]);
        }
        if let Some(installation) = self.installation {
            let params: Vec<Param<'a>> = vec![
                Box::new(&installation.id.0[..]),
                Box::new(i64::from(installation.epoch)),
                Box::new(installation.created_at.as_micros()),
            ];
            call(&sql::INSTALLATION_PUT, params);
        }
        if !self.tenants.is_empty() {
            let rows: Vec<&TenantRow> = self.tenants.values().copied().collect();
            let params = vec![
                column(&rows, |row| &row.id.0[..]),
                column(&rows, |row| &*row.name),
                column(&rows, |row| &row.secret[..]),
                column(&rows, |row| row.created_at.as_micros()),
            ];
            call(&sql::TENANT_PUT, params);
        }
        if !self.signing_keys.is_empty() {
            let rows: Vec<&SigningKeyRow> = self.signing_keys.values().copied().collect();
            let params = vec![
                column(&rows, |row| &*row.kid),
                column(&rows, |row| &row.public[..]),
                column(&rows, |row| row.created_at.as_micros()),
            ];
            call(&sql::SIGNING_KEY_PUT, params);
        }
        self.removals.calls(calls);
        // After the streams that named them.
        if !gone.is_empty() {
            let params =
                vec![column(&gone, |(tenant, _)| tenant.0.to_vec()), column(&gone, |(_, blob)| *blob)];
            calls.push(Call::Run(&sql::BLOB_DELETE, params));
        }
    }
}

/// Rows that are put, and keys of rows that go.
fn split<'a, K: Copy, R>(rows: &BTreeMap<K, Option<&'a R>>) -> (Vec<&'a R>, Vec<K>) {
    let gone = rows.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| *key).collect();
    (rows.values().copied().flatten().collect(), gone)
}
