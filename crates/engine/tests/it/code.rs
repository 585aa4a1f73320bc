//! Workers that run what a test says.

use crate::harness::{Harness, TENANT};
use everloop_engine::pipeline::op::Wish;
use everloop_engine::source::EngineSource;
use everloop_types::event::LostReason;
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::worker::KindOffer;
use everloop_worker::context::Context;
use everloop_worker::executor::{Executor, Registry, Stop};
use everloop_worker::run::{Options, Worker};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What an attempt does.
pub(crate) type Code = dyn Fn(Context) -> BoxFuture<'static, Result<Json, Stop>> + Send + Sync;

struct Scripted(Box<Code>);

impl Executor for Scripted {
    fn offer(&self) -> KindOffer {
        KindOffer::new("mock")
    }
    fn about(&self) -> &str {
        ""
    }
    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>> {
        (self.0)(context)
    }
}

/// Starts a worker of the engine's own process.
pub(crate) fn start(
    h: &Harness,
    code: impl Fn(Context) -> BoxFuture<'static, Result<Json, Stop>> + Send + Sync + 'static,
) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    let worker = Worker {
        source: Arc::new(EngineSource::embedded(h.engine.clone())),
        registry: Registry::default().with(Arc::new(Scripted(Box::new(code)))),
        clock: h.clock.clone(),
        options: Options { max_concurrent_tasks: 2, ..Options::default() },
    };
    #[expect(clippy::disallowed_methods, reason = "a test may")]
    tokio::spawn(async move { worker.run(stopped).await });
    stop
}

pub(crate) async fn registered(h: &Harness) {
    while h.engine.read(|store| store.workers()).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Waits until a task has so many events of a type.
pub(crate) async fn until(h: &Harness, task: TaskId, kind: &str, count: usize) {
    let seen = async {
        while h.kinds(task).iter().filter(|of| *of == kind).count() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), seen).await.is_err() {
        panic!("{:?}", h.kinds(task));
    }
}

/// Takes a task away from whoever holds it.
pub(crate) async fn lose(h: &Harness, task: TaskId) {
    let leases = h.engine.read(|store| store.leases()).await.unwrap();
    let lease = leases.into_iter().find(|lease| lease.task == task).unwrap();
    assert_eq!(lease.tenant, TENANT);
    h.wish(task, Wish::Lost { token: lease.token, reason: LostReason::Expired }).await.unwrap();
}
