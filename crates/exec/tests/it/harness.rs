//! A source that hands out one assignment and keeps what is written.

use base64::Engine as _;
use everloop_testkit::system::RealClock;
use everloop_types::blob::BlobName;
use everloop_types::event::{EventBody, Level, Log};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::task::TaskSpec;
use everloop_types::worker::WorkerSpec;
use everloop_worker::executor::{Executor, Registry};
use everloop_worker::run::{Options, Worker};
use everloop_worker::source::{
    Assignment, AttemptEnd, Frame, JournalEntry, Signal, SourceError, Sourced, TaskSignal, WorkSource,
};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// The longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A task of a kind with this input.
pub(crate) fn spec(kind: &str, input: &str) -> TaskSpec {
    let mut spec = TaskSpec::new(kind);
    spec.input = Some(Json::from_canonical(input.to_owned()).unwrap());
    spec
}

struct Source {
    assignment: Mutex<Option<Assignment>>,
    signals: AsyncMutex<mpsc::UnboundedReceiver<TaskSignal>>,
    batch: Mutex<u32>,
    events: Mutex<Vec<(Instant, EventBody)>>,
    changed: watch::Sender<Option<AttemptEnd>>,
    keeps_logs: bool,
    delay: Duration,
}

impl WorkSource for Source {
    fn register(&self, _: WorkerSpec) -> Sourced<'_, WorkerId> {
        Box::pin(async { Ok(WorkerId([1; 16])) })
    }

    fn heartbeat(&self, _: WorkerId, _: Option<String>) -> Sourced<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn claim(&self, _: WorkerId, _: u32, _: Duration, _: u64) -> Sourced<'_, Vec<Assignment>> {
        let assignment = self.assignment.lock().unwrap().take();
        Box::pin(async move {
            match assignment {
                Some(assignment) => Ok(vec![assignment]),
                None => pending().await,
            }
        })
    }

    fn renew(&self, _: WorkerId, _: Vec<(TaskId, LeaseToken)>) -> Sourced<'_, Vec<TaskId>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn signals(&self, _: WorkerId, _: Duration) -> Sourced<'_, Vec<TaskSignal>> {
        Box::pin(async {
            match self.signals.lock().await.recv().await {
                Some(signal) => Ok(vec![signal]),
                None => pending().await,
            }
        })
    }

    fn write(
        &self,
        _: WorkerId,
        _: TenantId,
        _: TaskId,
        _: LeaseToken,
        batch: u32,
        events: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Sourced<'_, ()> {
        Box::pin(async move {
            {
                let mut last = self.batch.lock().unwrap();
                if batch == *last {
                    return Ok(());
                }
                assert_eq!(batch, *last + 1, "batches come in order");
                *last = batch;
            }
            let now = Instant::now();
            let kept =
                events.into_iter().filter(|event| self.keeps_logs || !matches!(event, EventBody::Log(_)));
            self.events.lock().unwrap().extend(kept.map(|event| (now, event)));
            self.changed.send_modify(|ended| {
                if end.is_some() {
                    *ended = end;
                }
            });
            // As with a real source, a call that is dropped now has been heard all the same.
            sleep(self.delay).await;
            Ok(())
        })
    }

    fn blob(&self, _: TenantId, _: String) -> Sourced<'_, Option<Vec<u8>>> {
        Box::pin(async { Ok(None) })
    }

    fn put_blob(&self, _: TenantId, _: String, _: Vec<u8>) -> Sourced<'_, BlobName> {
        Box::pin(async { Err(SourceError::Unavailable("nothing keeps blobs here".to_owned())) })
    }

    fn frames(&self, _: TenantId, _: TaskId, _: LeaseToken, _: Vec<Frame>) -> Sourced<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// An attempt that a worker runs.
pub(crate) struct Attempt {
    source: Arc<Source>,
    signals: mpsc::UnboundedSender<TaskSignal>,
    _stop: watch::Sender<bool>,
    worker: JoinSet<()>,
}

/// How an attempt is set up.
pub(crate) struct Setup {
    pub(crate) attempt: u32,
    pub(crate) journal: Vec<EventBody>,
    /// How long each write takes.
    pub(crate) delay: Duration,
    pub(crate) keeps_logs: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { attempt: 1, journal: Vec::new(), delay: Duration::ZERO, keeps_logs: true }
    }
}

pub(crate) fn task() -> TaskId {
    TaskId([7; 16])
}

/// Starts an attempt.
pub(crate) fn start(executor: impl Executor + 'static, spec: TaskSpec) -> Attempt {
    start_with(executor, spec, Setup::default())
}

pub(crate) fn start_with(executor: impl Executor + 'static, spec: TaskSpec, setup: Setup) -> Attempt {
    assert_eq!(executor.check(&spec), Ok(()));
    start_unchecked(executor, spec, setup)
}

