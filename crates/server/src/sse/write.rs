//! The lines of a stream. JSON of ours has no line ends in it, so one `data:` line holds any.

use axum::body::Bytes;
use everloop_control::write_event;
use everloop_types::event::Event;
use everloop_types::json::Json;
use std::fmt::{Display, Write};

// Writing to a String can't fail.

/// An event.
pub(super) fn event(out: &mut String, id: impl Display, event: &Event) {
    let _ = write!(out, "id: {id}\nevent: {}\ndata: ", event.kind);
    write_event(out, event);
    out.push_str("\n\n");
}

/// A position: nothing is dispatched.
pub(super) fn position(out: &mut String, id: u64) {
    let _ = write!(out, "id: {id}\n\n");
}

/// A frame: it has no `id:`, for it can't be asked for again.
pub(super) fn frame(kind: &str, data: &Json) -> Bytes {
    let kind = serde_json::to_string(kind).unwrap_or_default();
    Bytes::from(format!("event: frame\ndata: {{\"type\":{kind},\"data\":{data}}}\n\n"))
}

/// A notice: the client's position is now `seq`.
pub(super) fn notice(kind: &str, data: &Json, seq: u64) -> Bytes {
    Bytes::from(format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n"))
}
