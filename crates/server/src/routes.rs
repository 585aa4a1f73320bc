//! The one table of routes: the router and the OpenAPI document are both made of it.

use crate::answer::{Answer, Fail};
use crate::app::App;
use crate::call::Call;
use crate::docs;
use crate::mcp;
use crate::rest;
use crate::route::{Route, id_of, label};
use crate::sse;
use crate::ui;
use crate::ws;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::ACCEPT;
use axum::routing::any;
use everloop_api::event::{EventPage, FeedPage};
use everloop_api::task::{TaskRequest, TaskView};
use everloop_types::error::{Code, Refusal};
use everloop_types::limits;

/// Every route.
pub(crate) fn table() -> Vec<Route> {
    let mut routes = shared();
    routes.extend(rest::routes());
    routes.extend(docs::routes());
    routes
}

/// The router.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in table() {
        router = router.route(&route.full_path(), route.handler);
    }
    router = router.route(mcp::PATH, any(mcp::handle));
    router.fallback(nothing_here).method_not_allowed_fallback(other_method).with_state(app)
}

async fn nothing_here(State(app): State<App>, request: Request) -> Answer {
    if let Some(page) = ui::lost(&app.options, &request) {
        return Ok(page);
    }
    let path: String = request.uri().path().chars().take(100).collect();
    Err(Refusal::not_found(format!("path {path}")).hint("/api/v1/docs lists every path").into())
}

async fn other_method(request: Request) -> Fail {
    let path: String = request.uri().path().chars().take(100).collect();
    let detail = format!("{} is not allowed at {path}", request.method());
    Fail(
        Refusal::new(Code::MethodNotAllowed, detail)
            .hint("the header Allow says what is; /api/v1/docs shows more"),
    )
}

/// Routes that more than one face answers.
fn shared() -> Vec<Route> {
    vec![
        Route::post("/tasks", ("tasks", "submit_task", "Submit a task"), submit)
            .waits()
            .flag("stream", "Answer with the event stream of the task.")
            .header("Idempotency-Key", "Makes the retry of this very request known.")
            .header("traceparent", "The W3C trace context that the task's first event carries.")
            .body::<TaskRequest>(rest::EXAMPLE_TASK)
            .gives::<TaskView>(201, "The task is new. `Location` names it.")
            .gives::<TaskView>(200, "The task existed by its key.")
            .gives_raw(201, "text/event-stream", "With `?stream=true`: its events.")
            .gives_raw(200, "text/event-stream", "With `?stream=true`: its events.")
            .leads_to(
                "id",
                &[
                    "get_task",
                    "update_task",
                    "delete_task",
                    "cancel_task",
                    "pause_task",
                    "resume_task",
                    "send_input",
                    "fork_task",
                    "task_events",
                    "task_attempts",
                    "task_steps",
                    "task_output",
                    "task_receipt",
                    "export_task",
                ],
            )
            .refuses(&[
                Code::UnknownKind,
                Code::IdempotencyConflict,
                Code::TaskDeleted,
                Code::TooLarge,
                Code::Forbidden,
                Code::NotGranted,
            ]),
        Route::get(
            "/tasks/{id}/events",
            ("streams", "task_events", "Read or follow the events of a task"),
            events,
        )
        .number("after", "Events after this number.")
        .text("types", "Types of events: a comma list of `task.completed`, `step.*`.")
        .limit(limits::PAGE_EVENTS, "Events on the JSON page, at most 1000; 200 when not given.")
        .flag("frames", "With SSE: passing frames, too.")
        .header("Accept", "`text/event-stream` to follow.")
        .header("Last-Event-ID", "With SSE: where to go on; wins over `after`.")
        .gives::<EventPage>(200, "A page of events.")
        .gives_raw(200, "text/event-stream", "The events as they come, ended after the terminal one.")
        .gives_nothing(204, "With SSE: the task has ended, and there is nothing after this number.")
        .refuses(&[Code::NotFound]),
        Route::get(
            "/tasks/{id}/events/ws",
            ("streams", "task_events_ws", "Follow a task over a WebSocket"),
            ws::task,
        )
        .number("after", "Events after this number.")
        .text("types", "Types of events.")
        .flag("frames", "Passing frames, too.")
        .gives_nothing(101, "Each event is a text message; the server closes after the terminal one.")
        .refuses(&[Code::NotFound]),
        Route::get("/events", ("streams", "events", "Read or follow many streams at once"), feed)
            .text("after", "A cursor, or `now`; from the beginning when not given.")
            .text("task", "Tasks, by id: a comma list.")
            .form("session", id_of("ses"), "Tasks of this session.")
            .form("parent", id_of("task"), "Children of this task.")
            .text("kind", "Tasks of these kinds: a comma list.")
            .form("label", label(), "Tasks with this label: `name:value`. May be given more than once.")
            .text("types", "Types of events: a comma list.")
            .limit(limits::PAGE_EVENTS, "Events on the JSON page, at most 1000; 256 when not given.")
            .header("Accept", "`text/event-stream` to follow.")
            .header("Last-Event-ID", "With SSE: the cursor to go on from; wins over `after`.")
            .gives::<FeedPage>(200, "A page of events, in the order of the database.")
            .gives_raw(200, "text/event-stream", "The events as they come; `id:` is the cursor."),
    ]
}

/// Whether the caller asks for SSE.
fn wants_stream(call: &Call) -> bool {
    let accepts = call.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|item| {
        item.split(';').next().is_some_and(|item| item.trim().eq_ignore_ascii_case("text/event-stream"))
    })
}

async fn submit(mut call: Call) -> Answer {
    if call.query.flag("stream") { sse::submit(call).await } else { rest::tasks::submit(call).await }
}

async fn events(call: Call) -> Answer {
    if wants_stream(&call) { sse::task(call).await } else { rest::events::page(call).await }
}

async fn feed(call: Call) -> Answer {
    if wants_stream(&call) { sse::feed(call).await } else { rest::events::feed(call).await }
}
