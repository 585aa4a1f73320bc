//! Tasks for tests that are about something else.

use everloop_journal::chain::{self, Draft};
use everloop_store::work::{Row, StreamWrite, TaskWrite, WriteSet};
use everloop_types::event::{Event, Head};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{Task, TaskSpec, Usage};
use everloop_types::time::Timestamp;
use std::borrow::Cow;

pub(crate) const TENANT: TenantId = TenantId::DEFAULT;

/// The nth task.
pub(crate) fn id(n: u64) -> TaskId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    TaskId(bytes)
}

/// Its record.
pub(crate) fn task(n: u64, state: State) -> Task {
    let at = Timestamp::from_micros(1_800_000_000_000_000 + i64::try_from(n).unwrap());
    Task {
        id: id(n),
        tenant: TENANT,
        spec: TaskSpec::new("mock"),
        created_by: "usr_00000000000000000000000000".into(),
        state,
        attempt: 1,
        tries: 0,
        lost: 0,
        lost_total: 0,
        steps: 0,
        open_steps: Vec::new(),
        progress: None,
        usage: Usage::default(),
        error: None,
        retry_at: None,
        waiting_for: None,
        paused: None,
        arrived: Vec::new(),
        open_requests: Vec::new(),
        taken: Vec::new(),
        decided: Default::default(),
        forked_from: None,
        continued_as: None,
        since_digest: 0,
        created_at: at,
        updated_at: at,
        started_at: Some(at),
        attempt_at: Some(at),
        finished_at: state.is_terminal().then_some(at),
    }
}

/// Events `after + 1` to `after + count` of the nth task, and the record after them.
pub(crate) fn grow(n: u64, after: u64, count: u64, state: State, rows: Vec<Row>) -> StreamWrite {
    let task = task(n, state);
    let stream = StreamName::Task(task.id);
    let mut head = chain::start(&stream);
    let link = |_| {
        let draft = Draft {
            tenant: TENANT,
            stream,
            ts: task.updated_at,
            kind: Cow::Borrowed("step.completed"),
            body_v: 1,
            actor: "system".into(),
            trace: None,
            salt: [3; 16],
            data: Json::from_canonical(format!("{{\"n\":{n}}}")).unwrap(),
        };
        let event = chain::link(&head, draft);
        head = chain::head_after(&event);
        event
    };
    let mut events: Vec<Event> = (0..after + count).map(link).collect();
    events.drain(..usize::try_from(after).unwrap());
    let last = events.last().unwrap();
    let head = Head { seq: last.seq, hash: last.hash, ts: last.ts };
    StreamWrite {
        tenant: TENANT,
        stream: StreamName::Task(task.id),
        expected: after,
        events,
        head,
        task: Some(TaskWrite { task: task.into(), data_subject: None, signature: None }),
        rows,
    }
}

pub(crate) fn set(streams: Vec<StreamWrite>) -> WriteSet {
    WriteSet { streams, ..WriteSet::default() }
}

pub(crate) fn rows(rows: Vec<Row>) -> WriteSet {
    WriteSet { rows, ..WriteSet::default() }
}
