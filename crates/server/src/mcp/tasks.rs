//! Our tasks as the tasks of MCP (SEP-2663): the handle is our id, the store is ours.

use super::answer::{TaskAnswer, structured};
use super::handler::Asked;
use super::wait::with_questions;
use super::{ask, errors};
use everloop_control::inbox::{Item, Want};
use everloop_control::tasks::Shown;
use everloop_types::error::{Class, Code, Refusal};
use everloop_types::id::TaskId;
use everloop_types::state::State;
use rmcp::model::{CallToolResult, DetailedTask, InputResponses, Task, TaskPayload, TaskStatus};
use serde_json::Value;

/// How often a client should look, in milliseconds.
const POLL_MS: u64 = 1_000;

/// What the protocol calls the state of a task.
pub(super) fn status(shown: &Shown, questions: &[Item]) -> TaskStatus {
    match shown.task().state {
        State::Waiting if questions.iter().any(|item| item.want != Want::Repair) => TaskStatus::InputRequired,
        State::Completed => TaskStatus::Completed,
        // What a tool could not do is a result of it. Only what broke is an error of the protocol.
        State::Failed => match shown.task().error.as_ref().map(|error| error.class) {
            Some(Class::Internal) => TaskStatus::Failed,
            _ => TaskStatus::Completed,
        },
        State::Cancelled => TaskStatus::Cancelled,
        State::Pending
        | State::Queued
        | State::Running
        | State::Waiting
        | State::Pausing
        | State::Paused
        | State::Cancelling => TaskStatus::Working,
    }
}

fn head(shown: &Shown, status: TaskStatus) -> Task {
    let task = shown.task();
    let mut head =
        Task::new(task.id.to_string(), status, task.created_at.to_string(), task.updated_at.to_string())
            .with_poll_interval_ms(POLL_MS);
    head.status_message = match (&task.progress, task.state) {
        (Some(progress), State::Running) => progress.note.clone(),
        _ => Some(format!("the task is {}", task.state)),
    };
    head
}

/// A task as its handle is first given.
pub(super) fn seed(shown: &Shown) -> Task {
    head(shown, status(shown, &[]))
}

/// What the call of the tool would have given.
pub(super) fn result(shown: Shown, questions: Vec<Item>) -> CallToolResult {
    let failed = shown.task().state == State::Failed;
    let mut result = structured(&TaskAnswer::of(shown, questions));
    result.is_error = Some(failed);
    result
}

/// A task with what belongs to its state.
pub(super) fn detailed(shown: &Shown, questions: &[Item]) -> DetailedTask {
    let object = |value: Value| match value {
        Value::Object(object) => object,
        _ => serde_json::Map::new(),
    };
    let status = status(shown, questions);
    let payload = match status {
        TaskStatus::InputRequired => TaskPayload::InputRequired { input_requests: ask::requests(questions) },
        TaskStatus::Completed => {
            let result = serde_json::to_value(result(shown.clone(), Vec::new()));
            TaskPayload::Completed { result: object(result.unwrap_or_default()) }
        }
        TaskStatus::Failed => {
            let error = shown.task().error.as_ref().map(errors::broken);
            TaskPayload::Failed { error: object(error.unwrap_or_default()) }
        }
        TaskStatus::Cancelled => TaskPayload::Cancelled,
        _ => TaskPayload::Working,
    };
    DetailedTask::new(head(shown, status), payload)
}

/// The task that a handle names. Keys are no handles.
pub(super) fn id(handle: &str) -> Result<TaskId, Refusal> {
    handle.parse().map_err(|_| {
        let shown: String = handle.chars().take(64).collect();
        Refusal::not_found(format!("task {shown:?}"))
    })
}

/// A task and what it asks.
///
/// # Errors
/// `not_found`.
pub(super) async fn get(asked: &Asked, handle: &str) -> Result<(Shown, Vec<Item>), Refusal> {
    let shown = asked.control.get(&asked.caller, id(handle)?).await?;
    with_questions(&asked.control, &asked.caller, shown).await
}

/// Passes answers on.
///
/// # Errors
/// `not_found`, `invalid_request`.
pub(super) async fn update(asked: &Asked, handle: &str, answers: &InputResponses) -> Result<(), Refusal> {
    let id = id(handle)?;
    let open = asked.control.questions(&asked.caller, id).await?;
    ask::answer(&asked.control, &asked.caller, id, &open, answers).await
}

/// Asks a task to end. One that has ended stays as it is.
///
/// # Errors
/// `not_found`.
pub(super) async fn cancel(asked: &Asked, handle: &str) -> Result<(), Refusal> {
    match asked.control.cancel(&asked.caller, id(handle)?, None).await {
        Err(refusal) if refusal.code != Code::IllegalTransition => Err(refusal),
        _ => Ok(()),
    }
}
