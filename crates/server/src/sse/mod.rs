//! Server-sent events (WHATWG HTML, section 9.2).
//!
//! `id:` is the number of the event (the cursor in the feed), `event:` its type, `data:` the event itself. A bare `id:` moves
//! the position of the client and dispatches nothing.

mod write;

use crate::answer::{Answer, empty, raw};
use crate::app::{App, stopped};
use crate::call::Call;
use crate::metrics::Open;
use crate::rest::events::feed_filter;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use axum::response::Response;
use everloop_api::task::Links;
use everloop_control::follow::{Feed, Followed, Following};
use everloop_types::error::Refusal;
use everloop_types::event::TypeFilter;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

const MEDIA_TYPE: &str = "text/event-stream";
/// The header with which a client goes on.
const LAST_EVENT_ID: &str = "last-event-id";

fn response(status: StatusCode, body: Body) -> Response {
    let mut response = raw(status, MEDIA_TYPE, body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // Proxies that gather answers before they pass them on would stop the stream.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What every stream needs beside its source.
struct Line {
    stopping: watch::Receiver<bool>,
    heartbeat: tokio::time::Interval,
    open: Open,
    greeted: bool,
    over: bool,
}

impl Line {
    fn new(app: &App) -> Self {
        let every: Duration = app.options.heartbeat;
        let mut heartbeat = tokio::time::interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            stopping: app.stopping.clone(),
            heartbeat,
            open: Open::new(&app.metrics),
            greeted: false,
            over: false,
        }
    }

    /// The first words: they open the stream at once, and tell clients how soon to come back.
    fn greeting(&mut self) -> Option<Bytes> {
        (!std::mem::replace(&mut self.greeted, true)).then(|| Bytes::from_static(b"retry: 1000\n\n"))
    }

    fn end(&mut self, why: &str) -> Bytes {
        self.over = true;
        Bytes::from(format!(": {why}\n\n"))
    }
}

/// The event stream of one task.
struct TaskStream {
    line: Line,
    following: Following,
    types: TypeFilter,
    frames: bool,
    /// The last number that went out with `id:`.
    told: u64,
}

impl TaskStream {
    fn body(app: &App, following: Following, types: TypeFilter, frames: bool) -> Body {
        let told = following.position();
        let stream = Self { line: Line::new(app), following, types, frames, told };
        Body::from_stream(futures_util::stream::unfold(stream, |mut stream| async move {
            let bytes = stream.next().await?;
            Some((Ok::<_, Infallible>(bytes), stream))
        }))
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.line.over {
            return None;
        }
        if let Some(greeting) = self.line.greeting() {
            return Some(greeting);
        }
        loop {
            let followed = tokio::select! {
                biased;
                () = stopped(&mut self.line.stopping) => {
                    return Some(self.line.end("the server is stopping; come back after this"));
                }
                followed = self.following.next() => followed,
                _ = self.line.heartbeat.tick() => {
                    return Some(Bytes::from(format!(": hb\nid: {}\n\n", self.following.position())));
                }
            };
            match followed {
                Ok(Followed::Events(events)) => {
                    let mut out = String::new();
                    let mut sent = 0;
                    for event in &events {
                        if self.types.matches(&event.kind) {
                            write::event(&mut out, event.seq, event);
                            self.told = event.seq;
                            sent += 1;
                        } else if event.is_terminal() {
                            write::position(&mut out, event.seq);
                            self.told = event.seq;
                        }
                    }
                    self.line.open.sent(sent);
                    if !out.is_empty() {
                        return Some(Bytes::from(out));
                    }
                }
                Ok(Followed::Frame { kind, data }) if self.frames => return Some(write::frame(&kind, &data)),
                Ok(Followed::Frame { .. }) => {}
                Ok(Followed::Notice { kind, data, seq }) => return Some(write::notice(kind, &data, seq)),
                Ok(Followed::End) => return None,
                Err(refusal) => return Some(self.line.end(&refusal.detail)),
            }
        }
    }
}

/// Where a client wants to go on: the header wins over the query.
fn after(call: &mut Call) -> Result<u64, Refusal> {
    let asked = call.query.parsed::<u64>("after", "the number of an event");
    match call.header(LAST_EVENT_ID)? {
        None | Some("") => Ok(asked.unwrap_or(0)),
        Some(text) => {
            text.parse().map_err(|_| Refusal::field("Last-Event-ID", "must be the number of an event"))
        }
    }
}

/// `GET /tasks/{id}/events` with SSE.
pub(crate) async fn task(mut call: Call) -> Answer {
    let after = after(&mut call)?;
    let types = call.query.types("types");
    let frames = call.query.flag("frames");
    call.query.parsed::<u64>("limit", "a number");
    call.no_more_query()?;
    let id = call.task().await?;
    match call.control().follow(&call.caller, id, after, frames).await? {
        Some(following) => {
            Ok(response(StatusCode::OK, TaskStream::body(&call.app, following, types, frames)))
        }
        None => Ok(empty(StatusCode::NO_CONTENT)),
    }
}

/// `POST /tasks?stream=true`.
pub(crate) async fn submit(mut call: Call) -> Answer {
    call.query.wait();
    call.no_more_query()?;
    let new = call.new_task().await?;
    let done = call.control().submit(&call.caller, new, None).await?;
    let id = done.task.task().id;
    let status = if done.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = match call.control().follow(&call.caller, id, 0, false).await? {
        Some(following) => {
            response(status, TaskStream::body(&call.app, following, TypeFilter::default(), false))
        }
        None => empty(StatusCode::NO_CONTENT),
    };
    if let Ok(location) = HeaderValue::from_str(&Links::of(id, false).this) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The event stream of many.
struct FeedStream {
    line: Line,
    feed: Feed,
    told: String,
}

impl FeedStream {
    async fn next(&mut self) -> Option<Bytes> {
        if self.line.over {
            return None;
        }
        if let Some(greeting) = self.line.greeting() {
            return Some(greeting);
        }
        loop {
            let page = tokio::select! {
                biased;
                () = stopped(&mut self.line.stopping) => {
                    return Some(self.line.end("the server is stopping; come back after this"));
                }
                // Before the feed, whose future loses its place in the read when it is dropped, never events.
                _ = self.line.heartbeat.tick() => {
                    self.told = self.feed.cursor();
                    return Some(Bytes::from(format!(": hb\nid: {}\n\n", self.told)));
                }
                page = self.feed.next() => page,
            };
            match page {
                Ok(page) => {
                    if page.items.is_empty() {
                        continue;
                    }
                    let mut out = String::new();
                    for (cursor, event) in &page.items {
                        write::event(&mut out, cursor, event);
                    }
                    self.line.open.sent(page.items.len());
                    return Some(Bytes::from(out));
                }
                Err(refusal) => return Some(self.line.end(&refusal.detail)),
            }
        }
    }
}

/// `GET /events` with SSE.
pub(crate) async fn feed(mut call: Call) -> Answer {
    let asked = call.query.text("after");
    let filter = feed_filter(&mut call.query);
    call.query.parsed::<u64>("limit", "a number");
    call.no_more_query()?;
    let last = call.header(LAST_EVENT_ID)?.filter(|last| !last.is_empty());
    let feed = call.control().feed(&call.caller, filter, last.or(asked.as_deref())).await?;
    let stream = FeedStream { line: Line::new(&call.app), feed, told: String::new() };
    let body = Body::from_stream(futures_util::stream::unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, Infallible>(bytes), stream))
    }));
    Ok(response(StatusCode::OK, body))
}
