//! The worker protocol.

use crate::answer::{Answer, Fail, empty, json, ok};
use crate::app::stopped;
use crate::call::Call;
use crate::route::Route;
use crate::views;
use axum::http::StatusCode;
use everloop_api::LEASE_HEADER;
use everloop_api::event::Body;
use everloop_api::system::WorkerView;
use everloop_api::worker::{
    AssignmentView, ClaimAnswer, ClaimRequest, EventsRequest, FailRequest, FinishRequest, HeartbeatRequest,
    JOURNAL_INLINE, JournalItem, JournalPage, RegisterRequest, ReleaseRequest, RenewAnswer, RenewRequest,
    SignalView, SignalWord, SignalsAnswer, SuspendRequest,
};
use everloop_control::work::{Assignment, AttemptEnd, Frame, JournalEntry, Signal, TaskSignal, Writing};
use everloop_types::error::{Code, FieldError, Refusal};
use everloop_types::event::EventBody;
use everloop_types::id::WorkerId;
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use std::time::Duration;

const AGAIN: &[Code] = &[Code::NotFound];
const HELD: &[Code] = &[Code::NotFound, Code::LeaseLost, Code::LimitReached, Code::TooLarge];

/// The routes of this noun.
pub(super) fn routes() -> Vec<Route> {
    let held = |route: Route| route.lease().gives_nothing(204, "It is durable.").refuses(HELD);
    vec![
        Route::post("/workers", ("worker protocol", "register_worker", "Make a worker known"), register)
            .body::<RegisterRequest>(
                r#"{"name":"gpu-1","protocol":1,"kinds":[{"kind":"render","versions":[1]}],"max_concurrent_tasks":2}"#,
            )
            .gives::<WorkerView>(201, "The worker; its id goes into every other call.")
            .leads_to("worker", &["claim", "heartbeat", "get_worker", "remove_worker"]),
        Route::post("/workers/{worker}/heartbeat", ("worker protocol", "heartbeat", "Say that a worker lives"), heartbeat)
            .optional_body::<HeartbeatRequest>("{}")
            .gives_nothing(204, "It is known to live.")
            .refuses(AGAIN),
        Route::post("/workers/{worker}/claim", ("worker protocol", "claim", "Wait for tasks"), claim)
            .waits()
            .body::<ClaimRequest>(r#"{"max":1,"request":1}"#)
            .gives::<ClaimAnswer>(200, "Tasks; none when none came in time.")
            .refuses(AGAIN),
        Route::post("/workers/{worker}/renew", ("worker protocol", "renew", "Hold tasks for another term"), renew)
            .body::<RenewRequest>(
                r#"{"leases":[{"task":"task_01h2xcejqtf2nbrexx3vqjhp41","lease":"0.1.000000000000feed"}]}"#,
            )
            .gives::<RenewAnswer>(200, "Those that are lost.")
            .refuses(AGAIN),
        Route::get("/workers/{worker}/signals", ("worker protocol", "signals", "Wait for words about held tasks"), signals)
            .waits()
            .gives::<SignalsAnswer>(200, "Words; none when none came in time.")
            .refuses(AGAIN),
        held(Route::post("/tasks/{id}/attempts/{n}/events", ("worker protocol", "write_events", "Write events, show frames"), events))
            .body::<EventsRequest>(
                r#"{"worker":"wkr_01h2xcejqtf2nbrexx3vqjhp41","batch":1,"events":[{"type":"task.progress","data":{"done":1,"total":3}}],"frames":[{"type":"token","data":"Hel"}]}"#,
            ),
        held(Route::post("/tasks/{id}/attempts/{n}/finish", ("worker protocol", "finish", "End the task"), finish))
            .body::<FinishRequest>(r#"{"worker":"wkr_01h2xcejqtf2nbrexx3vqjhp41","batch":2,"result":{"ok":true}}"#),
        held(Route::post("/tasks/{id}/attempts/{n}/suspend", ("worker protocol", "suspend", "End the attempt; the task waits"), suspend))
            .body::<SuspendRequest>(
                r#"{"worker":"wkr_01h2xcejqtf2nbrexx3vqjhp41","batch":2,"for":{"input":{"id":"answer#1","name":"answer"}}}"#,
            ),
        held(Route::post("/tasks/{id}/attempts/{n}/fail", ("worker protocol", "fail", "End the try with an error"), fail))
            .body::<FailRequest>(
                r#"{"worker":"wkr_01h2xcejqtf2nbrexx3vqjhp41","batch":2,"error":{"class":"transient","code":"upstream_down","message":"no answer"}}"#,
            ),
        held(Route::post("/tasks/{id}/attempts/{n}/release", ("worker protocol", "release", "Give the task back undone"), release))
            .body::<ReleaseRequest>(r#"{"worker":"wkr_01h2xcejqtf2nbrexx3vqjhp41","batch":2}"#),
        Route::get("/tasks/{id}/attempts/{n}/journal", ("worker protocol", "journal", "Read what was recorded"), journal)
            .number("after", "Entries after this event.")
            .lease()
            .gives::<JournalPage>(200, "Steps, inputs and what else a replay needs, in order.")
            .refuses(HELD),
    ]
}

async fn register(mut call: Call) -> Answer {
    call.no_more_query()?;
    let request = call.body::<RegisterRequest>().await?.value;
    json(
        StatusCode::CREATED,
        &views::worker(call.control().work_register(&call.caller, request.into()).await?),
    )
}

async fn heartbeat(mut call: Call) -> Answer {
    call.no_more_query()?;
    let worker = call.parsed("worker", "worker")?;
    let request = call.body_or_empty::<HeartbeatRequest>().await?.value;
    call.control().work_heartbeat(&call.caller, worker, request.trouble).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn claim(mut call: Call) -> Answer {
    let wait = call.query.wait().unwrap_or_default();
    call.no_more_query()?;
    let worker = call.parsed("worker", "worker")?;
    let request = call.body::<ClaimRequest>().await?.value;
    let mut stopping = call.app.stopping.clone();
    let ask = |wait| call.control().work_claim(&call.caller, worker, request.max, request.request, wait);
    let claimed = tokio::select! {
        claimed = ask(wait) => claimed?,
        // What was given meanwhile is given to the same request again.
        () = stopped(&mut stopping) => ask(Duration::ZERO).await?,
    };
    let assignments = claimed.into_iter().map(assignment).collect::<Result<Vec<_>, Fail>>()?;
    ok(&ClaimAnswer { assignments })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn item(entry: &JournalEntry) -> Result<JournalItem, Fail> {
    let body = Body::of(&entry.body).map_err(|error| {
        tracing::error!(%error, "a recorded event can't be written");
        Refusal::new(Code::Internal, "a recorded event can't be written")
    })?;
    Ok(JournalItem { seq: entry.seq, r#type: body.r#type, data: body.data })
}

fn assignment(claimed: Assignment) -> Result<AssignmentView, Fail> {
    let more = claimed.journal.len() > JOURNAL_INLINE;
    let inline = &claimed.journal[..claimed.journal.len().min(JOURNAL_INLINE)];
    Ok(AssignmentView {
        task: claimed.task,
        tenant: claimed.tenant,
        lease: claimed.lease,
        lease_ttl_ms: claimed.lease_ttl.map(millis),
        attempt: claimed.attempt,
        tries: claimed.tries,
        kind_version: claimed.kind_version,
        journal_after: inline.last().filter(|_| more).map(|last| last.seq),
        journal: inline.iter().map(item).collect::<Result<_, _>>()?,
        spec: claimed.spec,
        replay: claimed.replay,
    })
}

async fn renew(mut call: Call) -> Answer {
    call.no_more_query()?;
    let worker = call.parsed("worker", "worker")?;
    let request = call.body::<RenewRequest>().await?.value;
    let leases = request.leases.into_iter().map(|held| (held.task, held.lease)).collect();
    ok(&RenewAnswer { lost: call.control().work_renew(&call.caller, worker, leases).await? })
}

async fn signals(mut call: Call) -> Answer {
    let wait = call.query.wait().unwrap_or_default();
    call.no_more_query()?;
    let worker = call.parsed("worker", "worker")?;
    let mut stopping = call.app.stopping.clone();
    let signals = tokio::select! {
        signals = call.control().work_signals(&call.caller, worker, wait) => signals?,
        () = stopped(&mut stopping) => Vec::new(),
    };
    let view = |signal: TaskSignal| {
        let (word, grace_ms) = match signal.signal {
            Signal::Pause => (SignalWord::Pause, None),
            Signal::Resume => (SignalWord::Resume, None),
            Signal::Cancel { grace } => (SignalWord::Cancel, Some(millis(grace))),
            Signal::LeaseLost => (SignalWord::LeaseLost, None),
        };
        SignalView { task: signal.task, attempt: signal.attempt, signal: word, grace_ms }
    };
    ok(&SignalsAnswer { signals: signals.into_iter().map(view).collect() })
}

fn lease(call: &Call) -> Result<LeaseToken, Refusal> {
    let text = call.header(LEASE_HEADER)?.ok_or_else(|| {
        Refusal::field("Everloop-Lease", "is required: the lease token, as the claim gave it")
    })?;
    text.parse().map_err(|error: everloop_types::lease::LeaseTokenError| {
        Refusal::field("Everloop-Lease", error.to_string())
    })
}

fn bodies(events: Vec<Body>) -> Result<Vec<EventBody>, Refusal> {
    let mut read = Vec::with_capacity(events.len());
    let mut errors = Vec::new();
    for (i, event) in events.iter().enumerate() {
        let field = format!("events[{i}]");
        if let Some(name) = event.r#type.strip_prefix("custom.")
            && !everloop_types::names::is_custom_event(name)
        {
            let message = "must be custom. and 1 to 64 characters of a-z, 0-9, `_` and `.`".to_owned();
            errors.push(FieldError { field: format!("{field}.type"), message });
            continue;
        }
        match event.read() {
            // Large values go into blobs.
            Ok(body) if body.value().is_none() && event.data.len() > limits::EVENT_DATA_BYTES => {
                let detail = format!("{field} has {} bytes; 256 KiB fit into an event", event.data.len());
                return Err(Refusal::new(Code::TooLarge, detail)
                    .hint("put what is large into a step's result or a blob"));
            }
            Ok(body) => read.push(body),
            Err(error) => errors.push(FieldError { field, message: error.to_string() }),
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(Refusal::fields(errors)) }
}

async fn write(
    call: Call,
    worker: WorkerId,
    batch: u32,
    events: Vec<Body>,
    end: Option<AttemptEnd>,
) -> Answer {
    let (lease, attempt) = (lease(&call)?, call.parsed("n", "attempt")?);
    let task = call.parsed("id", "task")?;
    let writing = Writing { worker, attempt, lease, batch, events: bodies(events)?, end };
    call.control().work_write(&call.caller, task, writing).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn events(mut call: Call) -> Answer {
    call.no_more_query()?;
    let request = call.body::<EventsRequest>().await?.value;
    let (lease, attempt, task) = (lease(&call)?, call.parsed("n", "attempt")?, call.parsed("id", "task")?);
    if !request.frames.is_empty() {
        let frame = |frame: Body| Frame { kind: frame.r#type, data: frame.data };
        let frames = request.frames.into_iter().map(frame).collect();
        call.control().work_frames(&call.caller, task, attempt, lease, frames).await?;
    }
    match request.batch {
        Some(batch) => write(call, request.worker, batch, request.events, None).await,
        None if request.events.is_empty() => Ok(empty(StatusCode::NO_CONTENT)),
        None => {
            Err(Refusal::field("batch", "is required with events: batches of an attempt are numbered from 1")
                .into())
        }
    }
}

async fn finish(mut call: Call) -> Answer {
    call.no_more_query()?;
    let request = call.body::<FinishRequest>().await?.value;
    let end = match (request.result, request.continue_as, request.cancelled) {
        (Some(result), None, false) => AttemptEnd::Completed { result },
        (None, Some(input), false) => AttemptEnd::ContinuedAs { input },
        (None, None, true) => AttemptEnd::Cancelled,
        _ => {
            return Err(Refusal::field(
                "result",
                "exactly one of result, continue_as and cancelled must be given",
            )
            .into());
        }
    };
    write(call, request.worker, request.batch, request.events, Some(end)).await
}

async fn suspend(mut call: Call) -> Answer {
    call.no_more_query()?;
    let request = call.body::<SuspendRequest>().await?.value;
    let end = match (request.r#for, request.paused) {
        (Some(wait), None) => AttemptEnd::Waiting { wait },
        (None, Some(reason)) => AttemptEnd::Paused { reason },
        _ => return Err(Refusal::field("for", "exactly one of for and paused must be given").into()),
    };
    write(call, request.worker, request.batch, request.events, Some(end)).await
}

async fn fail(mut call: Call) -> Answer {
    call.no_more_query()?;
    let request = call.body::<FailRequest>().await?.value;
    let end = AttemptEnd::Failed { error: request.error };
    write(call, request.worker, request.batch, request.events, Some(end)).await
}

async fn release(mut call: Call) -> Answer {
    call.no_more_query()?;
    let request = call.body::<ReleaseRequest>().await?.value;
    write(call, request.worker, request.batch, request.events, Some(AttemptEnd::Released)).await
}

async fn journal(mut call: Call) -> Answer {
    let after = call.query.parsed("after", "the number of an event").unwrap_or(0);
    call.no_more_query()?;
    let (lease, attempt, task) = (lease(&call)?, call.parsed("n", "attempt")?, call.parsed("id", "task")?);
    let (entries, next_after) =
        call.control().work_journal(&call.caller, task, attempt, lease, after).await?;
    ok(&JournalPage { items: entries.iter().map(item).collect::<Result<_, _>>()?, next_after })
}
