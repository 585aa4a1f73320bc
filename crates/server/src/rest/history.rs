//! What happened to a task.

use crate::answer::{Answer, ok, raw};
use crate::call::Call;
use crate::route::Route;
use crate::views;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use everloop_api::history::{
    AttemptView, ControlState, LogLine, OutputView, ProgressView, ReceiptView, StepView,
};
use everloop_api::page::Page;
use everloop_types::error::Code;
use everloop_types::error::Refusal;
use everloop_types::event::Level;
use everloop_types::limits;
use serde_json::json;

/// The routes of this noun.
pub(super) fn routes() -> Vec<Route> {
    let missing = &[Code::NotFound];
    let unfinished = &[Code::NotFound, Code::NotFinished];
    vec![
        Route::get("/tasks/{id}/output", ("history", "task_output", "Get what a task gave"), output)
            .gives::<OutputView>(200, "Its result, or how it failed.")
            .refuses(unfinished),
        Route::get(
            "/tasks/{id}/progress",
            ("history", "task_progress", "Get how far a task has got"),
            progress,
        )
        .gives::<ProgressView>(200, "In its own units, and in percent where it gave both.")
        .refuses(missing),
        Route::get(
            "/tasks/{id}/control-state",
            ("history", "task_control_state", "Get who wants what of a task"),
            course,
        )
        .gives::<ControlState>(200, "Its state, the last change of its course, and what can be asked of it.")
        .refuses(missing),
        Route::get(
            "/tasks/{id}/receipt",
            ("history", "task_receipt", "Get the signed receipt of a finished task"),
            receipt,
        )
        .gives::<ReceiptView>(200, "A JWS, and what is signed in it.")
        .refuses(unfinished),
        Route::get(
            "/tasks/{id}/export",
            ("history", "export_task", "Export a task's stream for `everloop verify`"),
            export,
        )
        .gives_raw(
            200,
            "application/x-ndjson",
            "A line per event, the receipt last; the anchor first where the stream was trimmed.",
        )
        .refuses(missing),
        Route::get("/tasks/{id}/steps", ("history", "task_steps", "List the steps of a task"), steps)
            .gives::<Page<StepView>>(200, "All of them, in the order in which they first appeared.")
            .refuses(missing),
        Route::get(
            "/tasks/{id}/attempts",
            ("history", "task_attempts", "List the attempts of a task"),
            attempts,
        )
        .gives::<Page<AttemptView>>(200, "All of them, first one first.")
        .refuses(missing),
        Route::get(
            "/tasks/{id}/attempts/{n}/logs",
            ("history", "attempt_logs", "Read the log of an attempt"),
            logs,
        )
        .form(
            "level",
            json!({"enum": ["debug", "info", "warn", "error"]}),
            "Lines of at least this level: `debug`, `info`, `warn`, `error`.",
        )
        .limit(limits::PAGE_EVENTS, "Lines on the page, at most 1000; 200 when not given.")
        .text("cursor", "`next_cursor` of the page before: the number of an event.")
        .gives::<Page<LogLine>>(200, "Lines and chunks of output, in order.")
        .refuses(missing),
    ]
}

async fn output(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let (shown, end) = call.control().output(&call.caller, id).await?;
    ok(&views::output(&shown, end))
}

async fn progress(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    ok(&views::progress(&call.control().progress(&call.caller, id).await?))
}

async fn course(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    ok(&views::course(call.control().course(&call.caller, id).await?))
}

async fn receipt(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    ok(&views::receipt(call.control().receipt(&call.caller, id).await?))
}

async fn export(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let mut export = call.control().export(&call.caller, id).await?;
    // The first piece comes before the head of the answer: what can't be read is refused in words.
    let first = export.next().await?;
    let lines = futures_util::stream::try_unfold((first, export), |(first, mut export)| async move {
        // A broken export ends the connection without its last chunk: no client takes it for a whole one.
        let lines = match first {
            Some(lines) => Some(lines),
            None => export.next().await?,
        };
        Ok::<_, Refusal>(lines.map(|lines| (Bytes::from(lines), (None, export))))
    });
    let mut response = raw(StatusCode::OK, "application/x-ndjson", Body::from_stream(lines));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.jsonl\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn steps(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let steps = call.control().steps(&call.caller, id).await?;
    ok(&Page::whole(steps.into_iter().map(views::step).collect()))
}

async fn attempts(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let attempts = call.control().attempts(&call.caller, id).await?;
    ok(&Page::whole(attempts.into_iter().map(views::attempt).collect()))
}

async fn logs(mut call: Call) -> Answer {
    let limit = call.query.parsed("limit", "a number from 1 to 1000");
    let after = call.query.parsed::<u64>("cursor", "next_cursor of the page before");
    let level = match call.query.text("level").as_deref() {
        None => None,
        Some("debug") => Some(Level::Debug),
        Some("info") => Some(Level::Info),
        Some("warn") => Some(Level::Warn),
        Some("error") => Some(Level::Error),
        Some(_) => return Err(Refusal::field("level", "must be debug, info, warn or error").into()),
    };
    call.no_more_query()?;
    let id = call.task().await?;
    let attempt = call.parsed("n", "attempt")?;
    let (lines, next) =
        call.control().logs(&call.caller, id, attempt, level, after.unwrap_or(0), limit).await?;
    ok(&Page {
        items: lines.into_iter().map(views::log).collect(),
        next_cursor: next.map(|seq| seq.to_string()),
        total: None,
    })
}
