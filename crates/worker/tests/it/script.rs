//! A source with one task, and what a worker makes of it.

use everloop_testkit::system::RealClock;
use everloop_types::blob::BlobName;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::event::EventBody;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::task::TaskSpec;
use everloop_types::worker::{KindOffer, Replay, WorkerSpec};
use everloop_worker::context::Context;
use everloop_worker::executor::{Executor, Registry, Stop};
use everloop_worker::run::{Options, Worker};
use everloop_worker::source::{
    Assignment, AttemptEnd, Frame, JournalEntry, SourceError, Sourced, TaskSignal, WorkSource,
};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

const TASK: TaskId = TaskId([1; 16]);

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Everything that was written, but for the end.
    pub(crate) events: Vec<EventBody>,
    pub(crate) end: AttemptEnd,
    /// What the worker said that it can do.
    pub(crate) capabilities: Vec<String>,
}

impl Ended {
    pub(crate) fn result(&self) -> &str {
        match &self.end {
            AttemptEnd::Completed { result } => result.as_str(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn error(&self) -> &TaskError {
        match &self.end {
            AttemptEnd::Failed { error } => error,
            other => panic!("{other:?}"),
        }
    }

    /// Why it stands still, and more about it.
    pub(crate) fn paused(&self) -> (&str, &str) {
        match &self.end {
            AttemptEnd::Paused { reason } => (&reason.reason, reason.details.as_ref().unwrap().as_str()),
            other => panic!("{other:?}"),
        }
    }

    /// The steps whose outcomes were recorded.
    pub(crate) fn steps(&self) -> Vec<&str> {
        let steps = self.events.iter().filter_map(|body| match body {
            EventBody::StepCompleted(step) => Some(step.step.as_str()),
            _ => None,
        });
        steps.collect()
    }
}

/// The code of a task.
pub(crate) type Written = Box<dyn Fn(Context) -> BoxFuture<'static, Result<Json, Stop>> + Send + Sync>;

pub(crate) fn code<F, R>(run: F) -> Written
where
    F: Fn(Context) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Json, Stop>> + Send + 'static,
{
    Box::new(move |context| Box::pin(run(context)))
}

struct Coded(Written);

impl Executor for Coded {
    fn offer(&self) -> KindOffer {
        KindOffer::new("coded")
    }

    fn about(&self) -> &'static str {
        "code of a test"
    }

    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        (self.0)(context)
    }
}

#[derive(Default)]
struct Script {
    assignment: Mutex<Option<Assignment>>,
    events: Mutex<Vec<EventBody>>,
    end: watch::Sender<Option<AttemptEnd>>,
    capabilities: Mutex<Vec<String>>,
}

impl WorkSource for Script {
    fn register(&self, spec: WorkerSpec) -> Sourced<'_, WorkerId> {
        *self.capabilities.lock().unwrap() = spec.capabilities;
        Box::pin(async { Ok(WorkerId([2; 16])) })
    }

    fn heartbeat(&self, _: WorkerId, _: Option<String>) -> Sourced<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn claim(&self, _: WorkerId, _: u32, _: Duration, _: u64) -> Sourced<'_, Vec<Assignment>> {
        Box::pin(async {
            let assignment = self.assignment.lock().unwrap().take();
            match assignment {
                Some(assignment) => Ok(vec![assignment]),
                None => std::future::pending().await,
            }
        })
    }

    fn renew(&self, _: WorkerId, _: Vec<(TaskId, LeaseToken)>) -> Sourced<'_, Vec<TaskId>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn signals(&self, _: WorkerId, _: Duration) -> Sourced<'_, Vec<TaskSignal>> {
        Box::pin(std::future::pending())
    }

    fn write(
        &self,
        _: WorkerId,
        _: TenantId,
        _: TaskId,
        _: LeaseToken,
        _: u32,
        events: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Sourced<'_, ()> {
        Box::pin(async {
            self.events.lock().unwrap().extend(events);
            if let Some(end) = end {
                self.end.send_replace(Some(end));
            }
            Ok(())
        })
    }

    fn blob(&self, _: TenantId, _: String) -> Sourced<'_, Option<Vec<u8>>> {
        Box::pin(async { Ok(None) })
    }

    fn put_blob(&self, _: TenantId, _: String, _: Vec<u8>) -> Sourced<'_, BlobName> {
        Box::pin(async { Err(SourceError::Refused(Refusal::new(Code::Internal, "there are no blobs here"))) })
    }

    fn frames(&self, _: TenantId, _: TaskId, _: LeaseToken, _: Vec<Frame>) -> Sourced<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// Runs code over a past, to the end of the attempt.
pub(crate) async fn attempt(past: Vec<EventBody>, replay: Option<Replay>, code: Written) -> Ended {
    let assignment = Assignment {
        task: TASK,
        tenant: TenantId([3; 16]),
        lease: LeaseToken { epoch: 0, attempt: 1, nonce: 7 },
        lease_ttl: None,
        attempt: 1,
        tries: 0,
        spec: TaskSpec::new("coded"),
        kind_version: None,
        journal: (1..).zip(past).map(|(seq, body)| JournalEntry { seq, body }).collect(),
        replay,
    };
    let script = Arc::new(Script { assignment: Mutex::new(Some(assignment)), ..Script::default() });
    let (stop, stopped) = watch::channel(false);
    let worker = Worker {
        source: script.clone(),
        registry: Registry::default().with(Arc::new(Coded(code))),
        clock: Arc::new(RealClock::default()),
        options: Options::default(),
    };
    let mut end = script.end.subscribe();
    let ended = async {
        let end = end.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        stop.send_replace(true);
        end
    };
    let (ran, end) = tokio::join!(worker.run(stopped), ended);
    ran.unwrap();
    let events = std::mem::take(&mut *script.events.lock().unwrap());
    let capabilities = std::mem::take(&mut *script.capabilities.lock().unwrap());
    Ended { events, end, capabilities }
}
