//! Events on the wire.
//!
//! An event is the flat object that `docs/formats.md` describes, and is carried as text: reading and writing it anew could
//! change the bytes that were hashed.

use everloop_types::event::{BodyError, EventBody};
use everloop_types::json::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A page of the events of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// The events, byte for byte.
    #[schemars(with = "Vec<EventShape>")]
    pub items: Vec<Json>,
    /// Number of the last event that was looked at: pass it as `?after=` for the next page.
    pub next_after: u64,
    /// Number of the last event that there is.
    pub last_seq: u64,
    /// Whether no event will follow `last_seq`.
    pub finished: bool,
}

/// A page of the events of many streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedPage {
    /// The events, byte for byte.
    #[schemars(with = "Vec<EventShape>")]
    pub items: Vec<Json>,
    /// Pass it as `?after=` for the next page.
    pub next_cursor: String,
    /// Whether there was more when the page was read.
    pub more: bool,
}

/// An event: one flat object of envelope and payload.
#[derive(JsonSchema, Serialize)]
pub struct EventShape {
    /// Who caused it: `usr_…`, `wkr_…` or `system`.
    pub actor: String,
    /// Version of its body.
    pub body_v: u32,
    /// `SHA-256(salt ‖ data)`.
    pub data_hash: String,
    /// `SHA-256(hash of the event before ‖ canonical envelope)`.
    pub hash: String,
    /// Absent where the payload is gone.
    pub salt: Option<String>,
    /// Its number in the stream, from 1 without gaps.
    pub seq: u64,
    /// The stream that it stands in: a task's id, or `audit/<tenant>/<n>`.
    pub stream: String,
    /// Whose it is.
    pub tenant: crate::schema::TenantId,
    /// A W3C trace context.
    pub trace: Option<String>,
    /// When it was written.
    pub ts: crate::schema::Timestamp,
    /// Its type: `task.submitted`, `step.completed`, `custom.…`.
    pub r#type: String,
    /// Version of the envelope: 1.
    pub v: u32,
    /// What it says; absent where the payload is gone.
    pub data: Option<serde_json::Value>,
}

/// What an event says, without envelope: what a worker sends and replays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Its type.
    pub r#type: String,
    /// Its data, of the form that the type has; `{}` when not given.
    #[serde(default = "empty")]
    #[schemars(with = "serde_json::Value")]
    pub data: Json,
}

fn empty() -> Json {
    Json::from_canonical("{}".to_owned()).unwrap_or_default()
}

impl Body {
    /// The wire form of a body.
    ///
    /// # Errors
    /// None that a body built from valid parts can cause.
    pub fn of(body: &EventBody) -> Result<Self, serde_json::Error> {
        Ok(Self { r#type: body.kind().into_owned(), data: body.data()? })
    }

    /// The body that it is.
    ///
    /// # Errors
    /// If the data is not of the form that the type has, or nobody knows the type.
    pub fn read(&self) -> Result<EventBody, BodyError> {
        EventBody::read(&self.r#type, 1, &self.data)
    }
}