/// Starts an attempt whose input was never checked.
pub(crate) fn start_unchecked(executor: impl Executor + 'static, spec: TaskSpec, setup: Setup) -> Attempt {
    let attempt = setup.attempt;
    let journal = (1..).zip(setup.journal).map(|(seq, body)| JournalEntry { seq, body }).collect();
    let assignment = Assignment {
        task: task(),
        tenant: TenantId::DEFAULT,
        lease: LeaseToken { epoch: 0, attempt, nonce: 1 },
        lease_ttl: None,
        attempt,
        tries: 0,
        spec,
        kind_version: Some(1),
        journal,
        replay: None,
    };
    let (signals, heard) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let source = Arc::new(Source {
        assignment: Mutex::new(Some(assignment)),
        signals: AsyncMutex::new(heard),
        batch: Mutex::new(0),
        events: Mutex::default(),
        changed: watch::Sender::new(None),
        keeps_logs: setup.keeps_logs,
        delay: setup.delay,
    });
    let worker = Worker {
        source: source.clone(),
        registry: Registry::default().with(Arc::new(executor)),
        clock: Arc::new(RealClock::default()),
        options: Options::default(),
    };
    let mut set = JoinSet::new();
    set.spawn(async move { worker.run(stopped).await.unwrap() });
    Attempt { source, signals, _stop: stop, worker: set }
}

impl Attempt {
    /// The end of the attempt.
    pub(crate) async fn end(&self) -> AttemptEnd {
        let mut changed = self.source.changed.subscribe();
        let ended =
            timeout(PATIENCE, changed.wait_for(Option::is_some)).await.expect("the attempt ends").unwrap();
        ended.clone().unwrap()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.source.changed.borrow().is_some()
    }

    /// Waits until what was written fulfils something.
    pub(crate) async fn until(&self, what: impl Fn(&Self) -> bool) {
        let mut changed = self.source.changed.subscribe();
        timeout(PATIENCE, changed.wait_for(|_| what(self))).await.expect("it is written in time").unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.signals.send(TaskSignal { task: task(), attempt: 1, signal }).unwrap();
    }

    pub(crate) fn cancel(&self, grace_ms: u64) {
        self.signal(Signal::Cancel { grace: Duration::from_millis(grace_ms) });
    }

    /// Drops the worker with everything that it runs.
    pub(crate) async fn kill(&mut self) {
        self.worker.shutdown().await;
    }

    pub(crate) fn events(&self) -> Vec<EventBody> {
        self.source.events.lock().unwrap().iter().map(|(_, event)| event.clone()).collect()
    }

    pub(crate) fn logs(&self, source: &str) -> Vec<(Instant, Log)> {
        let events = self.source.events.lock().unwrap();
        let logs = events.iter().filter_map(|(at, event)| match event {
            EventBody::Log(log) if log.source == source => Some((*at, log.clone())),
            _ => None,
        });
        logs.collect()
    }

    /// The chunks of a source, joined; each begins where the one before it ended.
    pub(crate) fn output(&self, source: &str) -> Vec<u8> {
        let mut joined = Vec::new();
        for (_, log) in self.logs(source) {
            assert_eq!(log.offset, joined.len() as u64);
            let bytes = bytes_of(&log);
            assert!(!bytes.is_empty() && bytes.len() <= 16 * 1024, "{} bytes", bytes.len());
            joined.extend(bytes);
        }
        joined
    }

    pub(crate) fn text(&self, source: &str) -> String {
        String::from_utf8(self.output(source)).unwrap()
    }

    /// The executor's own warnings.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let logs = self.logs("executor").into_iter().filter(|(_, log)| log.level == Level::Warn);
        logs.map(|(_, log)| log.text.unwrap()).collect()
    }

    /// How many events there are of each type.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.events().iter().for_each(|event| *counts.entry(event.kind().to_string()).or_default() += 1);
        counts
    }
}

pub(crate) fn bytes_of(log: &Log) -> Vec<u8> {
    match (&log.text, &log.base64) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
        other => panic!("one of both: {other:?}"),
    }
}

/// The result of an attempt that has completed.
pub(crate) fn completed(end: AttemptEnd) -> serde_json::Value {
    match end {
        AttemptEnd::Completed { result } => {
            let value: serde_json::Value = result.parse().unwrap();
            assert_eq!(everloop_worker::context::canonical(&value).unwrap(), result, "results are canonical");
            value
        }
        other => panic!("not completed: {other:?}"),
    }
}

/// The error of one that has failed: code, class, details and message.
pub(crate) fn failed(end: AttemptEnd) -> (String, String, serde_json::Value, String) {
    match end {
        AttemptEnd::Failed { error } => {
            let class = serde_json::to_value(error.class).unwrap().as_str().unwrap().to_owned();
            let details = error.details.unwrap_or_default().parse().unwrap();
            (error.code, class, details, error.message)
        }
        other => panic!("not failed: {other:?}"),
    }
}
