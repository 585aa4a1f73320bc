//! The worker loop with a source that answers when the test wants it to, in virtual time.

use crate::harness::{TENANT, mock};
use everloop_types::blob::BlobName;
use everloop_types::event::EventBody;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::time::{Clock, Timestamp};
use everloop_types::worker::{KindOffer, WorkerSpec};
use everloop_worker::context::Context;
use everloop_worker::executor::{Executor, Registry, Stop};
use everloop_worker::run::{Options, Worker};
use everloop_worker::source::{
    Assignment, AttemptEnd, Frame, Signal, SourceError, Sourced, TaskSignal, WorkSource,
};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const TASK: TaskId = TaskId([1; 16]);

struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.0.elapsed().as_micros()).unwrap())
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Gives one task, once.
struct Slow {
    lease: Duration,
    /// How long the task is on its way.
    way: Duration,
    /// Whether anything but that is answered.
    answers: bool,
    lost: bool,
    words: Mutex<Vec<TaskSignal>>,
    /// When somebody says them.
    words_after: Duration,
    given: Mutex<bool>,
    ends: Mutex<Vec<AttemptEnd>>,
}

impl Slow {
    fn new(lease: Duration, way: Duration) -> Self {
        Self {
            lease,
            way,
            answers: true,
            lost: false,
            words: Mutex::default(),
            words_after: Duration::ZERO,
            given: Mutex::default(),
            ends: Mutex::default(),
        }
    }

    fn answer<T: Send + 'static>(&self, with: T) -> Sourced<'_, T> {
        let answers = self.answers;
        Box::pin(async move { if answers { Ok(with) } else { std::future::pending().await } })
    }
}

impl WorkSource for Slow {
    fn register(&self, _: WorkerSpec) -> Sourced<'_, WorkerId> {
        Box::pin(async { Ok(WorkerId([2; 16])) })
    }
    fn heartbeat(&self, _: WorkerId, _: Option<String>) -> Sourced<'_, ()> {
        self.answer(())
    }
    fn claim(&self, _: WorkerId, _: u32, _: Duration, _: u64) -> Sourced<'_, Vec<Assignment>> {
        Box::pin(async move {
            if std::mem::replace(&mut *self.given.lock().unwrap(), true) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.way).await;
            Ok(vec![Assignment {
                task: TASK,
                tenant: TENANT,
                lease: LeaseToken { epoch: 0, attempt: 1, nonce: 7 },
                lease_ttl: Some(self.lease),
                attempt: 1,
                tries: 0,
                spec: mock(),
                kind_version: Some(1),
                journal: Vec::new(),
                replay: None,
            }])
        })
    }
    fn renew(&self, _: WorkerId, leases: Vec<(TaskId, LeaseToken)>) -> Sourced<'_, Vec<TaskId>> {
        let lost = if self.lost { leases.into_iter().map(|(task, _)| task).collect() } else { Vec::new() };
        self.answer(lost)
    }
    fn signals(&self, _: WorkerId, _: Duration) -> Sourced<'_, Vec<TaskSignal>> {
        Box::pin(async move {
            tokio::time::sleep(self.words_after).await;
            let words = std::mem::take(&mut *self.words.lock().unwrap());
            if words.is_empty() { std::future::pending().await } else { Ok(words) }
        })
    }
    fn write(
        &self,
        _: WorkerId,
        _: TenantId,
        _: TaskId,
        _: LeaseToken,
        _: u32,
        _: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Sourced<'_, ()> {
        self.ends.lock().unwrap().extend(end);
        Box::pin(async { Ok(()) })
    }
    fn blob(&self, _: TenantId, _: String) -> Sourced<'_, Option<Vec<u8>>> {
        self.answer(None)
    }
    fn put_blob(&self, _: TenantId, _: String, _: Vec<u8>) -> Sourced<'_, BlobName> {
        Box::pin(async { Err(SourceError::Unavailable("there are none".to_owned())) })
    }
    fn frames(&self, _: TenantId, _: TaskId, _: LeaseToken, _: Vec<Frame>) -> Sourced<'_, ()> {
        self.answer(())
    }
}

/// Does a step each half second, and notes when.
struct Steps(Instant, Arc<Mutex<Vec<Duration>>>);

