//! How columns become records. Each function names the columns that it reads, in order.

use crate::encode;
use crate::record;
use crate::tally::Counted;
use crate::value::{Behind, Row, array, array_opt, corrupt, number, time};
use everloop_journal::digest;
use everloop_store::error::StoreError;
use everloop_store::rows::{
    BlobRow, DependencyRow, JobRow, KeyRow, Lane, LaneId, LeaseRow, OutboxRow, QueueRow, Signature,
    SigningKeyRow, TaskRow, TenantRow, TimerRow,
};
use everloop_store::work::{LoadedTask, Relations};
use everloop_types::event::{Event, EventBody, Head, Payload};
use everloop_types::id::{IncarnationId, TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{DependsOn, Task, Usage};
use everloop_types::time::Timestamp;
use everloop_types::worker::Worker;
use std::borrow::Cow;
use std::sync::Arc;

type Decoded<T> = Result<T, StoreError>;

macro_rules! columns {
    ($($name:ident = $text:literal;)*) => {
        $(macro_rules! $name { () => { $text }; } pub(crate) use $name;)*
    };
}

columns! {
    loaded_columns = "t.doc, t.head_seq, t.head_hash, t.head_ts, t.data_subject, t.tenant, t.id, t.created_by, t.state, \
        t.running_us, t.event_bytes, t.finished_at, x.task, x.tenant, x.epoch, x.attempt, x.nonce, x.worker, x.incarnation, \
        x.expires_at, x.batch, x.concurrency";
    task_columns = "t.doc, t.head_seq, t.head_hash, t.head_ts, t.data_subject, t.tenant, t.id, t.created_by, t.state, \
        t.running_us, t.event_bytes, t.finished_at, t.signature, t.kid";
    event_columns = "e.seq, e.v, e.body_v, e.ts, e.type, e.actor, e.trace, e.hash, e.data_hash, e.codec, e.salt, e.data";
    key_columns = "hash, tenant, task, request, deleted_at";
    queue_columns = "q.lane, q.tenant, q.rank, q.task, q.since, q.concurrency, q.concurrency_limit";
    lease_columns = "x.task, x.tenant, x.epoch, x.attempt, x.nonce, x.worker, x.incarnation, x.expires_at, x.batch, \
        x.concurrency";
    dependency_columns = "tenant, prerequisite, dependent, how";
    job_columns = "name, ran_at, upto_at, upto_task";
    blob_columns = "b.id, b.tenant, b.size, b.media_type, b.inner_hash, b.salt, b.put_at";
}

/// seq, hash, ts, from this column on.
pub(crate) fn head(row: &dyn Row, first: usize) -> Decoded<Head> {
    Ok(Head { seq: number(row, first)?, hash: array(row, first + 1)?, ts: time(row, first + 2)? })
}

/// The record of a task: the first column, and seven behind the head and the subject.
fn task(row: &dyn Row, first: usize) -> Decoded<Task> {
    Ok(Task {
        id: TaskId(array(row, first + 6)?),
        tenant: TenantId(array(row, first + 5)?),
        created_by: actor(row.bytes(first + 7)?)?,
        state: state(row, first + 8)?,
        usage: Usage { running_us: number(row, first + 9)?, event_bytes: number(row, first + 10)? },
        updated_at: time(row, first + 3)?,
        finished_at: row.int_opt(first + 11)?.map(Timestamp::from_micros),
        ..record::read(row.bytes(first)?)?
    })
}

/// Who caused something.
fn actor(bytes: &[u8]) -> Decoded<String> {
    encode::actor_of(bytes).ok_or_else(|| corrupt("an actor that is neither an id nor text"))
}

/// `loaded_columns`, from this column on; without relations.
pub(crate) fn loaded(row: &dyn Row, first: usize) -> Decoded<LoadedTask> {
    Ok(LoadedTask {
        task: Arc::new(task(row, first)?),
        head: head(row, first + 1)?,
        data_subject: row.text_opt(first + 4)?.map(str::to_owned),
        lease: row.bytes_opt(first + 12)?.map(|_| lease_row(&Behind(row, first + 12))).transpose()?,
        relations: Relations::default(),
    })
}

/// `task_columns`
pub(crate) fn task_row(row: &dyn Row) -> Decoded<TaskRow> {
    let signature = match array_opt(row, 12)? {
        Some(bytes) => Some(Signature { kid: row.text(13)?.to_owned(), bytes }),
        None => None,
    };
    Ok(TaskRow {
        task: task(row, 0)?,
        head: head(row, 1)?,
        data_subject: row.text_opt(4)?.map(str::to_owned),
        signature,
    })
}

/// `event_columns`, from this column on.
pub(crate) fn event(row: &dyn Row, first: usize, tenant: TenantId, stream: StreamName) -> Decoded<Event> {
    let seq = number(row, first)?;
    let payload = match row.int_opt(first + 9)? {
        None => None,
        Some(0) => Some(
            payload(row, first + 10).map_err(|error| corrupt(format!("event {stream}/{seq}: {error}")))?,
        ),
        Some(codec) => return Err(corrupt(format!("event {stream}/{seq}: unknown codec {codec}"))),
    };
    let data_hash = match &payload {
        Some(payload) => {
            let mut hasher = digest::Hasher::default();
            hasher.update(&payload.salt);
            hasher.update(payload.data.as_str().as_bytes());
            hasher.finish()
        }
        None => array(row, first + 8)?,
    };
    Ok(Event {
        v: number(row, first + 1)?,
        tenant,
        stream,
        seq,
        ts: time(row, first + 3)?,
        kind: kind(row.text(first + 4)?),
        body_v: number(row, first + 2)?,
        actor: actor(row.bytes(first + 5)?)?,
        trace: row.text_opt(first + 6)?.map(str::to_owned),
        data_hash,
        hash: array(row, first + 7)?,
        payload,
    })
}

fn payload(row: &dyn Row, first: usize) -> Decoded<Payload> {
    let text = std::str::from_utf8(row.bytes(first + 1)?).map_err(|error| corrupt(error.to_string()))?;
    let data = Json::from_canonical(text.to_owned()).map_err(|error| corrupt(error.to_string()))?;
    Ok(Payload { salt: array(row, first)?, data })
}

fn kind(found: &str) -> Cow<'static, str> {
    let found = encode::kind_of(found);
    match EventBody::KINDS.iter().find(|kind| **kind == found) {
        Some(kind) => Cow::Borrowed(kind),
        None => Cow::Owned(found.to_owned()),
    }
}

