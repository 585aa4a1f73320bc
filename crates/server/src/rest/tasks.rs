//! Tasks: submit, list, get, change, delete.

use super::paging;
use crate::answer::{Answer, empty, json, ok};
use crate::call::Call;
use crate::query::Query;
use crate::route::{Route, id_of, label};
use crate::views;
use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use axum::response::Response;
use everloop_api::command::PatchRequest;
use everloop_api::page::Page;
use everloop_api::task::{Links, TaskView};
use everloop_control::submit::Submitted;
use everloop_control::tasks::Shown;
use everloop_control::{Order, TaskFilter};
use everloop_types::error::{Code, Refusal};
use everloop_types::id::TaskId;
use serde_json::json as schema;

/// The routes of this noun.
pub(super) fn routes() -> Vec<Route> {
    vec![
        filtered(Route::get("/tasks", ("tasks", "list_tasks", "List tasks"), list))
            .text("state", "States: a comma list.")
            .form(
                "order",
                schema!({"enum": ["newest", "oldest"]}),
                "`newest` (first, the default) or `oldest`.",
            )
            .gives::<Page<TaskView>>(200, "A page of tasks, without their inputs and results."),
        Route::get("/tasks/{id}", ("tasks", "get_task", "Get a task"), get)
            .waits()
            .header("If-None-Match", "The `ETag` of an earlier answer: 304 if nothing has changed.")
            .gives::<TaskView>(200, "The task: with `wait`, when it has ended or the time is over.")
            .gives_nothing(304, "Nothing has changed.")
            .refuses(&[Code::NotFound, Code::TaskDeleted]),
        Route::patch("/tasks/{id}", ("tasks", "update_task", "Change a live task"), patch)
            .header("If-Match", "The `ETag` of the task that is to be changed.")
            .body::<PatchRequest>(r#"{"title":"A better title","policy":{"priority":10}}"#)
            .gives::<TaskView>(200, "The task as it is now.")
            .refuses(&[Code::NotFound, Code::IllegalTransition, Code::PreconditionFailed]),
        Route::delete("/tasks/{id}", ("tasks", "delete_task", "Remove a finished task for good"), delete)
            .gives_nothing(204, "It is gone.")
            .refuses(&[Code::NotFound, Code::IllegalTransition]),
        Route::get(
            "/tasks/{id}/children",
            ("tasks", "list_children", "List the children of a task"),
            children,
        )
        .paged()
        .gives::<Page<TaskView>>(200, "A page of tasks, oldest first.")
        .refuses(&[Code::NotFound]),
        filtered(Route::get(
            "/dead-letters",
            ("tasks", "list_dead_letters", "List tasks that failed"),
            dead_letters,
        ))
        .gives::<Page<TaskView>>(200, "A page of tasks, newest first; `error` says why."),
    ]
}

fn filtered(route: Route) -> Route {
    route
        .text("kind", "Kinds: a comma list.")
        .text("queue", "Of this queue.")
        .form("priority", schema!({"type": "integer"}), "Of this priority.")
        .form("label", label(), "With this label: `name:value`. May be given more than once.")
        .form("parent", id_of("task"), "Children of this task.")
        .form("session", id_of("ses"), "Of this session.")
        .text("key_prefix", "With a key that begins so.")
        .text("q", "With this text in name, title or description.")
        .text("created_by", "Submitted by this actor.")
        .paged()
}

/// What an existing or new task is answered with.
fn submitted(done: Submitted) -> Answer {
    let location = Links::of(done.task.task().id, false).this;
    let status = if done.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = json(status, &views::task(done.task))?;
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) fn answer_submitted(done: Submitted) -> Answer {
    submitted(done)
}

/// `POST /tasks`, without `stream`.
pub(crate) async fn submit(mut call: Call) -> Answer {
    let wait = call.query.wait();
    call.no_more_query()?;
    let new = call.new_task().await?;
    submitted(call.control().submit(&call.caller, new, wait).await?)
}

pub(super) fn filter(query: &mut Query) -> TaskFilter {
    TaskFilter {
        states: Vec::new(),
        kinds: query.list("kind"),
        queue: query.text("queue"),
        priority: query.parsed("priority", "a number"),
        labels: query.labels(),
        parent: query.parsed("parent", "the id of a task"),
        session: query.parsed("session", "the id of a session"),
        key_prefix: query.text("key_prefix"),
        text: query.text("q"),
        created_by: query.text("created_by"),
    }
}

async fn list(mut call: Call) -> Answer {
    let mut wanted = filter(&mut call.query);
    wanted.states = call.query.parsed_list("state", "a state of a task");
    let order = match call.query.text("order").as_deref() {
        None | Some("newest") => Order::Newest,
        Some("oldest") => Order::Oldest,
        Some(_) => return Err(Refusal::field("order", "must be newest or oldest").into()),
    };
    let paging = paging(&mut call.query);
    call.no_more_query()?;
    ok(&views::tasks(call.control().list(&call.caller, wanted, order, paging).await?))
}

async fn dead_letters(mut call: Call) -> Answer {
    let wanted = filter(&mut call.query);
    let paging = paging(&mut call.query);
    call.no_more_query()?;
    ok(&views::tasks(call.control().dead_letters(&call.caller, wanted, paging).await?))
}

async fn children(mut call: Call) -> Answer {
    let paging = paging(&mut call.query);
    call.no_more_query()?;
    let id = call.task().await?;
    ok(&views::tasks(call.control().children(&call.caller, id, paging).await?))
}

/// The version of a task as an entity tag. That nobody can claim it is no part of its stream, so it is told apart.
fn tag(shown: &Shown) -> String {
    let unclaimable = if shown.unclaimable.is_some() { "-unclaimable" } else { "" };
    format!("\"{}{unclaimable}\"", shown.version())
}

pub(super) fn tagged(shown: Shown) -> Result<Response, crate::answer::Fail> {
    let tag = HeaderValue::from_str(&tag(&shown));
    let mut response = ok(&views::task(shown))?;
    if let Ok(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

async fn get(mut call: Call) -> Answer {
    let wait = call.query.wait();
    call.no_more_query()?;
    let shown = call.control().wait_for(&call.caller, call.part("id"), wait.unwrap_or_default()).await?;
    let tag = tag(&shown);
    let known = call.header(IF_NONE_MATCH.as_str())?;
    if known.is_some_and(|known| {
        known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    }) {
        let mut response = empty(StatusCode::NOT_MODIFIED);
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        return Ok(response);
    }
    tagged(shown)
}

async fn patch(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id: TaskId = call.task().await?;
    let expected = match call.header(IF_MATCH.as_str())? {
        None | Some("*") => None,
        Some(tag) => {
            let version = tag.trim().trim_matches('"').trim_end_matches("-unclaimable");
            Some(version.to_owned())
        }
    };
    let patch = call.body::<PatchRequest>().await?.value;
    tagged(call.control().patch(&call.caller, id, patch.into(), expected.as_deref()).await?)
}

async fn delete(mut call: Call) -> Answer {
    call.no_more_query()?;
    let id = call.task().await?;
    call.control().delete(&call.caller, id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_is_a_request() {
        let read = everloop_control::door::read::<everloop_api::task::TaskRequest>(
            super::super::EXAMPLE_TASK.as_bytes(),
        );
        assert_eq!(read.unwrap().value.kind, "mock");
    }
}
