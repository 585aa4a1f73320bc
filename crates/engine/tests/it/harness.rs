//! An engine over a store in memory, with a clock that stands still unless it is moved.

use everloop_engine::engine::{Engine, Parts, Threads};
use everloop_engine::housekeep::Retention;
use everloop_engine::pipeline::op::{Fork, Op, Snapshot, Submit, Wish};
use everloop_engine::source::EngineSource;
use everloop_journal::chain::Verifier;
use everloop_journal::keys::SigningKey;
use everloop_store::memory::MemoryStore;
use everloop_store::port::{EventRead, Reserve, WriteStore};
use everloop_store::rows::{Installation, TenantRow};
use everloop_store::work::Row;
use everloop_testkit::clock::FakeClock;
use everloop_testkit::random::Seeded;
use everloop_types::error::{Class, Code, Refusal, TaskError};
use everloop_types::event::{Event, EventBody, StepCompleted};
use everloop_types::id::{InstallationId, TaskId, TenantId, UserId, WorkerId};
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{ForkedFrom, TaskSpec};
use everloop_types::time::Timestamp;
use everloop_types::worker::{KindOffer, WorkerSpec};
use everloop_worker::source::{Assignment, AttemptEnd, SourceError, WorkSource};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const TENANT: TenantId = TenantId::DEFAULT;

pub(crate) struct Harness {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) source: EngineSource,
    _threads: Threads,
}

pub(crate) fn actor() -> String {
    UserId::LOCAL.to_string()
}

pub(crate) fn transient() -> TaskError {
    TaskError {
        class: Class::Transient,
        code: "flaky".to_owned(),
        details: None,
        message: "it may pass".to_owned(),
    }
}

pub(crate) fn json(text: &str) -> Json {
    everloop_journal::canonical::canonicalize(text.as_bytes()).unwrap()
}