/// `key_columns`
pub(crate) fn key_row(row: &dyn Row) -> Decoded<KeyRow> {
    Ok(KeyRow {
        hash: array(row, 0)?,
        tenant: TenantId(array(row, 1)?),
        task: TaskId(array(row, 2)?),
        request: array(row, 3)?,
        deleted_at: row.int_opt(4)?.map(Timestamp::from_micros),
    })
}

/// `queue_columns`
pub(crate) fn queue_row(row: &dyn Row) -> Decoded<QueueRow> {
    let concurrency = match array_opt(row, 5)? {
        Some(key) => Some((key, number(row, 6)?)),
        None => None,
    };
    Ok(QueueRow {
        lane: LaneId(row.int(0)?),
        tenant: TenantId(array(row, 1)?),
        priority: -number::<i32>(row, 2)?,
        task: TaskId(array(row, 3)?),
        since: time(row, 4)?,
        concurrency,
    })
}

/// `lease_columns`
pub(crate) fn lease_row(row: &dyn Row) -> Decoded<LeaseRow> {
    Ok(LeaseRow {
        task: TaskId(array(row, 0)?),
        tenant: TenantId(array(row, 1)?),
        token: LeaseToken {
            epoch: number(row, 2)?,
            attempt: number(row, 3)?,
            nonce: row.int(4)?.cast_unsigned(),
        },
        worker: WorkerId(array(row, 5)?),
        incarnation: array_opt(row, 6)?.map(IncarnationId),
        expires_at: time(row, 7)?,
        batch: number(row, 8)?,
        concurrency: array_opt(row, 9)?,
    })
}

