//! Records as columns: one array for each column, one element for each row.

use super::session::Param;
use crate::encode::{self, depends_on, int, stream_key};
use crate::record;
use crate::tally::Change;
use everloop_store::error::StoreError;
use everloop_store::rows::{BlobRow, DependencyRow, KeyRow, Lane, LeaseRow, QueueRow};
use everloop_store::work::{StreamWrite, TaskWrite};
use everloop_types::event::Event;
use everloop_types::stream::StreamName;
use tokio_postgres::types::ToSql;

/// A column over these rows.
pub(super) fn column<'a, R, T: ToSql + Sync + 'a>(rows: &[R], value: impl FnMut(&R) -> T) -> Param<'a> {
    Box::new(rows.iter().map(value).collect::<Vec<T>>())
}

/// Events with their positions.
pub(super) fn events<'a>(rows: &[(i64, &'a Event)]) -> Vec<Param<'a>> {
    let payload = |row: &(i64, &'a Event)| row.1.payload.as_ref();
    vec![
        column(rows, |(pos, _)| *pos),
        column(rows, |(_, event)| stream_key(event.stream).to_vec()),
        column(rows, |(_, event)| int(event.seq)),
        column(rows, |(_, event)| &event.tenant.0[..]),
        column(rows, |(_, event)| i64::from(event.v)),
        column(rows, |(_, event)| i64::from(event.body_v)),
        column(rows, |(_, event)| event.ts.as_micros()),
        column(rows, |(_, event)| encode::kind(&event.kind)),
        column(rows, |(_, event)| encode::actor(&event.actor)),
        column(rows, |(_, event)| event.trace.as_deref()),
        column(rows, |(_, event)| &event.hash[..]),
        column(rows, |(_, event)| event.payload.is_none().then_some(&event.data_hash[..])),
        column(rows, |row| payload(row).map(|_| 0_i64)),
        column(rows, |row| payload(row).map(|payload| &payload.salt[..])),
        column(rows, |row| payload(row).map(|payload| payload.data.as_str().as_bytes())),
    ]
}

/// Records of tasks; with the subject, which is only written when they are new.
pub(super) fn tasks<'a>(
    rows: &[(&'a StreamWrite, &'a TaskWrite)],
    new: bool,
) -> Result<Vec<Param<'a>>, StoreError> {
    let docs = rows.iter().map(|(_, new)| record::write(&new.task)).collect::<Result<Vec<_>, _>>()?;
    let mut columns = vec![
        column(rows, |(_, new)| &new.task.tenant.0[..]),
        column(rows, |(_, new)| &new.task.id.0[..]),
        column(rows, |(_, new)| encode::state(new.task.state)),
        column(rows, |(_, new)| i64::from(new.task.spec.policy.priority)),
        column(rows, |(_, new)| &*new.task.spec.kind),
        column(rows, |(_, new)| &*new.task.spec.queue),
        column(rows, |(_, new)| encode::actor(&new.task.created_by)),
        column(rows, |(_, new)| int(new.task.usage.running_us)),
        column(rows, |(_, new)| int(new.task.usage.event_bytes)),
        column(rows, |(_, new)| encode::ended(&new.task)),
        column(rows, |(_, new)| new.task.finished_at.map(|at| at.as_micros())),
        column(rows, |(write, _)| int(write.head.seq)),
        column(rows, |(write, _)| write.head.ts.as_micros()),
        column(rows, |(write, _)| &write.head.hash[..]),
        column(rows, |(_, new)| new.task.spec.parent.as_ref().map(|parent| &parent.task.0[..])),
        column(rows, |(_, new)| new.task.spec.session.as_ref().map(|session| &session.0[..])),
        column(rows, |(_, new)| new.task.spec.key.as_deref()),
        column(rows, |(_, new)| encode::labels(&new.task)),
        column(rows, |(_, new)| encode::search(&new.task)),
        column(rows, |(_, new)| new.signature.as_ref().map(|signature| &*signature.kid)),
        column(rows, |(_, new)| new.signature.as_ref().map(|signature| &signature.bytes[..])),
        Box::new(docs) as Param<'a>,
    ];
    if new {
        columns.push(column(rows, |(_, new)| new.data_subject.as_deref()));
    }
    Ok(columns)
}

/// Heads of new streams that are no task's.
pub(super) fn new_streams<'a>(rows: &[&'a StreamWrite]) -> Vec<Param<'a>> {
    let segment = |write: &&StreamWrite| match write.stream {
        StreamName::Audit(_, segment) => i64::from(segment),
        StreamName::Task(_) => 0,
    };
    vec![
        column(rows, |write| stream_key(write.stream).to_vec()),
        column(rows, |write| &write.tenant.0[..]),
        column(rows, |write| write.stream.to_string()),
        column(rows, segment),
        column(rows, |write| int(write.head.seq)),
        column(rows, |write| write.head.ts.as_micros()),
        column(rows, |write| &write.head.hash[..]),
    ]
}

