//! Tasks with linked events, and the rows around them.

use super::dice::Dice;
use crate::rows::{BlobRow, KeyHash, KeyRow, Lane, LeaseRow, QueueRow, TenantRow, TimerRow};
use crate::work::{Row, StreamWrite, TaskWrite, WriteSet};
use everloop_journal::chain::{self, Draft};
use everloop_journal::digest;
use everloop_types::event::{Digest, Event, EventBody, Head, Started};
use everloop_types::id::{IdGenerator, TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::random::Random;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{Parent, Task, TaskSpec, Usage};
use everloop_types::time::Timestamp;
use everloop_types::worker::{KindOffer, Worker, WorkerSpec};
use std::time::Duration;

/// The tenant of most cases.
pub(super) const OURS: TenantId = TenantId([0xaa; 16]);
/// Another one.
pub(super) const THEIRS: TenantId = TenantId([0xbb; 16]);

/// Where ids, salts and times of a case come from: the same ones in every run.
pub(super) struct World {
    pub(super) dice: Dice,
    ids: IdGenerator,
    pub(super) now: Timestamp,
}

impl World {
    pub(super) fn new() -> Self {
        Self::seeded(7)
    }

    pub(super) fn seeded(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            ids: IdGenerator::default(),
            now: Timestamp::from_micros(1_790_000_000_123_456),
        }
    }

    /// Later by a millisecond.
    pub(super) fn tick(&mut self) -> Timestamp {
        self.now = self.now.plus(Duration::from_millis(1));
        self.now
    }

    /// A new id, later than all before it.
    pub(super) fn id(&self) -> [u8; 16] {
        self.ids.next(self.now, &self.dice)
    }

    pub(super) fn worker(&mut self) -> Worker {
        let now = self.tick();
        Worker {
            id: WorkerId(self.id()),
            spec: WorkerSpec {
                capabilities: vec!["gpu".to_owned()],
                kinds: vec![KindOffer { versions: vec![1, 2], ..KindOffer::new("mock") }],
                max_concurrent_tasks: 4,
                name: "w".to_owned(),
                protocol: 1,
                queues: vec!["high".to_owned(), "default".to_owned()],
                version: "0.1.0".to_owned(),
            },
            embedded: true,
            trouble: None,
            created_at: now,
            last_heartbeat_at: now,
        }
    }

    pub(super) fn blob(&mut self, tenant: TenantId) -> BlobRow {
        let inner = digest::sha256(&self.dice.bytes16());
        BlobRow {
            id: everloop_journal::hex::encode(&inner),
            tenant,
            size: 3_000_000_000,
            media_type: "text/plain; charset=utf-8".to_owned(),
            inner,
            salt: self.dice.bytes16(),
            put_at: self.tick(),
        }
    }

    pub(super) fn tenant(&mut self) -> TenantRow {
        TenantRow {
            id: TenantId(self.id()),
            name: "Größe & Söhne".to_owned(),
            secret: digest::sha256(&self.dice.bytes16()),
            created_at: self.tick(),
        }
    }

    /// The record of a task whose stream is empty. Nothing is written.
    pub(super) fn task(&mut self, tenant: TenantId) -> Made {
        self.task_of(tenant, TaskSpec::new("mock"))
    }

    pub(super) fn task_of(&mut self, tenant: TenantId, spec: TaskSpec) -> Made {
        let now = self.tick();
        let id = TaskId(self.id());
        let task = Task {
            id,
            tenant,
            spec,
            created_by: "usr_00000000000000000000000000".to_owned(),
            state: State::Queued,
            attempt: 0,
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
            created_at: now,
            updated_at: now,
            started_at: None,
            attempt_at: None,
            finished_at: None,
        };
        Made { log: Log::new(tenant, StreamName::Task(id)), task }
    }

    pub(super) fn child(&mut self, parent: &Made) -> Made {
        let mut spec = TaskSpec::new("mock");
        spec.parent = Some(Parent { step: Some("call#1".to_owned()), task: parent.task.id });
        self.task_of(parent.task.tenant, spec)
    }
}

/// A stream that is being written.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) tenant: TenantId,
    pub(super) name: StreamName,
    pub(super) head: Head,
    /// Everything that was ever appended.
    pub(super) events: Vec<Event>,
    written: usize,
}

impl Log {
    pub(super) fn new(tenant: TenantId, name: StreamName) -> Self {
        Self { tenant, name, head: chain::start(&name), events: Vec::new(), written: 0 }
    }

    pub(super) fn append(&mut self, world: &mut World, body: impl Into<EventBody>) -> &Event {
        let body = body.into();
        let draft = Draft {
            tenant: self.tenant,
            stream: self.name,
            ts: world.tick(),
            kind: body.kind(),
            body_v: 1,
            actor: "system".to_owned(),
            trace: (self.head.seq % 2 == 1)
                .then(|| "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            salt: world.dice.bytes16(),
            data: body.data().unwrap(),
        };
        self.push(chain::link(&self.head, draft));
        self.events.last().unwrap()
    }

    /// Appends an event that is linked already.
    pub(super) fn push(&mut self, event: Event) {
        self.head = chain::head_after(&event);
        self.events.push(event);
    }

    /// What was appended since the last call, as a write.
    pub(super) fn write(&mut self) -> StreamWrite {
        let events = self.events[self.written..].to_vec();
        self.written = self.events.len();
        StreamWrite {
            tenant: self.tenant,
            stream: self.name,
            expected: self.head.seq - events.len() as u64,
            events,
            head: self.head,
            task: None,
            rows: Vec::new(),
        }
    }
}

/// A task that is being written.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) task: Task,
    pub(super) log: Log,
}

