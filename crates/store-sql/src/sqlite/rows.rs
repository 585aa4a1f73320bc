//! Writing one row that is no event and no task.

use super::run::Run;
use super::{remove, sql};
use crate::encode::{self, depends_on, int};
use crate::tally::Tally;
use everloop_store::error::StoreError;
use everloop_store::rows::{LeaseRow, QueueRow};
use everloop_store::work::{Row, StreamWrite};
use everloop_types::id::{TaskId, TenantId};
use rusqlite::params;

/// Writes a row and says how many it touched. `of` is the stream that it was written with.
pub(super) fn write(
    run: &mut Run<'_>,
    row: &Row,
    of: Option<&StreamWrite>,
    pos: i64,
    deleted: &mut bool,
    tally: &mut Tally,
) -> Result<u64, StoreError> {
    match row {
        // Taken when the heads were compared.
        Row::KeyNew(_) => Ok(0),
        Row::KeyPut(key) => {
            let deleted_at = key.deleted_at.map(|at| at.as_micros());
            run.execute(&sql::KEY_PUT, params![key.hash, key.tenant.0, key.task.0, key.request, deleted_at])
        }
        Row::KeyMove { hash, from, to, request } => {
            run.execute(&sql::KEY_MOVE, params![to.0, request, hash, from.0])
        }
        Row::QueuePut(row) => {
            needs_task(run, of, row.tenant, row.task, "queue")?;
            queue_put(run, row)
        }
        Row::QueueDelete(row) => {
            run.execute(&sql::QUEUE_DELETE, params![row.lane.0, row.tenant.0, -row.priority, row.task.0])
        }
        Row::LeasePut(row) => {
            needs_task(run, of, row.tenant, row.task, "lease")?;
            lease_put(run, row)
        }
        Row::LeaseDelete(task) => run.execute(&sql::LEASE_DELETE, [task.0]),
        Row::TimerPut(row) => {
            needs_task(run, of, row.tenant, row.task, "timer")?;
            run.execute(&sql::TIMER_PUT, params![row.task.0, row.tenant.0, row.at.as_micros()])
        }
        Row::TimerDelete(task) => run.execute(&sql::TIMER_DELETE, [task.0]),
        Row::DependencyPut(row) => {
            needs_task(run, of, row.tenant, row.prerequisite, "dependency")?;
            needs_task(run, of, row.tenant, row.dependent, "dependency")?;
            let params = params![row.dependent.0, row.prerequisite.0, row.tenant.0, depends_on(row.on)];
            run.execute(&sql::DEPENDENCY_PUT, params)
        }
        Row::DependencyDelete { prerequisite, dependent } => {
            run.execute(&sql::DEPENDENCY_DELETE, [dependent.0, prerequisite.0])
        }
        Row::OutboxPut(row) => {
            needs_task(run, of, row.tenant, row.task, "outbox")?;
            run.execute(&sql::OUTBOX_PUT, [row.task.0, row.tenant.0])
        }
        Row::OutboxDelete(task) => run.execute(&sql::OUTBOX_DELETE, [task.0]),
        Row::WorkerPut(worker) => run.execute(&sql::WORKER_PUT, params![worker.id.0, encode::json(worker)?]),
        Row::WorkerDelete(id) => run.execute(&sql::WORKER_DELETE, [id.0]),
        Row::QueuePaused { queue, paused: true } => run.execute(&sql::QUEUE_PAUSE, [queue]),
        Row::QueuePaused { queue, paused: false } => run.execute(&sql::QUEUE_RESUME, [queue]),
        Row::BlobPut(row) => {
            let size = int(row.size);
            let put_at = row.put_at.as_micros();
            run.execute(
                &sql::BLOB_PUT,
                params![row.tenant.0, row.id, size, row.media_type, row.inner, row.salt, put_at],
            )
        }
        Row::BlobUse { blob, tenant, task } => {
            needs_task(run, of, *tenant, *task, "blob use")?;
            if !run.exists(&sql::BLOB_EXISTS, params![tenant.0, blob])? {
                return Err(StoreError::Bug(
                    format!("a use of the blob {blob}, which {tenant} does not have").into(),
                ));
            }
            run.execute(&sql::BLOB_USE, params![tenant.0, blob, task.0])
        }
        Row::BlobDelete { blob, tenant } => run.execute(&sql::BLOB_DELETE, params![tenant.0, blob]),
        Row::JobPut(job) => {
            let (at, task) = job.upto.map(|(at, task)| (at.as_micros(), task.0)).unzip();
            run.execute(&sql::JOB_PUT, params![job.name, job.ran_at.as_micros(), at, task])
        }
        Row::JobDelete(name) => run.execute(&sql::JOB_DELETE, [name]),
        Row::InstallationPut(row) => {
            run.execute(&sql::INSTALLATION_PUT, params![row.id.0, row.epoch, row.created_at.as_micros()])
        }
        Row::TenantPut(row) => {
            let created_at = row.created_at.as_micros();
            run.execute(&sql::TENANT_PUT, params![row.id.0, row.name, row.secret, created_at])
        }
        Row::SigningKeyPut(row) => {
            run.execute(&sql::SIGNING_KEY_PUT, params![row.kid, row.public, row.created_at.as_micros()])
        }
        Row::StreamDelete { tenant, task, at } => {
            *deleted = true;
            remove::stream(run, *tenant, *task, *at, pos, tally)
        }
        Row::PayloadsErase { tenant, stream, seqs } => {
            *deleted = true;
            remove::payloads(run, *tenant, *stream, seqs)
        }
        Row::StreamTrim { tenant, stream, upto_seq, anchor } => {
            *deleted = true;
            remove::events(run, *tenant, *stream, *upto_seq, anchor, pos)
        }
        Row::KeysSweep { deleted_before } => run.execute(&sql::KEYS_SWEEP, [deleted_before.as_micros()]),
    }
}

/// Refuses a row whose task is not there. The task that the row was written with is: its stream was compared.
fn needs_task(
    run: &mut Run<'_>,
    of: Option<&StreamWrite>,
    tenant: TenantId,
    task: TaskId,
    what: &str,
) -> Result<(), StoreError> {
    let own = of.is_some_and(|write| write.tenant == tenant && write.stream.task() == Some(task));
    if own || run.exists(&sql::TASK_EXISTS, [tenant.0, task.0])? {
        return Ok(());
    }
    Err(StoreError::Bug(format!("a {what} row of {task}, which {tenant} does not have").into()))
}

fn queue_put(run: &mut Run<'_>, row: &QueueRow) -> Result<u64, StoreError> {
    let (key, limit) = row.concurrency.unzip();
    run.execute(
        &sql::QUEUE_PUT,
        params![row.lane.0, row.tenant.0, -row.priority, row.task.0, row.since.as_micros(), key, limit],
    )
}

fn lease_put(run: &mut Run<'_>, row: &LeaseRow) -> Result<u64, StoreError> {
    run.execute(
        &sql::LEASE_PUT,
        params![
            row.task.0,
            row.tenant.0,
            row.token.epoch,
            row.token.attempt,
            row.token.nonce.cast_signed(),
            row.worker.0,
            row.incarnation.map(|incarnation| incarnation.0),
            row.expires_at.as_micros(),
            row.batch,
            row.concurrency,
        ],
    )
}