/// Heads of streams that grow.
pub(super) fn streams<'a>(rows: &[&'a StreamWrite]) -> Vec<Param<'a>> {
    vec![
        column(rows, |write| stream_key(write.stream).to_vec()),
        column(rows, |write| int(write.head.seq)),
        column(rows, |write| write.head.ts.as_micros()),
        column(rows, |write| &write.head.hash[..]),
    ]
}

pub(super) fn keys<'a>(rows: &[&'a KeyRow]) -> Vec<Param<'a>> {
    vec![
        column(rows, |key| &key.hash[..]),
        column(rows, |key| &key.tenant.0[..]),
        column(rows, |key| &key.task.0[..]),
        column(rows, |key| &key.request[..]),
        column(rows, |key| key.deleted_at.map(|at| at.as_micros())),
    ]
}

pub(super) fn tally<'a>(changes: Vec<Change>) -> Vec<Param<'a>> {
    vec![
        column(&changes, |change| change.tenant.0.to_vec()),
        column(&changes, |change| change.queue.clone()),
        column(&changes, |change| change.state),
        column(&changes, |change| change.tasks),
        column(&changes, |change| change.running_us),
        column(&changes, |change| change.event_bytes),
    ]
}

pub(super) fn lanes(rows: &[Lane]) -> Result<Vec<Param<'_>>, StoreError> {
    let requires = rows
        .iter()
        .map(|lane| {
            String::from_utf8(encode::json(&lane.requires)?).map_err(|error| StoreError::Bug(error.into()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(vec![
        column(rows, |lane| lane.id().0),
        Box::new(rows.iter().map(|lane| &*lane.queue).collect::<Vec<_>>()),
        Box::new(rows.iter().map(|lane| &*lane.kind).collect::<Vec<_>>()),
        column(rows, |lane| lane.kind_version.map(i64::from)),
        Box::new(requires),
    ])
}

/// The key of a row of the queue.
pub(super) fn queue_key<'a>(rows: &[&'a QueueRow]) -> Vec<Param<'a>> {
    vec![
        column(rows, |row| row.lane.0),
        column(rows, |row| &row.tenant.0[..]),
        column(rows, |row| -i64::from(row.priority)),
        column(rows, |row| &row.task.0[..]),
    ]
}

pub(super) fn queue<'a>(rows: &[&'a QueueRow]) -> Vec<Param<'a>> {
    let mut columns = queue_key(rows);
    columns.push(column(rows, |row| row.since.as_micros()));
    columns.push(column(rows, |row| row.concurrency.as_ref().map(|(key, _)| &key[..])));
    columns.push(column(rows, |row| row.concurrency.map(|(_, limit)| i64::from(limit))));
    columns
}

pub(super) fn leases<'a>(rows: &[&'a LeaseRow]) -> Vec<Param<'a>> {
    vec![
        column(rows, |row| &row.task.0[..]),
        column(rows, |row| &row.tenant.0[..]),
        column(rows, |row| i64::from(row.token.epoch)),
        column(rows, |row| i64::from(row.token.attempt)),
        column(rows, |row| row.token.nonce.cast_signed()),
        column(rows, |row| &row.worker.0[..]),
        column(rows, |row| row.incarnation.as_ref().map(|incarnation| &incarnation.0[..])),
        column(rows, |row| row.expires_at.as_micros()),
        column(rows, |row| i64::from(row.batch)),
        column(rows, |row| row.concurrency.as_ref().map(|key| &key[..])),
    ]
}

pub(super) fn dependencies<'a>(rows: &[&'a DependencyRow]) -> Vec<Param<'a>> {
    vec![
        column(rows, |row| &row.dependent.0[..]),
        column(rows, |row| &row.prerequisite.0[..]),
        column(rows, |row| &row.tenant.0[..]),
        column(rows, |row| depends_on(row.on)),
    ]
}

pub(super) fn blobs<'a>(rows: &[&'a BlobRow]) -> Vec<Param<'a>> {
    vec![
        column(rows, |row| &row.tenant.0[..]),
        column(rows, |row| &*row.id),
        column(rows, |row| int(row.size)),
        column(rows, |row| &*row.media_type),
        column(rows, |row| &row.inner[..]),
        column(rows, |row| &row.salt[..]),
        column(rows, |row| row.put_at.as_micros()),
    ]
}
