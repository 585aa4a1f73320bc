//! Writing a write set within a transaction.

use super::run::Run;
use super::{rows, sql};
use crate::decode::counted;
use crate::encode::{self, int, stream_key};
use crate::record;
use crate::tally::{Change, Counted, Tally};
use crate::value::array;
use everloop_store::error::StoreError;
use everloop_store::work::{Committed, Row, StreamWrite, TaskWrite, WriteSet};
use everloop_types::event::Event;
use everloop_types::stream::StreamName;
use rusqlite::{ToSql, params};

/// Where the record of a stream that stays is written.
enum Place {
    /// It is new, or not a task's.
    New,
    /// The task's row, and what it has counted for.
    Row(i64, Counted),
}

/// Writes everything. Says besides whether something was deleted that leaves pages free.
pub(super) fn apply(
    run: &mut Run<'_>,
    pos: &mut i64,
    writes: &WriteSet,
) -> Result<(Committed, bool), StoreError> {
    let mut done = Committed::default();
    let mut staying = Vec::with_capacity(writes.streams.len());
    for write in &writes.streams {
        match compare(run, write)? {
            Some(place) => {
                done.rows_written += take_keys(run, write)?;
                staying.push((write, place));
            }
            None => done.moved.push(write.stream),
        }
    }
    for lane in &writes.lanes {
        let requires = encode::json(&lane.requires)?;
        let requires = std::str::from_utf8(&requires).map_err(|error| StoreError::Bug(error.into()))?;
        let params = params![lane.id().0, lane.queue, lane.kind, lane.kind_version, requires];
        done.rows_written += run.execute(&sql::LANE_INSERT, params)?;
    }
    let mut tally = Tally::default();
    for (write, place) in &staying {
        grow(run, pos, write, place, &mut done, &mut tally)?;
    }
    let mut deleted = false;
    for (write, _) in &staying {
        for row in &write.rows {
            done.rows_written += rows::write(run, row, Some(write), *pos, &mut deleted, &mut tally)?;
        }
    }
    for row in &writes.rows {
        done.rows_written += rows::write(run, row, None, *pos, &mut deleted, &mut tally)?;
    }
    // Not counted as written: there are as many whether the commit has one task or a hundred.
    for change in tally.changes() {
        let Change { tenant, queue, state, tasks, running_us, event_bytes } = change;
        run.execute(&sql::TALLY_ADD, params![tenant.0, queue, state, tasks, running_us, event_bytes])?;
    }
    Ok((done, deleted))
}

/// Compares head and new keys; none if the stream goes back.
fn compare(run: &mut Run<'_>, write: &StreamWrite) -> Result<Option<Place>, StoreError> {
    let place = match write.stream {
        StreamName::Task(id) => {
            let found = run.one(&sql::HEAD_OF_TASK, [write.tenant.0, id.0], |row| {
                Ok((row.int(0)?, row.int(1)?, counted(row, 2)?))
            })?;
            match found {
                Some((seq, number, counted)) if seq == int(write.expected) => Place::Row(number, counted),
                // The id may be another tenant's.
                None if write.expected == 0 && !run.exists(&sql::STREAM_EXISTS, [id.0])? => Place::New,
                Some(_) | None => return Ok(None),
            }
        }
        StreamName::Audit(..) => {
            let key = stream_key(write.stream);
            let found =
                run.one(&sql::HEAD_OF_STREAM, [key], |row| Ok((row.int(0)?, array::<16>(row, 1)?)))?;
            match found {
                Some((seq, tenant)) if seq == int(write.expected) && tenant == write.tenant.0 => Place::New,
                None if write.expected == 0 => Place::New,
                Some(_) | None => return Ok(None),
            }
        }
    };
    for row in &write.rows {
        if let Row::KeyNew(key) = row
            && run.exists(&sql::KEY_TAKEN, [key.hash])?
        {
            return Ok(None);
        }
    }
    Ok(Some(place))
}

fn take_keys(run: &mut Run<'_>, write: &StreamWrite) -> Result<u64, StoreError> {
    let mut taken = 0;
    for row in &write.rows {
        if let Row::KeyNew(key) = row {
            let deleted_at = key.deleted_at.map(|at| at.as_micros());
            let params = params![key.hash, key.tenant.0, key.task.0, key.request, deleted_at];
            taken += run.execute(&sql::KEY_INSERT, params)?;
        }
    }
    Ok(taken)
}

fn grow(
    run: &mut Run<'_>,
    pos: &mut i64,
    write: &StreamWrite,
    place: &Place,
    done: &mut Committed,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    if write.events.is_empty() {
        return Ok(());
    }
    let key = stream_key(write.stream);
    for event in &write.events {
        *pos += 1;
        insert_event(run, *pos, &key, event)?;
    }
    done.last_pos = Some(*pos);
    done.rows_written += write.events.len() as u64;
    let head = &write.head;
    match (&write.task, write.stream) {
        (Some(task), _) => {
            put_task(run, write, task, place)?;
            done.rows_written += 1;
            let old = if let Place::Row(_, counted) = place { Some(counted) } else { None };
            tally.written(&task.task, old);
        }
        (None, StreamName::Audit(_, segment)) => {
            let name = write.stream.to_string();
            let params =
                params![key, write.tenant.0, name, segment, int(head.seq), head.ts.as_micros(), head.hash];
            run.execute(&sql::STREAM_PUT, params)?;
        }
        // Refused by `validate`.
        (None, StreamName::Task(_)) => {}
    }
    Ok(())
}

fn insert_event(run: &mut Run<'_>, pos: i64, stream: &[u8; 16], event: &Event) -> Result<(), StoreError> {
    let payload = event.payload.as_ref();
    let data_hash = payload.is_none().then_some(&event.data_hash[..]);
    run.execute(
        &sql::EVENT_INSERT,
        params![
            pos,
            stream,
            int(event.seq),
            event.tenant.0,
            event.v,
            event.body_v,
            event.ts.as_micros(),
            encode::kind(&event.kind),
            encode::actor(&event.actor),
            event.trace,
            event.hash,
            data_hash,
            payload.map(|_| 0),
            payload.map(|payload| &payload.salt[..]),
            payload.map(|payload| payload.data.as_str().as_bytes()),
        ],
    )?;
    Ok(())
}

fn put_task(
    run: &mut Run<'_>,
    write: &StreamWrite,
    new: &TaskWrite,
    place: &Place,
) -> Result<(), StoreError> {
    let (task, head) = (&*new.task, &write.head);
    let shared = params![
        encode::state(task.state),
        task.spec.policy.priority,
        task.spec.kind,
        task.spec.queue,
        encode::actor(&task.created_by),
        int(task.usage.running_us),
        int(task.usage.event_bytes),
        encode::ended(task),
        task.finished_at.map(|at| at.as_micros()),
        int(head.seq),
        head.ts.as_micros(),
        head.hash,
        task.spec.parent.as_ref().map(|parent| parent.task.0),
        task.spec.session.map(|session| session.0),
        task.spec.key,
        encode::labels(task),
        encode::search(task),
        new.signature.as_ref().map(|signature| &signature.kid),
        new.signature.as_ref().map(|signature| &signature.bytes[..]),
        record::write(task)?,
    ];
    let (statement, own) = match place {
        Place::New => (&sql::TASK_INSERT, params![task.tenant.0, task.id.0, new.data_subject]),
        Place::Row(number, _) => (&sql::TASK_UPDATE, params![*number]),
    };
    let all: Vec<&dyn ToSql> = shared.iter().chain(own).copied().collect();
    run.execute(statement, &all[..])?;
    Ok(())
}
