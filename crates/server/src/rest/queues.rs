//! Queues and kinds.

use crate::answer::{Answer, ok};
use crate::call::Call;
use crate::route::Route;
use crate::views;
use everloop_api::page::Page;
use everloop_api::system::{KindView, QueueView};
use everloop_types::error::Code;

/// The routes of these nouns.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/queues", ("queues", "list_queues", "List queues"), list)
            .gives::<Page<QueueView>>(200, "Every queue that exists or was ever used."),
        Route::get("/queues/{name}", ("queues", "get_queue", "Get a queue"), get)
            .gives::<QueueView>(200, "Its depth and state; one that was never used is empty."),
        Route::post("/queues/{name}/pause", ("queues", "pause_queue", "Let a queue stand still"), pause)
            .gives::<QueueView>(200, "Nothing of it is claimed from now on."),
        Route::post("/queues/{name}/resume", ("queues", "resume_queue", "Let a queue go on"), resume)
            .gives::<QueueView>(200, "Its tasks are claimed again."),
        Route::get("/kinds", ("kinds", "list_kinds", "List kinds of tasks"), kinds)
            .gives::<Page<KindView>>(200, "Every kind that somebody runs."),
        Route::get("/kinds/{name}", ("kinds", "get_kind", "Get a kind of task"), kind)
            .gives::<KindView>(200, "Who runs it, in which versions.")
            .refuses(&[Code::NotFound]),
    ]
}

async fn list(mut call: Call) -> Answer {
    call.no_more_query()?;
    let queues = call.control().queues(&call.caller).await?;
    ok(&Page::whole(queues.into_iter().map(views::queue).collect()))
}

async fn get(mut call: Call) -> Answer {
    call.no_more_query()?;
    ok(&views::queue(call.control().queue(&call.caller, call.part("name")).await?))
}

async fn pause(mut call: Call) -> Answer {
    call.no_more_query()?;
    ok(&views::queue(call.control().queue_pause(&call.caller, call.part("name"), true).await?))
}

async fn resume(mut call: Call) -> Answer {
    call.no_more_query()?;
    ok(&views::queue(call.control().queue_pause(&call.caller, call.part("name"), false).await?))
}

async fn kinds(mut call: Call) -> Answer {
    call.no_more_query()?;
    let kinds = call.control().kinds(&call.caller).await?;
    ok(&Page::whole(kinds.into_iter().map(views::kind).collect()))
}

async fn kind(mut call: Call) -> Answer {
    call.no_more_query()?;
    ok(&views::kind(call.control().kind(&call.caller, call.part("name")).await?))
}
