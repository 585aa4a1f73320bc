//! Pages of events.

use crate::answer::{Answer, raw};
use crate::call::Call;
use crate::query::Query;
use axum::http::StatusCode;
use everloop_control::follow::FeedFilter;
use everloop_control::write_event;
use everloop_types::event::Event;
use std::fmt::Write;

/// Events as the items of a page, byte for byte.
fn items<'a>(events: impl Iterator<Item = &'a Event>) -> String {
    let mut out = String::from("{\"items\":[");
    for (i, event) in events.enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_event(&mut out, event);
    }
    out.push(']');
    out
}

/// `GET /tasks/{id}/events`.
pub(crate) async fn page(mut call: Call) -> Answer {
    let after = call.query.parsed("after", "the number of an event");
    let types = call.query.types("types");
    let limit = call.query.parsed("limit", "a number from 1 to 1000");
    call.query.flag("frames");
    call.no_more_query()?;
    let id = call.task().await?;
    let page = call.control().events(&call.caller, id, after.unwrap_or(0), types, limit).await?;
    let mut out = items(page.items.iter());
    // Writing to a String can't fail.
    let _ = write!(
        out,
        ",\"next_after\":{},\"last_seq\":{},\"finished\":{}}}",
        page.next_after, page.last_seq, page.finished
    );
    Ok(raw(StatusCode::OK, "application/json", out))
}

/// Which events of many streams.
pub(crate) fn feed_filter(query: &mut Query) -> FeedFilter {
    FeedFilter {
        tasks: query.parsed_list("task", "the id of a task"),
        session: query.parsed("session", "the id of a session"),
        parent: query.parsed("parent", "the id of a task"),
        kinds: query.list("kind"),
        labels: query.labels(),
        types: query.types("types"),
    }
}

/// `GET /events`.
pub(crate) async fn feed(mut call: Call) -> Answer {
    let after = call.query.text("after");
    let limit = call.query.parsed("limit", "a number from 1 to 1000");
    let filter = feed_filter(&mut call.query);
    call.no_more_query()?;
    let mut feed = call.control().feed(&call.caller, filter, after.as_deref()).await?;
    let page = feed.page(limit).await?;
    let mut out = items(page.items.iter().map(|(_, event)| event));
    let _ = write!(out, ",\"next_cursor\":\"{}\",\"more\":{}}}", page.cursor, page.more);
    Ok(raw(StatusCode::OK, "application/json", out))
}