impl Executor for Steps {
    fn offer(&self) -> KindOffer {
        KindOffer::new("mock")
    }
    fn about(&self) -> &str {
        ""
    }
    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        Box::pin(async move {
            loop {
                let note = async {
                    self.1.lock().unwrap().push(self.0.elapsed());
                    Ok(())
                };
                context.step("note").run::<(), _>(note).await?;
                tokio::select! {
                    biased;
                    _ = context.stopped() => context.boundary()?,
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                }
            }
        })
    }
}

/// Lets a worker run for so long; gives when steps were done.
async fn works(source: Arc<Slow>, length: Duration) -> Vec<Duration> {
    let start = Instant::now();
    let done: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let (_stop, stopped) = watch::channel(false);
    let worker = Worker {
        source,
        registry: Registry::default().with(Arc::new(Steps(start, done.clone()))),
        clock: Arc::new(Virtual(start)),
        options: Options::default(),
    };
    let _ = tokio::time::timeout(length, worker.run(stopped)).await;
    let done = done.lock().unwrap();
    done.clone()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_hears_late_of_a_task_asks_whether_it_still_holds_it() {
    let late = || Slow::new(Duration::from_secs(90), Duration::from_secs(100));
    let done = works(Arc::new(Slow { lost: true, ..late() }), Duration::from_secs(200)).await;
    assert!(done.is_empty(), "{done:?}");
    let done = works(Arc::new(late()), Duration::from_secs(200)).await;
    assert!(done.len() > 100, "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_given_up_in_time_while_the_loop_waits_for_an_answer() {
    let silent = Slow { answers: false, ..Slow::new(Duration::from_secs(3), Duration::ZERO) };
    let done = works(Arc::new(silent), Duration::from_secs(60)).await;
    assert!(done.last().is_some_and(|last| *last < Duration::from_secs(2)), "{done:?}");
    assert!(done.len() >= 4, "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_word_that_is_faster_than_its_task_is_heard() {
    let source = Slow::new(Duration::from_secs(90), Duration::from_secs(1));
    let signal = Signal::Cancel { grace: Duration::from_secs(5) };
    source.words.lock().unwrap().push(TaskSignal { task: TASK, attempt: 1, signal });
    let source = Arc::new(source);
    let done = works(source.clone(), Duration::from_secs(30)).await;
    assert!(done.is_empty(), "{done:?}");
    assert_eq!(*source.ends.lock().unwrap(), [AttemptEnd::Cancelled]);
}

/// Does one step that takes its time.
struct Long(Duration);

impl Executor for Long {
    fn offer(&self) -> KindOffer {
        KindOffer::new("mock")
    }
    fn about(&self) -> &str {
        ""
    }
    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        Box::pin(async move {
            let step = async {
                tokio::time::sleep(self.0).await;
                Ok(())
            };
            context.step("long").run::<(), _>(step).await?;
            context.boundary()?;
            Ok(Json::null())
        })
    }
}

/// A worker is asked to stop in the first of eight seconds that its task's only step takes; gives how the attempt ended.
async fn stops(source: Slow) -> Vec<AttemptEnd> {
    let source = Arc::new(source);
    let (stop, stopped) = watch::channel(false);
    let worker = Worker {
        source: source.clone(),
        registry: Registry::default().with(Arc::new(Long(Duration::from_secs(8)))),
        clock: Arc::new(Virtual(Instant::now())),
        options: Options { drain: Duration::from_secs(10), ..Options::default() },
    };
    let stops = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.send_replace(true);
    };
    let (ran, ()) = tokio::join!(worker.run(stopped), stops);
    ran.unwrap();
    std::mem::take(&mut source.ends.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_keeps_its_leases_until_its_tasks_come_to_a_step() {
    let ends = stops(Slow::new(Duration::from_secs(3), Duration::ZERO)).await;
    assert_eq!(ends, [AttemptEnd::Released]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_hears_that_its_task_was_cancelled() {
    let source =
        Slow { words_after: Duration::from_secs(2), ..Slow::new(Duration::from_secs(90), Duration::ZERO) };
    let signal = Signal::Cancel { grace: Duration::from_secs(1) };
    source.words.lock().unwrap().push(TaskSignal { task: TASK, attempt: 1, signal });
    assert_eq!(stops(source).await, [AttemptEnd::Cancelled]);
}
