//! A dry run: the worker protocol spoken by somebody who hands out recorded tasks to be replayed, and keeps no event.
//!
//! A worker that is started against it replays what it is given and reports how far it got. It is let in only if it offers the
//! capability [`CAPABILITY`]: one that does not know of dry runs would run the steps.

use crate::answer::{Answer, Fail, empty, json, ok, raw};
use crate::query::Query;
use axum::Router;
pub use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use everloop_api::BASE;
use everloop_api::problem::{MEDIA_TYPE, Problem};
use everloop_api::system::WorkerView;
use everloop_api::worker::{
    AssignmentView, ClaimAnswer, ClaimRequest, FailRequest, FinishRequest, RegisterRequest, RenewAnswer,
    SignalsAnswer, SuspendRequest,
};
use everloop_types::error::{Code, Refusal};
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::limits;
use everloop_types::time::Timestamp;
use everloop_types::worker::{KindOffer, WorkerSpec, WorkerStatus};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// What a worker offers that can replay a task without going on with it.
pub const CAPABILITY: &str = "replay";

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With a result, or by going on as a new task.
    Finished(FinishRequest),
    /// With an error.
    Failed(FailRequest),
    /// It waits, or stands still.
    Suspended(SuspendRequest),
    /// The worker gave it back.
    Released,
}

/// What is played, and who listens.
pub trait Script: Send + Sync {
    /// A worker is there, and runs these.
    fn registered(&self, kinds: &[KindOffer]);

    /// The next task that can be run by one of these; none where there is no more.
    fn next(&self, kinds: Vec<KindOffer>) -> BoxFuture<'_, Option<AssignmentView>>;

    /// What a server says to `GET` of a path.
    fn read(&self, path: String) -> BoxFuture<'_, Result<Bytes, Problem>>;

    /// How an attempt ended.
    fn ended(&self, task: TaskId, end: End);
}

#[derive(Clone)]
struct Stage {
    script: Arc<dyn Script>,
    workers: Arc<Mutex<HashMap<WorkerId, Known>>>,
}

/// A worker that has registered.
struct Known {
    kinds: Vec<KindOffer>,
    /// The last claim, and what it was given: its answer may have been lost.
    claimed: Option<(u64, Vec<AssignmentView>)>,
}

/// Plays until it is dropped.
///
/// # Errors
/// If nobody can listen there any more.
pub async fn rehearse(listener: TcpListener, script: Arc<dyn Script>) -> io::Result<()> {
    let stage = Stage { script, workers: Arc::default() };
    let attempt = "/tasks/{task}/attempts/{attempt}";
    let routes = Router::new()
        .route("/workers", post(register))
        .route("/workers/{worker}", delete(done))
        .route("/workers/{worker}/heartbeat", post(done))
        .route("/workers/{worker}/claim", post(claim))
        .route("/workers/{worker}/renew", post(renew))
        .route("/workers/{worker}/signals", get(signals))
        .route(&format!("{attempt}/events"), post(done))
        .route(&format!("{attempt}/finish"), post(finish))
        .route(&format!("{attempt}/fail"), post(fail))
        .route(&format!("{attempt}/suspend"), post(suspend))
        .route(&format!("{attempt}/release"), post(release))
        .fallback(other)
        .layer(DefaultBodyLimit::max(limits::REQUEST_BYTES))
        .with_state(stage);
    axum::serve(listener, Router::new().nest(BASE, routes)).await
}

impl Stage {
    fn workers(&self) -> std::sync::MutexGuard<'_, HashMap<WorkerId, Known>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal as the problem that it is.
fn answered(answer: Answer) -> Response {
    answer.unwrap_or_else(|Fail(refusal)| problem(&Problem::new(refusal, "", Timestamp::from_micros(0))))
}

fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = serde_json::to_vec(problem).unwrap_or_default();
    raw(status, MEDIA_TYPE, text)
}

fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Fail> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::new(Code::InvalidRequest, error.to_string()).into())
}

async fn register(State(stage): State<Stage>, bytes: Bytes) -> Response {
    answered(registered(&stage, &bytes))
}

