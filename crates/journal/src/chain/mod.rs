//! The hash chain of a stream, and the JSON form of an event. Described in `docs/formats.md`.

mod json;
mod verifier;

pub use json::{FromJsonError, from_json, kind_of, to_json, write_json};
pub use verifier::{ChainError, Fault, Verifier};

use crate::canonical::write_string;
use crate::hex;
use everloop_types::event::{ENVELOPE_VERSION, Event, Hash, Head, Payload, Salt};
use everloop_types::id::TenantId;
use everloop_types::json::Json;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;

/// An event that has no number, no place in a chain and no hash yet.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Whose it is.
    pub tenant: TenantId,
    /// The stream that it goes to.
    pub stream: StreamName,
    /// Now; the event gets the time of the one before it when that is later.
    pub ts: Timestamp,
    /// Its type.
    pub kind: Cow<'static, str>,
    /// Version of its body.
    pub body_v: u32,
    /// Who caused it.
    pub actor: String,
    /// A W3C trace context, when there was one.
    pub trace: Option<String>,
    /// Sixteen random bytes, never used before.
    pub salt: Salt,
    /// The canonical body.
    pub data: Json,
}

/// What the first event of a stream is linked to: `SHA-256("everloop/v1/" ‖ name)`.
pub fn genesis(stream: &StreamName) -> Hash {
    let mut hash = Sha256::new_with_prefix(b"everloop/v1/");
    hash.update(stream.to_string());
    hash.finalize().into()
}

/// The head of a stream that has no event yet.
pub fn start(stream: &StreamName) -> Head {
    Head { seq: 0, hash: genesis(stream), ts: Timestamp::MIN }
}

/// The head of a stream that ends with this event.
pub fn head_after(event: &Event) -> Head {
    Head { seq: event.seq, hash: event.hash, ts: event.ts }
}

/// `SHA-256(salt ‖ data)`: what the envelope says about the payload.
pub fn data_hash(salt: &Salt, data: &Json) -> Hash {
    Sha256::new_with_prefix(salt).chain_update(data.as_str()).finalize().into()
}

/// The hash of an event: `SHA-256(hash of the event before ‖ canonical envelope)`. The event's own `hash` is not looked at.
pub fn hash_of(prev_hash: &Hash, event: &Event) -> Hash {
    Sha256::new_with_prefix(prev_hash).chain_update(envelope(event)).finalize().into()
}

/// Makes the next event of a stream. The draft has to belong to the stream whose head this is.
pub fn link(head: &Head, draft: Draft) -> Event {
    let mut event = Event {
        v: ENVELOPE_VERSION,
        tenant: draft.tenant,
        stream: draft.stream,
        seq: head.seq + 1,
        ts: draft.ts.max(head.ts),
        kind: draft.kind,
        body_v: draft.body_v,
        actor: draft.actor,
        trace: draft.trace,
        data_hash: data_hash(&draft.salt, &draft.data),
        hash: Hash::default(),
        payload: Some(Payload { salt: draft.salt, data: draft.data }),
    };
    event.hash = hash_of(&head.hash, &event);
    event
}

/// The canonical JSON of the envelope without `hash`: the bytes that are hashed.
pub fn envelope(event: &Event) -> String {
    let mut out = String::with_capacity(ENVELOPE_BYTES + event.actor.len());
    write_fields(&mut out, event, false);
    out.push('}');
    out
}

/// Most envelopes fit without growing, their hash and salt counted.
const ENVELOPE_BYTES: usize = 512;

/// Writes the members in the order of their names, without the closing brace. `full`: with hash, and salt where there is one.
fn write_fields(out: &mut String, event: &Event, full: bool) {
    // Writing to a String can't fail. Ids, names of streams and times are plain ASCII that needs no escapes.
    out.push_str("{\"actor\":");
    write_string(out, &event.actor);
    let _ = write!(out, ",\"body_v\":{},\"data_hash\":\"", event.body_v);
    hex::write(out, &event.data_hash);
    if full {
        out.push_str("\",\"hash\":\"");
        hex::write(out, &event.hash);
        if let Some(payload) = &event.payload {
            out.push_str("\",\"salt\":\"");
            hex::write(out, &payload.salt);
        }
    }
    let _ = write!(
        out,
        "\",\"seq\":{},\"stream\":\"{}\",\"tenant\":\"{}\"",
        event.seq, event.stream, event.tenant
    );
    if let Some(trace) = &event.trace {
        out.push_str(",\"trace\":");
        write_string(out, trace);
    }
    let _ = write!(out, ",\"ts\":\"{}\",\"type\":", event.ts);
    write_string(out, &event.kind);
    let _ = write!(out, ",\"v\":{}", event.v);
}