pub(crate) fn memory() -> MemoryStore {
    let created_at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    MemoryStore::new(Installation { id: InstallationId([7; 16]), epoch: 1, created_at })
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self::over(memory(), 256)
    }

    pub(crate) fn over(store: MemoryStore, digest_every: u64) -> Self {
        let writer = Box::new(store.writer());
        Self::with(store, writer, digest_every)
    }

    /// One that keeps finished tasks so long.
    pub(crate) fn keeping(store: MemoryStore, retention: Retention) -> Self {
        let writer = Box::new(store.writer());
        Self::built(store, writer, 256, retention, None)
    }

    /// One with space to give up.
    pub(crate) fn reserving(store: MemoryStore, reserve: Arc<dyn Reserve>) -> Self {
        let writer = Box::new(store.writer());
        Self::built(store, writer, 256, Retention::default(), Some(reserve))
    }

    pub(crate) fn with(store: MemoryStore, writer: Box<dyn WriteStore>, digest_every: u64) -> Self {
        Self::built(store, writer, digest_every, Retention::default(), None)
    }

    fn built(
        store: MemoryStore,
        writer: Box<dyn WriteStore>,
        digest_every: u64,
        retention: Retention,
        reserve: Option<Arc<dyn Reserve>>,
    ) -> Self {
        let clock = Arc::new(FakeClock::at(Timestamp::parse("2026-01-01T00:00:00Z").unwrap()));
        let (engine, threads) = Engine::start(Parts {
            writer,
            reader: store.reader(),
            clock: clock.clone(),
            random: Arc::new(Seeded::new(1)),
            key: Arc::new(SigningKey::from_seed(&[9; 32])),
            digest_every,
            blobs: store.blob(),
            reserve,
            retention,
        })
        .unwrap();
        let source = EngineSource::remote(engine.clone());
        Self { engine, store, clock, source, _threads: threads }
    }

    pub(crate) async fn submit(&self, spec: TaskSpec) -> Result<Arc<Snapshot>, Refusal> {
        self.submit_with(spec, None).await
    }

    pub(crate) async fn submit_with(
        &self,
        spec: TaskSpec,
        key: Option<(&str, u8)>,
    ) -> Result<Arc<Snapshot>, Refusal> {
        self.engine.submit(self.request(spec, key)).await.map(|(snapshot, _)| snapshot)
    }

    fn request(&self, spec: TaskSpec, key: Option<(&str, u8)>) -> Submit {
        let keys =
            key.iter().map(|(key, _)| everloop_journal::digest::key_hash(TENANT, "key", key)).collect();
        Submit {
            id: TaskId(self.engine.new_id()),
            tenant: TENANT,
            actor: actor(),
            spec,
            data_subject: None,
            keys,
            request: [key.map_or(0, |(_, request)| request); 16],
            trace: None,
            fork: None,
            takes_key_of: None,
        }
    }

    /// One with a tenant, whose secret blobs are named by.
    pub(crate) async fn with_tenant(self) -> Self {
        let row = TenantRow {
            id: TENANT,
            name: "default".to_owned(),
            secret: [3; 32],
            created_at: self.engine.now(),
        };
        self.engine.ask(Op::Rows(vec![Row::TenantPut(row)])).await.unwrap();
        self
    }

    /// A fork of a task at an event.
    pub(crate) fn fork(&self, task: TaskId, upto_seq: u64, keys_of: Option<TaskId>) -> Fork {
        let events = self.events(task);
        let hash = events.iter().find(|event| event.seq == upto_seq).unwrap().hash;
        let hash = everloop_journal::hex::encode(&hash);
        Fork { from: ForkedFrom { hash, keys_of, task, upto_seq }, events: Arc::new(events) }
    }

    pub(crate) async fn submit_forked(&self, fork: Fork) -> Result<Arc<Snapshot>, Refusal> {
        let submit = Submit { fork: Some(fork), ..self.request(mock(), None) };
        self.engine.submit(submit).await.map(|(snapshot, _)| snapshot)
    }

    pub(crate) async fn worker(&self, max: u32) -> WorkerId {
        let spec = WorkerSpec {
            capabilities: Vec::new(),
            kinds: vec![KindOffer::new("mock")],
            max_concurrent_tasks: max,
            name: "test".to_owned(),
            protocol: 1,
            queues: ["high", "default", "low"].map(str::to_owned).to_vec(),
            version: String::new(),
        };
        self.source.register(spec).await.unwrap()
    }

    pub(crate) async fn claim(&self, worker: WorkerId, request: u64) -> Option<Assignment> {
        // Long enough for the pipeline to answer, short where nothing is to be had.
        let mut claimed = self.source.claim(worker, 1, Duration::from_millis(300), request).await.unwrap();
        assert!(claimed.len() <= 1);
        claimed.pop()
    }

    pub(crate) async fn write(
        &self,
        worker: WorkerId,
        of: &Assignment,
        batch: u32,
        events: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Result<(), SourceError> {
        self.source.write(worker, of.tenant, of.task, of.lease, batch, events, end).await
    }

    pub(crate) async fn complete(&self, worker: WorkerId, of: &Assignment) {
        let end = AttemptEnd::Completed { result: json("42") };
        self.write(worker, of, 1, Vec::new(), Some(end)).await.unwrap();
    }

    pub(crate) async fn wish(&self, task: TaskId, wish: Wish) -> Result<State, Refusal> {
        self.engine.wish(TENANT, task, &actor(), wish).await.map(|snapshot| snapshot.task.state)
    }

    pub(crate) async fn state(&self, task: TaskId) -> State {
        self.engine.snapshot(TENANT, task).await.unwrap().task.state
    }

    /// Moves the clocks, and waits until the reconciler has seen it.
    pub(crate) async fn pass(&self, by: Duration) {
        self.clock.advance(by);
        self.engine.ask(Op::Expire).await.unwrap();
    }

    /// Waits for a state: for what the reconciler does in its own time.
    pub(crate) async fn reaches(&self, task: TaskId, state: State) {
        let reached = async {
            while self.state(task).await != state {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), reached).await.is_err() {
            panic!("{task} is {} and not {state}", self.state(task).await);
        }
    }

    pub(crate) fn events(&self, task: TaskId) -> Vec<Event> {
        self.store.reader().events(TENANT, StreamName::Task(task), 0, 10_000).unwrap()
    }

    /// The types of a task's events, after its chain was verified.
    pub(crate) fn kinds(&self, task: TaskId) -> Vec<String> {
        let mut verifier = Verifier::new(TENANT, StreamName::Task(task));
        let events = self.events(task);
        for event in &events {
            verifier.check(event).unwrap();
        }
        events.into_iter().map(|event| event.kind.into_owned()).collect()
    }
}

pub(crate) fn mock() -> TaskSpec {
    TaskSpec::new("mock")
}

/// The record of a step.
pub(crate) fn step(name: &str) -> EventBody {
    StepCompleted {
        attempt: 1,
        code_version: None,
        intent: "00".to_owned(),
        kind: "step".to_owned(),
        result: json("{\"n\":1}"),
        started_at: Default::default(),
        step: name.to_owned(),
    }
    .into()
}

/// Why something was refused.
pub(crate) fn code(result: Result<impl std::fmt::Debug, SourceError>) -> Code {
    match result.unwrap_err() {
        SourceError::Refused(refusal) => refusal.code,
        SourceError::Unavailable(why) => panic!("{why}"),
    }
}

/// The end of an attempt with an error.
pub(crate) fn failed(error: TaskError) -> Option<AttemptEnd> {
    Some(AttemptEnd::Failed { error })
}
