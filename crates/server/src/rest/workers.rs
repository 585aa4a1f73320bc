//! Workers as people see them.

use crate::answer::{Answer, empty, ok};
use crate::call::Call;
use crate::route::Route;
use crate::views;
use axum::http::StatusCode;
use everloop_api::page::Page;
use everloop_api::system::WorkerView;
use everloop_types::error::Code;

/// The routes of this noun.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/workers", ("workers", "list_workers", "List workers"), list)
            .gives::<Page<WorkerView>>(200, "Every worker, oldest first."),
        Route::get("/workers/{worker}", ("workers", "get_worker", "Get a worker"), get)
            .gives::<WorkerView>(200, "How it is and what it holds.")
            .refuses(&[Code::NotFound]),
        Route::delete("/workers/{worker}", ("workers", "remove_worker", "Remove a worker"), remove)
            .gives_nothing(204, "Whatever it held goes to others.")
            .refuses(&[Code::NotFound, Code::IllegalTransition]),
    ]
}

async fn list(mut call: Call) -> Answer {
    call.no_more_query()?;
    let workers = call.control().workers(&call.caller).await?;
    ok(&Page::whole(workers.into_iter().map(views::worker).collect()))
}

async fn get(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.parsed("worker", "worker")?;
    ok(&views::worker(call.control().worker(&call.caller, id).await?))
}

async fn remove(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.parsed("worker", "worker")?;
    call.control().worker_remove(&call.caller, id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