/// `dependency_columns`
pub(crate) fn dependency_row(row: &dyn Row) -> Decoded<DependencyRow> {
    let on = match row.int(3)? {
        0 => DependsOn::Completed,
        1 => DependsOn::Ended,
        code => return Err(corrupt(format!("a dependency of the kind {code}"))),
    };
    Ok(DependencyRow {
        tenant: TenantId(array(row, 0)?),
        prerequisite: TaskId(array(row, 1)?),
        dependent: TaskId(array(row, 2)?),
        on,
    })
}

/// at, tenant, task
pub(crate) fn timer_row(row: &dyn Row) -> Decoded<TimerRow> {
    Ok(TimerRow { at: time(row, 0)?, tenant: TenantId(array(row, 1)?), task: TaskId(array(row, 2)?) })
}

/// tenant, task
pub(crate) fn outbox_row(row: &dyn Row) -> Decoded<OutboxRow> {
    Ok(OutboxRow { tenant: TenantId(array(row, 0)?), task: TaskId(array(row, 1)?) })
}

/// doc
pub(crate) fn worker(row: &dyn Row) -> Decoded<Worker> {
    serde_json::from_slice(row.bytes(0)?).map_err(|error| corrupt(format!("the record of a worker: {error}")))
}

/// id, queue, kind, kind_version, requires
pub(crate) fn lane(row: &dyn Row) -> Decoded<(LaneId, Lane)> {
    let requires = serde_json::from_str(row.text(4)?).map_err(|error| corrupt(format!("a lane: {error}")))?;
    let kind_version = row.int_opt(3)?.map(|_| number(row, 3)).transpose()?;
    let lane = Lane { queue: row.text(1)?.to_owned(), kind: row.text(2)?.to_owned(), kind_version, requires };
    Ok((LaneId(row.int(0)?), lane))
}

/// `job_columns`
pub(crate) fn job_row(row: &dyn Row) -> Decoded<JobRow> {
    let upto = match row.int_opt(2)? {
        Some(_) => Some((time(row, 2)?, TaskId(array(row, 3)?))),
        None => None,
    };
    Ok(JobRow { name: row.text(0)?.to_owned(), ran_at: time(row, 1)?, upto })
}

/// `blob_columns`
pub(crate) fn blob_row(row: &dyn Row) -> Decoded<BlobRow> {
    Ok(BlobRow {
        id: row.text(0)?.to_owned(),
        tenant: TenantId(array(row, 1)?),
        size: number(row, 2)?,
        media_type: row.text(3)?.to_owned(),
        inner: array(row, 4)?,
        salt: array(row, 5)?,
        put_at: time(row, 6)?,
    })
}

/// id, name, secret, created_at
pub(crate) fn tenant_row(row: &dyn Row) -> Decoded<TenantRow> {
    Ok(TenantRow {
        id: TenantId(array(row, 0)?),
        name: row.text(1)?.to_owned(),
        secret: array(row, 2)?,
        created_at: time(row, 3)?,
    })
}

/// kid, public, created_at
pub(crate) fn signing_key_row(row: &dyn Row) -> Decoded<SigningKeyRow> {
    Ok(SigningKeyRow { kid: row.text(0)?.to_owned(), public: array(row, 1)?, created_at: time(row, 2)? })
}

/// What a task counts for, in four columns.
pub(crate) fn counted(row: &dyn Row, first: usize) -> Decoded<Counted> {
    Ok(Counted {
        queue: row.text(first)?.to_owned(),
        state: row.int(first + 1)?,
        running_us: row.int(first + 2)?,
        event_bytes: row.int(first + 3)?,
    })
}

/// The state with this code.
pub(crate) fn state(row: &dyn Row, column: usize) -> Decoded<State> {
    let code: usize = number(row, column)?;
    State::ALL.get(code).copied().ok_or_else(|| corrupt(format!("a state with the code {code}")))
}
