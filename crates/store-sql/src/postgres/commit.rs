//! Committing: one round trip that locks and compares, one that writes and commits.

use super::changes::Changes;
use super::columns::{self, column};
use super::error::{classify, ends_connection, is_double, told};
use super::remove::UNCOUNTED;
use super::session::{Answer, Call, PostgresRow, Session};
use super::sql;
use crate::decode::counted;
use crate::encode::{int, stream_key};
use crate::tally::{Counted, Tally};
use crate::value::{Row as _, array, corrupt};
use everloop_store::error::StoreError;
use everloop_store::work::{Committed, Row, StreamWrite, WriteSet};
use everloop_types::id::{TaskId, TenantId};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Events of one transaction, by the bits of a position that are theirs.
const EVENTS: usize = 1 << 20;

/// What the locking round trip found.
#[derive(Default)]
struct Found {
    /// Tenant and head of streams that exist.
    heads: HashMap<[u8; 16], (TenantId, i64)>,
    /// What tasks that exist have counted for.
    counted: HashMap<[u8; 16], Counted>,
    /// Streams that exist, maybe as another tenant's.
    streams: HashSet<[u8; 16]>,
    keys: HashSet<[u8; 16]>,
    tasks: HashSet<(TenantId, TaskId)>,
    blobs: HashSet<(TenantId, String)>,
    /// Where positions begin.
    position: i64,
}

/// What became of one try.
pub(super) enum Outcome {
    /// Written, or nothing was to be written.
    Done(Committed),
    /// Another server wrote the same key, task or stream at the same time: now that it is there, try again.
    Again(StoreError),
}

/// Commits a write set that was validated.
pub(super) fn commit(session: &mut Session, writes: &WriteSet) -> Result<Outcome, StoreError> {
    let found = match lock(session, writes) {
        Ok(found) => found,
        Err(error) => return Err(abandon(session, error)),
    };
    let (calls, mut done) = match plan(writes, &found) {
        Ok(planned) => planned,
        Err(error) => return Err(abandon(session, error)),
    };
    let sent = match session.pipeline(&calls) {
        Ok(sent) => sent,
        // A statement could not be prepared: nothing was sent.
        Err(error) => return Err(abandon(session, error)),
    };
    match sent {
        Ok(answers) => {
            for (call, answer) in calls.iter().zip(&answers) {
                if let Call::Run(statement, _) = call
                    && !UNCOUNTED.contains(&statement.name)
                {
                    done.rows_written += answer.changed;
                }
            }
            Ok(Outcome::Done(done))
        }
        // COMMIT was sent with the rest: it has rolled back if something before it failed while the connection lived.
        Err(failed)
            if failed.last || (ends_connection(&failed.error) && failed.error.as_db_error().is_none()) =>
        {
            Err(StoreError::Unknown(told(failed.error)))
        }
        Err(failed) if is_double(&failed.error) => Ok(Outcome::Again(classify(failed.error))),
        Err(failed) => Err(classify(failed.error)),
    }
}

/// Ends a transaction that will not be committed.
fn abandon(session: &mut Session, error: StoreError) -> StoreError {
    if !session.is_broken()
        && let Err(rollback) = session.batch("ROLLBACK")
    {
        tracing::warn!(error = %rollback, "a transaction could not be rolled back");
    }
    error
}

/// Rows that are looked at before anything is written.
#[derive(Default)]
struct Looked<'a> {
    tasks: BTreeSet<(TenantId, TaskId)>,
    new_tasks: Vec<TaskId>,
    streams: BTreeSet<[u8; 16]>,
    keys: Vec<&'a [u8]>,
    needed_tasks: BTreeSet<(TenantId, TaskId)>,
    needed_blobs: BTreeSet<(TenantId, &'a str)>,
    going_blobs: BTreeSet<(TenantId, &'a str)>,
}

/// Tasks that a row can't be without.
fn needs(row: &Row) -> Vec<(TenantId, TaskId, &'static str)> {
    match row {
        Row::QueuePut(row) => vec![(row.tenant, row.task, "queue")],
        Row::LeasePut(row) => vec![(row.tenant, row.task, "lease")],
        Row::TimerPut(row) => vec![(row.tenant, row.task, "timer")],
        Row::OutboxPut(row) => vec![(row.tenant, row.task, "outbox")],
        Row::DependencyPut(row) => {
            vec![(row.tenant, row.prerequisite, "dependency"), (row.tenant, row.dependent, "dependency")]
        }
        Row::BlobUse { tenant, task, .. } => vec![(*tenant, *task, "blob use")],
        _ => Vec::new(),
    }
}

fn look(writes: &WriteSet) -> Looked<'_> {
    let mut looked = Looked::default();
    for write in &writes.streams {
        match write.stream.task() {
            Some(task) => {
                looked.tasks.insert((write.tenant, task));
                if write.expected == 0 {
                    looked.new_tasks.push(task);
                }
            }
            None => drop(looked.streams.insert(stream_key(write.stream))),
        }
    }
    for row in writes.streams.iter().flat_map(|write| &write.rows).chain(&writes.rows) {
        if let Row::KeyNew(key) = row {
            looked.keys.push(&key.hash);
        }
        if let Row::BlobUse { tenant, blob, .. } = row {
            looked.needed_blobs.insert((*tenant, blob));
        }
        if let Row::BlobDelete { tenant, blob } = row {
            looked.going_blobs.insert((*tenant, blob));
        }
        let others = needs(row).into_iter().map(|(tenant, task, _)| (tenant, task));
        looked.needed_tasks.extend(others.filter(|need| !looked.tasks.contains(need)));
    }
    looked
}

