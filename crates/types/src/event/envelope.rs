//! The envelope that is hashed, and the payload that it covers.

use super::{BodyError, EventBody};
use crate::id::TenantId;
use crate::json::Json;
use crate::stream::StreamName;
use crate::time::Timestamp;
use std::borrow::Cow;

/// Version of the envelope.
pub const ENVELOPE_VERSION: u32 = 1;

/// Who an event comes from when no person or worker does.
pub const SYSTEM: &str = "system";

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Random bytes that keep a digest from giving away its data.
pub type Salt = [u8; 16];

/// The head of a stream: what the next event is linked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last event; 0 before the first one.
    pub seq: u64,
    /// Its hash; before the first event the one that the stream's name gives.
    pub hash: Hash,
    /// Its time.
    pub ts: Timestamp,
}

/// An event as it is stored and served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Version of the envelope.
    pub v: u32,
    /// Whose it is.
    pub tenant: TenantId,
    /// The stream that it stands in.
    pub stream: StreamName,
    /// Its number in the stream, from 1 without gaps.
    pub seq: u64,
    /// When it was written; never before the event before it.
    pub ts: Timestamp,
    /// Its type.
    pub kind: Cow<'static, str>,
    /// Version of its body.
    pub body_v: u32,
    /// Who caused it: `usr_…`, `wkr_…` or `system`.
    pub actor: String,
    /// A W3C trace context, when there was one.
    pub trace: Option<String>,
    /// `SHA-256(salt ‖ data)`.
    pub data_hash: Hash,
    /// `SHA-256(hash of the event before ‖ canonical envelope)`.
    pub hash: Hash,
    /// Salt and data; none where they were erased or folded.
    pub payload: Option<Payload>,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Goes with the data.
    pub salt: Salt,
    /// Canonical JSON.
    pub data: Json,
}

impl Event {
    /// Reads the body, upcasting old versions; none where the payload is gone.
    ///
    /// # Errors
    /// If the data is not of the form that its type and version have.
    pub fn body(&self) -> Result<Option<EventBody>, BodyError> {
        self.payload
            .as_ref()
            .map(|payload| EventBody::read(&self.kind, self.body_v, &payload.data))
            .transpose()
    }

    /// Whether no event follows this one in a task's stream.
    pub fn is_terminal(&self) -> bool {
        is_terminal(&self.kind)
    }
}

/// Whether an event of this type ends a task's stream.
pub fn is_terminal(kind: &str) -> bool {
    matches!(kind, "task.completed" | "task.failed" | "task.cancelled")
}
