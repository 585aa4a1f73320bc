//! What may be removed: a whole stream, payloads, and the beginning of a stream.

use super::run::Run;
use super::sql;
use crate::decode::counted;
use crate::encode::{int, stream_key};
use crate::tally::Tally;
use crate::value::corrupt;
use everloop_journal::digest::Hasher;
use everloop_store::error::StoreError;
use everloop_types::id::{TaskId, TenantId};
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use rusqlite::params;

/// A stream with its task and everything of it; its keys are marked.
pub(super) fn stream(
    run: &mut Run<'_>,
    tenant: TenantId,
    task: TaskId,
    at: Timestamp,
    pos: i64,
    tally: &mut Tally,
) -> Result<u64, StoreError> {
    let found = run.one(&sql::REMOVED_TASK, [tenant.0, task.0], |row| Ok((row.int(0)?, counted(row, 1)?)))?;
    let Some((number, old)) = found else {
        return Ok(0);
    };
    tally.removed(tenant, &old);
    let mut rows = run.execute(&sql::TASK_DELETE, [number])?;
    rows += remove_events(run, &task.0, i64::MAX, pos)?;
    for statement in [
        &sql::TASK_QUEUE_DELETE,
        &sql::LEASE_DELETE,
        &sql::TIMER_DELETE,
        &sql::TASK_DEPENDENCIES_DELETE,
        &sql::OUTBOX_DELETE,
        &sql::TASK_BLOBS_DELETE,
    ] {
        rows += run.execute(statement, [task.0])?;
    }
    run.execute(&sql::ANCHOR_DELETE, [task.0])?;
    rows += run.execute(&sql::TASK_KEYS_MARK, params![at.as_micros(), task.0])?;
    Ok(rows)
}

/// Events up to a number; the trigger lets them go because of the row that says so.
fn remove_events(run: &mut Run<'_>, stream: &[u8; 16], upto_seq: i64, pos: i64) -> Result<u64, StoreError> {
    run.execute(&sql::LAST_POS_KEEP, [pos])?;
    run.execute(&sql::REMOVAL_ALLOW, params![stream, upto_seq])?;
    let rows = run.execute(&sql::EVENTS_DELETE, params![stream, upto_seq])?;
    run.execute(&sql::REMOVAL_END, [stream])?;
    Ok(rows)
}

/// The beginning of a stream; its anchor stays.
pub(super) fn events(
    run: &mut Run<'_>,
    tenant: TenantId,
    stream: StreamName,
    upto_seq: u64,
    anchor: &str,
    pos: i64,
) -> Result<u64, StoreError> {
    let key = stream_key(stream);
    let statement = match stream {
        StreamName::Task(_) => &sql::REMOVED_TASK,
        StreamName::Audit(..) => &sql::REMOVED_STREAM,
    };
    if !run.exists(statement, [tenant.0, key])? {
        return Ok(0);
    }
    let rows = remove_events(run, &key, int(upto_seq), pos)?;
    Ok(rows + run.execute(&sql::ANCHOR_PUT, params![key, tenant.0, int(upto_seq), anchor])?)
}

/// Salt and data of events; their digest stays.
pub(super) fn payloads(
    run: &mut Run<'_>,
    tenant: TenantId,
    stream: StreamName,
    seqs: &[u64],
) -> Result<u64, StoreError> {
    let key = stream_key(stream);
    let mut rows = 0;
    for seq in seqs {
        let seq = int(*seq);
        let digest = run.one(&sql::PAYLOAD, params![key, seq, tenant.0], |row| {
            if row.int(2)? != 0 {
                return Err(corrupt(format!("event {stream}/{seq}: unknown codec")));
            }
            let mut hasher = Hasher::default();
            hasher.update(row.bytes(0)?);
            hasher.update(row.bytes(1)?);
            Ok(hasher.finish())
        })?;
        if let Some(digest) = digest {
            rows += run.execute(&sql::PAYLOAD_ERASE, params![digest, key, seq])?;
        }
    }
    Ok(rows)
}