fn lock(session: &mut Session, writes: &WriteSet) -> Result<Found, StoreError> {
    let looked = look(writes);
    let mut calls = vec![Call::Words("BEGIN")];
    let pairs = |pairs: &[(TenantId, TaskId)]| {
        vec![column(pairs, |(tenant, _)| tenant.0.to_vec()), column(pairs, |(_, task)| task.0.to_vec())]
    };
    if !looked.tasks.is_empty() {
        calls.push(Call::Run(&sql::LOCK_TASKS, pairs(&looked.tasks.iter().copied().collect::<Vec<_>>())));
    }
    if !looked.streams.is_empty() {
        let ids: Vec<_> = looked.streams.iter().map(|id| id.to_vec()).collect();
        calls.push(Call::Run(&sql::LOCK_STREAMS, vec![Box::new(ids)]));
    }
    if !looked.new_tasks.is_empty() {
        calls.push(Call::Run(&sql::STREAMS_EXIST, vec![column(&looked.new_tasks, |task| task.0.to_vec())]));
    }
    if !looked.keys.is_empty() {
        calls.push(Call::Run(&sql::KEYS_TAKEN, vec![Box::new(looked.keys)]));
    }
    if !looked.needed_tasks.is_empty() {
        calls.push(Call::Run(
            &sql::NEEDED_TASKS,
            pairs(&looked.needed_tasks.iter().copied().collect::<Vec<_>>()),
        ));
    }
    for (statement, blobs) in
        [(&sql::NEEDED_BLOBS, &looked.needed_blobs), (&sql::LOCK_BLOBS, &looked.going_blobs)]
    {
        if !blobs.is_empty() {
            let rows: Vec<_> = blobs.iter().copied().collect();
            let params =
                vec![column(&rows, |(tenant, _)| tenant.0.to_vec()), column(&rows, |(_, blob)| *blob)];
            calls.push(Call::Run(statement, params));
        }
    }
    if writes.streams.iter().any(|write| !write.events.is_empty()) {
        calls.push(Call::Run(&sql::POSITION, Vec::new()));
    }
    let answers = session.pipeline(&calls)?.map_err(|failed| classify(failed.error))?;
    let mut found = Found::default();
    for (call, answer) in calls.iter().zip(&answers) {
        if let Call::Run(statement, _) = call {
            found.take(statement.name, answer)?;
        }
    }
    Ok(found)
}

impl Found {
    fn take(&mut self, statement: &str, answer: &Answer) -> Result<(), StoreError> {
        for row in &answer.rows {
            let row = &PostgresRow(row);
            match statement {
                "LOCK_TASKS" | "LOCK_STREAMS" => {
                    self.heads.insert(array(row, 1)?, (TenantId(array(row, 0)?), row.int(2)?));
                    if statement == "LOCK_TASKS" {
                        self.counted.insert(array(row, 1)?, counted(row, 3)?);
                    }
                }
                "STREAMS_EXIST" => drop(self.streams.insert(array(row, 0)?)),
                "KEYS_TAKEN" => drop(self.keys.insert(array(row, 0)?)),
                "NEEDED_TASKS" => drop(self.tasks.insert((TenantId(array(row, 0)?), TaskId(array(row, 1)?)))),
                "NEEDED_BLOBS" => {
                    self.blobs.insert((TenantId(array(row, 0)?), row.text(1)?.to_owned()));
                }
                "LOCK_BLOBS" => {}
                "POSITION" => self.position = row.int(0)?,
                other => return Err(corrupt(format!("an answer to {other}"))),
            }
        }
        Ok(())
    }

    /// Whether a stream is where it was expected.
    fn is_expected(&self, write: &StreamWrite) -> bool {
        match self.heads.get(&stream_key(write.stream)) {
            Some((tenant, seq)) => *tenant == write.tenant && *seq == int(write.expected),
            // The id may be another tenant's.
            None => write.expected == 0 && !self.streams.contains(&stream_key(write.stream)),
        }
    }
}

