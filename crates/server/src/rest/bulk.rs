//! Many tasks at once.

use crate::answer::{Answer, ok};
use crate::call::{Call, new_task};
use crate::route::Route;
use crate::views;
use everloop_api::command::{
    BatchAnswer, BatchOutcome, BatchRequest, BulkAct, BulkAnswer, BulkRefused, BulkRequest,
};
use everloop_api::problem::Problem;
use everloop_control::TaskFilter;
use everloop_control::bulk::Act;
use everloop_types::error::{Code, Refusal};
use everloop_types::json::Json;
use serde::Deserialize;

/// The routes of this noun.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/tasks/batch", ("tasks", "submit_batch", "Submit up to 1,000 tasks"), batch)
            .header("Idempotency-Key", "Makes the retry of this very request known.")
            .body::<BatchRequest>(r#"{"tasks":[{"kind":"mock"},{"kind":"mock","key":"digest-2"}]}"#)
            .gives::<BatchAnswer>(200, "What became of each, in the order of the request.")
            .refuses(&[Code::TooLarge]),
        Route::post(
            "/tasks/bulk",
            ("tasks", "bulk", "Cancel, pause, resume or redrive tasks by filter"),
            bulk,
        )
        .body::<BulkRequest>(r#"{"act":"cancel","filter":{"labels":{"team":"docs"}},"expect":2}"#)
        .gives::<BulkAnswer>(
            200,
            "How many match, and what was done. Without `expect` they are only counted.",
        )
        .refuses(&[Code::PreconditionFailed]),
    ]
}

/// The items of a batch as they were sent.
#[derive(Deserialize)]
struct Sent {
    tasks: Vec<Json>,
}

async fn batch(mut call: Call) -> Answer {
    call.no_more_query()?;
    let header_key = call.header_key()?;
    let trace = call.trace();
    let (request, text) = call.body::<BatchRequest>().await?.canonical()?;
    let sent: Sent =
        text.parse().map_err(|error| Refusal::field("tasks", format!("can't be read again: {error}")))?;
    let tasks = request.tasks.into_iter().zip(sent.tasks).enumerate().map(|(i, (task, sent))| {
        let header_key = header_key.as_ref().map(|key| format!("{key}#{i}"));
        new_task(task, Some(sent), header_key, trace.clone())
    });
    let outcomes = call.control().submit_batch(&call.caller, tasks.collect()).await?;
    let mut answer =
        BatchAnswer { created: 0, existing: 0, refused: 0, outcomes: Vec::with_capacity(outcomes.len()) };
    let now = call.control().now();
    let id = call.header(everloop_api::REQUEST_ID_HEADER)?.unwrap_or_default().to_owned();
    for outcome in outcomes {
        answer.outcomes.push(match outcome {
            Ok(done) if done.created => {
                answer.created += 1;
                BatchOutcome::Created(Box::new(views::task(done.task)))
            }
            Ok(done) => {
                answer.existing += 1;
                BatchOutcome::Existing(Box::new(views::task(done.task)))
            }
            Err(refusal) => {
                answer.refused += 1;
                BatchOutcome::Refused(Problem::new(refusal, &id, now))
            }
        });
    }
    ok(&answer)
}

async fn bulk(mut call: Call) -> Answer {
    call.no_more_query()?;
    let request = call.body::<BulkRequest>().await?.value;
    let act = match request.act {
        BulkAct::Cancel => Act::Cancel,
        BulkAct::Pause => Act::Pause,
        BulkAct::Resume => Act::Resume,
        BulkAct::Redrive => Act::Redrive,
    };
    let filter = TaskFilter {
        states: request.filter.state,
        kinds: request.filter.kind,
        queue: request.filter.queue,
        priority: request.filter.priority,
        labels: request.filter.labels,
        parent: request.filter.parent,
        session: request.filter.session,
        key_prefix: request.filter.key_prefix,
        ..TaskFilter::default()
    };
    let done = call.control().bulk(&call.caller, act, filter, request.expect, request.reason).await?;
    let refused = done.refused.into_iter().map(|(task, refusal)| BulkRefused {
        task,
        code: refusal.code.as_str().to_owned(),
        detail: refusal.detail,
    });
    ok(&BulkAnswer { matched: done.matched, done: done.done, refused: refused.collect(), more: done.more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::EXAMPLE_TASK;
    use everloop_control::door;

    #[test]
    fn the_example_of_a_task_fits_into_a_batch() {
        let text = format!("{{\"tasks\":[{EXAMPLE_TASK}]}}");
        assert_eq!(door::read::<BatchRequest>(text.as_bytes()).unwrap().value.tasks.len(), 1);
    }
}
