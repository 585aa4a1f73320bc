//! The REST face: a file per noun, each with its routes.

mod acts;
mod blobs;
mod bulk;
pub(crate) mod events;
mod history;
mod queues;
mod status;
pub(crate) mod tasks;
mod work;
mod workers;

use crate::query::Query;
use crate::route::Route;
use everloop_control::lists::Paging;

/// A task that works everywhere.
pub(crate) const EXAMPLE_TASK: &str = r#"{"kind":"mock","key":"digest-1","input":{"steps":[{"name":"hello","result":"world"}]},"labels":{"team":"docs"}}"#;

/// Every route of this face.
pub(crate) fn routes() -> Vec<Route> {
    [
        tasks::routes(),
        acts::routes(),
        bulk::routes(),
        history::routes(),
        queues::routes(),
        workers::routes(),
        work::routes(),
        blobs::routes(),
        status::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `?limit=` and `?cursor=`.
fn paging(query: &mut Query) -> Paging {
    Paging { limit: query.parsed("limit", "a number from 1 to 200"), cursor: query.text("cursor") }
}
