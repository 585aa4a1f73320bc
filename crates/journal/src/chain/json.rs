//! Events as JSON: the form of exports, streams and pages.

use super::{ENVELOPE_BYTES, write_fields};
use crate::hex;
use everloop_types::event::{Event, EventBody, Hash, Payload, Salt};
use everloop_types::id::TenantId;
use everloop_types::json::Json;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The JSON form of an event: one flat object of envelope and payload on one line.
///
/// Members stand in the order of their names, but `data` comes last and holds the canonical bytes as they were hashed.
/// `salt` and `data` are absent where the payload is gone.
pub fn to_json(event: &Event) -> String {
    let data = event.payload.as_ref().map_or(0, |payload| payload.data.len());
    let mut out = String::with_capacity(ENVELOPE_BYTES + event.actor.len() + data);
    write_json(&mut out, event);
    out
}

/// Appends what [`to_json`] gives.
pub fn write_json(out: &mut String, event: &Event) {
    write_fields(out, event, true);
    if let Some(payload) = &event.payload {
        out.push_str(",\"data\":");
        out.push_str(payload.data.as_str());
    }
    out.push('}');
}

/// Why a text is not the JSON form of an event.
#[derive(Debug, thiserror::Error)]
pub enum FromJsonError {
    /// Not JSON, a member is missing, stands twice, has the wrong type or is unknown.
    #[error("this is not an event: {0}")]
    Shape(#[from] serde_json::Error),
    /// Not a JSON object.
    #[error("this is not an event: a JSON object was expected")]
    NotAnObject,
    /// A member is not written in its one form.
    #[error("the member {member} of the event is not {expected}")]
    Member {
        /// Which one.
        member: &'static str,
        /// How it is written.
        expected: &'static str,
    },
    /// Only one of salt and data is there.
    #[error("the event has only one of salt and data; both go together")]
    HalfPayload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    actor: Cow<'a, str>,
    body_v: u32,
    #[serde(borrow)]
    data_hash: Cow<'a, str>,
    #[serde(borrow)]
    hash: Cow<'a, str>,
    #[serde(borrow, default)]
    salt: Option<Cow<'a, str>>,
    seq: u64,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    tenant: TenantId,
    #[serde(default, deserialize_with = "present")]
    trace: Option<String>,
    #[serde(borrow)]
    ts: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    v: u32,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// `data` may be `null`, which is a value and not an absence; `trace` may not.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads the JSON form of an event. The data is kept byte for byte, so that its hash can be checked.
///
/// # Errors
/// If the text is anything but one event, with every member in the one form that [`to_json`] writes. The order of members
/// and whitespace between them don't matter.
pub fn from_json(text: &str) -> Result<Event, FromJsonError> {
    // serde would take an array of the members for a struct, too.
    if !text.trim_start().starts_with('{') {
        return Err(FromJsonError::NotAnObject);
    }
    let wire: Wire<'_> = serde_json::from_str(text)?;
    let member = |member, expected| FromJsonError::Member { member, expected };
    let hash = |name, text: &str| -> Result<Hash, FromJsonError> {
        hex::decode(text).ok_or_else(|| member(name, "64 lower-case hexadecimal digits"))
    };
    let payload = match (wire.salt, wire.data) {
        (Some(salt), Some(data)) => {
            let salt: Salt =
                hex::decode(&salt).ok_or_else(|| member("salt", "32 lower-case hexadecimal digits"))?;
            Some(Payload { salt, data: Json::from_canonical(data.get().to_owned())? })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(FromJsonError::HalfPayload),
    };
    // Other ways to write the same time would be changes of the file that the hash can't see.
    let ts = Timestamp::parse(&wire.ts).filter(|ts| ts.to_string() == wire.ts);
    let stream: Result<StreamName, _> = wire.stream.parse();
    Ok(Event {
        v: wire.v,
        tenant: wire.tenant,
        stream: stream.map_err(|_| member("stream", "the name of a stream: task_… or audit/ten_…/n"))?,
        seq: wire.seq,
        ts: ts.ok_or_else(|| member("ts", "an RFC 3339 time in UTC with six digits"))?,
        kind: kind_of(&wire.r#type),
        body_v: wire.body_v,
        actor: wire.actor.into_owned(),
        trace: wire.trace,
        data_hash: hash("data_hash", &wire.data_hash)?,
        hash: hash("hash", &wire.hash)?,
        payload,
    })
}

/// The type of an event, without an allocation where it is one of ours.
pub fn kind_of(text: &str) -> Cow<'static, str> {
    static KINDS: LazyLock<HashMap<&'static str, &'static str>> =
        LazyLock::new(|| EventBody::KINDS.iter().map(|kind| (*kind, *kind)).collect());
    match KINDS.get(text) {
        Some(kind) => Cow::Borrowed(kind),
        None => Cow::Owned(text.to_owned()),
    }
}