fn registered(stage: &Stage, bytes: &Bytes) -> Answer {
    let spec = WorkerSpec::from(body::<RegisterRequest>(bytes)?);
    if !spec.capabilities.iter().any(|capability| capability == CAPABILITY) {
        let refusal = Refusal::field(
            "capabilities",
            "must have `replay`: this is a dry run, and a worker of an older release would run the steps",
        );
        return Err(refusal.into());
    }
    let mut workers = stage.workers();
    let number = u128::try_from(workers.len()).unwrap_or_default() + 1;
    let id = WorkerId(number.to_be_bytes());
    workers.insert(id, Known { kinds: spec.kinds.clone(), claimed: None });
    drop(workers);
    stage.script.registered(&spec.kinds);
    let never = Timestamp::from_micros(0);
    let view = WorkerView {
        id,
        name: spec.name,
        status: WorkerStatus::Idle,
        trouble: None,
        embedded: false,
        version: spec.version,
        protocol: spec.protocol,
        kinds: spec.kinds,
        capabilities: spec.capabilities,
        queues: spec.queues,
        max_concurrent_tasks: spec.max_concurrent_tasks,
        tasks: Vec::new(),
        created_at: never,
        last_heartbeat_at: never,
    };
    json(StatusCode::CREATED, &view)
}

async fn done() -> Response {
    empty(StatusCode::NO_CONTENT)
}

async fn claim(State(stage): State<Stage>, Path(worker): Path<String>, uri: Uri, bytes: Bytes) -> Response {
    answered(claimed(&stage, &worker, &uri, &bytes).await)
}

async fn claimed(stage: &Stage, worker: &str, uri: &Uri, bytes: &Bytes) -> Answer {
    let wait = held(uri)?;
    let request = body::<ClaimRequest>(bytes)?;
    let unknown = || Refusal::not_found(format!("worker {worker}")).hint("register again");
    let id: WorkerId = worker.parse().map_err(|_| unknown())?;
    let kinds = {
        let workers = stage.workers();
        let known = workers.get(&id).ok_or_else(unknown)?;
        if let Some((number, given)) = &known.claimed
            && *number == request.request
        {
            return ok(&ClaimAnswer { assignments: given.clone() });
        }
        known.kinds.clone()
    };
    let mut assignments = Vec::new();
    while assignments.len() < usize::try_from(request.max).unwrap_or(usize::MAX) {
        let Some(next) = stage.script.next(kinds.clone()).await else { break };
        assignments.push(next);
    }
    if assignments.is_empty() {
        tokio::time::sleep(wait).await;
    }
    if let Some(known) = stage.workers().get_mut(&id) {
        known.claimed = Some((request.request, assignments.clone()));
    }
    ok(&ClaimAnswer { assignments })
}

/// How long a request is held for which there is nothing.
fn held(uri: &Uri) -> Result<Duration, Refusal> {
    let mut query = Query::read(uri.query())?;
    let wait = query.wait().unwrap_or_default();
    query.done()?;
    Ok(wait)
}

async fn renew() -> Response {
    answered(ok(&RenewAnswer { lost: Vec::new() }))
}

async fn signals(uri: Uri) -> Response {
    match held(&uri) {
        Ok(wait) => tokio::time::sleep(wait).await,
        Err(refusal) => return answered(Err(refusal.into())),
    }
    answered(ok(&SignalsAnswer { signals: Vec::new() }))
}

fn ended(stage: &Stage, task: &str, end: Result<End, Fail>) -> Response {
    let heard = end.and_then(|end| {
        let task = task.parse().map_err(|_| Refusal::not_found(format!("task {task}")))?;
        stage.script.ended(task, end);
        Ok(empty(StatusCode::NO_CONTENT))
    });
    answered(heard)
}

async fn finish(State(stage): State<Stage>, Path((task, _)): Path<(String, u32)>, bytes: Bytes) -> Response {
    ended(&stage, &task, body(&bytes).map(End::Finished))
}

async fn fail(State(stage): State<Stage>, Path((task, _)): Path<(String, u32)>, bytes: Bytes) -> Response {
    ended(&stage, &task, body(&bytes).map(End::Failed))
}

async fn suspend(State(stage): State<Stage>, Path((task, _)): Path<(String, u32)>, bytes: Bytes) -> Response {
    ended(&stage, &task, body(&bytes).map(End::Suspended))
}

async fn release(State(stage): State<Stage>, Path((task, _)): Path<(String, u32)>) -> Response {
    ended(&stage, &task, Ok(End::Released))
}

/// Whatever else is read is asked of the script; whatever else is done is refused.
async fn other(State(stage): State<Stage>, method: axum::http::Method, uri: Uri) -> Response {
    if method != axum::http::Method::GET {
        let refusal = Refusal::new(Code::Forbidden, "this is a dry run: nothing is changed by it");
        return answered(Err(refusal.into()));
    }
    // The part below `BASE`: nesting took the rest away.
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    match stage.script.read(format!("{BASE}{path}")).await {
        Ok(bytes) => raw(StatusCode::OK, "application/json", bytes).into_response(),
        Err(refused) => problem(&refused),
    }
}