/// The statements of the writing round trip.
fn plan<'a>(writes: &'a WriteSet, found: &Found) -> Result<(Vec<Call<'a>>, Committed), StoreError> {
    let mut done = Committed::default();
    let (mut staying, mut keys, mut taken) = (Vec::new(), Vec::new(), found.keys.clone());
    for write in &writes.streams {
        let new: Vec<_> = write
            .rows
            .iter()
            .filter_map(|row| if let Row::KeyNew(key) = row { Some(key) } else { None })
            .collect();
        if found.is_expected(write) && new.iter().all(|key| !taken.contains(&key.hash)) {
            taken.extend(new.iter().map(|key| key.hash));
            keys.extend(new);
            staying.push(write);
        } else {
            done.moved.push(write.stream);
        }
    }
    let mut calls = Vec::new();
    if !keys.is_empty() {
        calls.push(Call::Run(&sql::KEY_INSERT, columns::keys(&keys)));
    }
    grow(&staying, found, &mut calls, &mut done)?;
    if !writes.lanes.is_empty() {
        calls.push(Call::Run(&sql::LANE_INSERT, columns::lanes(&writes.lanes)?));
    }
    let rows: Vec<&Row> = staying.iter().flat_map(|write| &write.rows).chain(&writes.rows).collect();
    check_needs(&rows, &staying, found)?;
    let mut changes = Changes::default();
    rows.into_iter().for_each(|row| changes.add(row));
    changes.calls(&mut calls)?;
    calls.push(Call::Words(if calls.is_empty() { "ROLLBACK" } else { "COMMIT" }));
    Ok((calls, done))
}

/// Events, records and heads.
fn grow<'a>(
    staying: &[&'a StreamWrite],
    found: &Found,
    calls: &mut Vec<Call<'a>>,
    done: &mut Committed,
) -> Result<(), StoreError> {
    let growing = || staying.iter().copied().filter(|write| !write.events.is_empty());
    let events: Vec<_> =
        growing().flat_map(|write| &write.events).zip(found.position..).map(|(e, pos)| (pos, e)).collect();
    let Some((last, _)) = events.last() else {
        return Ok(());
    };
    if events.len() >= EVENTS {
        return Err(StoreError::Bug(
            "more events in one write set than a transaction has positions for".into(),
        ));
    }
    done.last_pos = Some(*last);
    calls.push(Call::Run(&sql::EVENT_INSERT, columns::events(&events)));
    let is_new = |write: &StreamWrite| !found.heads.contains_key(&stream_key(write.stream));
    for (new, task, stream) in
        [(true, &sql::TASK_INSERT, &sql::STREAM_PUT), (false, &sql::TASK_UPDATE, &sql::STREAM_UPDATE)]
    {
        let tasks: Vec<_> = growing()
            .filter(|write| is_new(write) == new)
            .filter_map(|write| write.task.as_ref().map(|record| (write, record)))
            .collect();
        if !tasks.is_empty() {
            calls.push(Call::Run(task, columns::tasks(&tasks, new)?));
        }
        let streams: Vec<_> =
            growing().filter(|write| write.stream.task().is_none() && is_new(write) == new).collect();
        if !streams.is_empty() {
            let params = if new { columns::new_streams(&streams) } else { columns::streams(&streams) };
            calls.push(Call::Run(stream, params));
        }
    }
    let mut tally = Tally::default();
    for write in growing() {
        if let Some(record) = &write.task {
            tally.written(&record.task, found.counted.get(&record.task.id.0));
        }
    }
    let changes = tally.changes();
    if !changes.is_empty() {
        calls.push(Call::Run(&sql::TALLY_ADD, columns::tally(changes)));
    }
    Ok(())
}

/// Refuses a row whose task or blob is not there.
fn check_needs(rows: &[&Row], staying: &[&StreamWrite], found: &Found) -> Result<(), StoreError> {
    let is_staying: HashSet<_> =
        staying.iter().filter_map(|write| write.stream.task().map(|task| (write.tenant, task))).collect();
    let (mut gone, mut put) = (HashSet::new(), HashSet::new());
    for row in rows {
        for (tenant, task, what) in needs(row) {
            let need = (tenant, task);
            let stored = found.tasks.contains(&need)
                || found.heads.get(&task.0).is_some_and(|(owner, _)| *owner == tenant);
            if gone.contains(&need) || !(stored || is_staying.contains(&need)) {
                return Err(StoreError::Bug(
                    format!("a {what} row of {task}, which {tenant} does not have").into(),
                ));
            }
        }
        match row {
            Row::StreamDelete { tenant, task, .. } => drop(gone.insert((*tenant, *task))),
            Row::BlobPut(row) => drop(put.insert((row.tenant, row.id.clone()))),
            Row::BlobUse { blob, tenant, .. } => {
                let need = (*tenant, blob.clone());
                if !put.contains(&need) && !found.blobs.contains(&need) {
                    return Err(StoreError::Bug(
                        format!("a use of the blob {blob}, which {tenant} does not have").into(),
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
