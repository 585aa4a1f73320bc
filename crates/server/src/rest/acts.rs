//! What is wanted of a task.

use super::tasks::{answer_submitted, tagged};
use crate::answer::{Answer, ok};
use crate::call::Call;
use crate::route::Route;
use crate::views;
use everloop_api::command::{
    CancelRequest, DecisionRequest, ForkRequest, InputAnswer, InputRequest, PauseRequest, ResumeRequest,
};
use everloop_api::task::TaskView;
use everloop_control::acts::NewInput;
use everloop_control::forks::ForkPlan;
use everloop_types::error::Code;
use everloop_types::event::ApprovalDecision;

const NOT_NOW: &[Code] = &[Code::NotFound, Code::IllegalTransition];

/// The routes of this noun.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/tasks/{id}/pause",
            ("tasks", "pause_task", "Let a task stand still at its next step"),
            pause,
        )
        .optional_body::<PauseRequest>(r#"{"reason":"looking at it"}"#)
        .gives::<TaskView>(200, "The task as it is now; nothing changes for a paused one.")
        .refuses(NOT_NOW),
        Route::post("/tasks/{id}/resume", ("tasks", "resume_task", "Let a paused task go on"), resume)
            .optional_body::<ResumeRequest>("{}")
            .gives::<TaskView>(200, "The task as it is now.")
            .refuses(NOT_NOW),
        Route::post("/tasks/{id}/cancel", ("tasks", "cancel_task", "End a task"), cancel)
            .optional_body::<CancelRequest>(r#"{"reason":"not needed any more"}"#)
            .gives::<TaskView>(200, "The task as it is now; nothing changes for a cancelled one.")
            .refuses(NOT_NOW),
        Route::post("/tasks/{id}/input", ("tasks", "send_input", "Send something to a task"), input)
            .body::<InputRequest>(r#"{"name":"answer","data":{"text":"42"}}"#)
            .gives::<InputAnswer>(200, "It was taken down, whether or not the task waits for it.")
            .refuses(&[
                Code::NotFound,
                Code::IllegalTransition,
                Code::IdempotencyConflict,
                Code::LimitReached,
                Code::TooLarge,
            ]),
        Route::post("/tasks/{id}/decision", ("tasks", "decide", "Answer a question of a task"), decision)
            .body::<DecisionRequest>(r#"{"id":"approve#1","decision":"yes","note":"looks good"}"#)
            .gives::<TaskView>(200, "The task as it is now.")
            .refuses(&[Code::NotFound, Code::IllegalTransition, Code::AlreadyDecided]),
        Route::post(
            "/tasks/{id}/fork",
            ("tasks", "fork_task", "Begin a new task with recorded steps of this one"),
            fork,
        )
        .header("Idempotency-Key", "Makes the retry of this very request known.")
        .optional_body::<ForkRequest>(r#"{"from_step":"report#1"}"#)
        .gives::<TaskView>(201, "The new task. `Location` names it.")
        .gives::<TaskView>(200, "The fork existed by its key.")
        .refuses(&[Code::NotFound, Code::IdempotencyConflict]),
        Route::post(
            "/dead-letters/{id}/redrive",
            ("tasks", "redrive", "Try a failed task again, as a fork with all that succeeded"),
            redrive,
        )
        .header("Idempotency-Key", "Makes the retry of this very request known.")
        .gives::<TaskView>(201, "The new task. `Location` names it.")
        .gives::<TaskView>(200, "The fork existed by its key.")
        .refuses(NOT_NOW),
    ]
}

async fn pause(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let request = call.body_or_empty::<PauseRequest>().await?.value;
    tagged(call.control().pause(&call.caller, id, request.reason).await?)
}

async fn resume(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    call.body_or_empty::<ResumeRequest>().await?;
    tagged(call.control().resume(&call.caller, id).await?)
}

async fn cancel(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let request = call.body_or_empty::<CancelRequest>().await?.value;
    tagged(call.control().cancel(&call.caller, id, request.reason).await?)
}

async fn input(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let request = call.body::<InputRequest>().await?.value;
    let new = NewInput { name: request.name, data: request.data, id: request.id };
    let (id, shown) = call.control().input(&call.caller, id, new).await?;
    ok(&InputAnswer { id, task: views::task(shown) })
}

async fn decision(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let request = call.body::<DecisionRequest>().await?.value;
    let answer = ApprovalDecision {
        decision: request.decision,
        id: request.id,
        note: request.note,
        result: request.result,
    };
    tagged(call.control().decide(&call.caller, id, answer).await?)
}

async fn fork(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let header_key = call.header_key()?;
    let (request, sent) = call.body_or_empty::<ForkRequest>().await?.canonical()?;
    let plan = ForkPlan {
        from_step: request.from_step,
        upto_seq: request.upto_seq,
        key: request.key,
        input: request.input,
        request: Some(sent),
        header_key,
    };
    answer_submitted(call.control().fork(&call.caller, id, plan).await?)
}

async fn redrive(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    let plan = ForkPlan { header_key: call.header_key()?, ..ForkPlan::default() };
    answer_submitted(call.control().redrive(&call.caller, id, plan).await?)
}