impl Made {
    pub(super) fn id(&self) -> TaskId {
        self.task.id
    }

    /// Appends an event and brings the record up to its time.
    pub(super) fn append(&mut self, world: &mut World, body: impl Into<EventBody>) -> &mut Self {
        let (ts, bytes) = {
            let event = self.log.append(world, body);
            (event.ts, event.payload.as_ref().map_or(0, |payload| payload.data.len()))
        };
        self.task.updated_at = ts;
        self.task.usage.event_bytes += bytes as u64;
        self
    }

    pub(super) fn write(&mut self, rows: Vec<Row>) -> StreamWrite {
        let mut write = self.log.write();
        if !write.events.is_empty() {
            write.task =
                Some(TaskWrite { task: self.task.clone().into(), data_subject: None, signature: None });
        }
        write.rows = rows;
        write
    }

    /// `task.submitted`, as a write.
    pub(super) fn submit(&mut self, world: &mut World, rows: Vec<Row>) -> StreamWrite {
        let body = EventBody::Submitted(Box::new(self.task.spec.clone()));
        self.append(world, body).write(rows)
    }

    /// A `custom.note` event, as a write.
    pub(super) fn note(&mut self, world: &mut World, rows: Vec<Row>) -> StreamWrite {
        self.append(world, custom("{}")).write(rows)
    }

    /// `task.started`, as a write with its lease.
    pub(super) fn start(&mut self, world: &mut World, worker: WorkerId) -> StreamWrite {
        self.task.attempt += 1;
        self.task.state = State::Running;
        let attempt = self.task.attempt;
        self.append(world, Started { attempt, kind_version: Some(1), worker: worker.to_string() });
        self.task.started_at.get_or_insert(self.task.updated_at);
        self.task.attempt_at = Some(self.task.updated_at);
        let rows = vec![Row::QueueDelete(self.queue_row()), Row::LeasePut(self.lease(world, worker))];
        self.write(rows)
    }

    /// An end, as a write.
    pub(super) fn end(&mut self, world: &mut World, state: State, rows: Vec<Row>) -> StreamWrite {
        use everloop_types::error::{Code, TaskError};
        use everloop_types::event::{Cancelled, Completed, Failed};
        assert!(state.is_terminal());
        self.task.state = state;
        let body: EventBody = match state {
            State::Completed => {
                Completed { continued_as: None, result: json("1"), unconsumed: Vec::new() }.into()
            }
            State::Failed => {
                let error = TaskError::new(Code::Timeout, "too slow");
                self.task.error = Some(error.clone());
                Failed { error, unconsumed: Vec::new() }.into()
            }
            _ => Cancelled { reason: None, unconsumed: Vec::new() }.into(),
        };
        self.append(world, body);
        self.task.finished_at = Some(self.task.updated_at);
        self.write(rows)
    }

    /// A `digest` event of the head.
    pub(super) fn digest(&mut self, world: &mut World) {
        let Head { seq, hash, .. } = self.log.head;
        self.append(world, Digest { hash: everloop_journal::hex::encode(&hash), upto_seq: seq });
    }

    pub(super) fn lane(&self) -> Lane {
        let spec = &self.task.spec;
        Lane {
            queue: spec.queue.clone(),
            kind: spec.kind.clone(),
            kind_version: spec.kind_version,
            requires: spec.requires.clone(),
        }
    }

    pub(super) fn queue_row(&self) -> QueueRow {
        let spec = &self.task.spec;
        QueueRow {
            lane: self.lane().id(),
            tenant: self.task.tenant,
            priority: spec.policy.priority,
            task: self.task.id,
            since: self.task.created_at,
            concurrency: spec
                .policy
                .concurrency
                .as_ref()
                .map(|its| (digest::key_hash(self.task.tenant, "concurrency", &its.key), its.limit)),
        }
    }

    pub(super) fn lease(&self, world: &mut World, worker: WorkerId) -> LeaseRow {
        LeaseRow {
            task: self.task.id,
            tenant: self.task.tenant,
            // The nonce has its top bit set: not every database has unsigned numbers.
            token: LeaseToken {
                epoch: 1,
                attempt: self.task.attempt,
                nonce: world.dice.next_u64() | 1 << 63,
            },
            worker,
            incarnation: None,
            expires_at: world.now.plus(Duration::from_secs(90)),
            batch: 0,
            concurrency: self.queue_row().concurrency.map(|(key, _)| key),
        }
    }

    pub(super) fn timer(&self, at: Timestamp) -> TimerRow {
        TimerRow { at, tenant: self.task.tenant, task: self.task.id }
    }

    pub(super) fn key(&self, text: &str) -> KeyRow {
        KeyRow {
            hash: key_hash(self.task.tenant, text),
            tenant: self.task.tenant,
            task: self.task.id,
            request: key_hash(self.task.tenant, "request"),
            deleted_at: None,
        }
    }
}

pub(super) fn key_hash(tenant: TenantId, text: &str) -> KeyHash {
    digest::key_hash(tenant, "task", text)
}

pub(super) fn json(text: &str) -> Json {
    Json::from_canonical(text.to_owned()).unwrap()
}

pub(super) fn custom(data: &str) -> EventBody {
    EventBody::Custom { name: "note".to_owned(), data: json(data) }
}

/// A write set of streams.
pub(super) fn streams(streams: Vec<StreamWrite>) -> WriteSet {
    WriteSet { streams, ..WriteSet::default() }
}

/// A write set of rows.
pub(super) fn rows(rows: Vec<Row>) -> WriteSet {
    WriteSet { rows, ..WriteSet::default() }
}
