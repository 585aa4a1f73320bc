//! What goes over the wire: the requests and answers of the REST interface and the worker protocol, with their JSON Schema.
//!
//! Requests refuse unknown fields; answers are read by clients that ignore what they don't know. Absent values are left out,
//! never null. Values of users are [`everloop_types::json::Json`], carried byte for byte.
//!
//! Deliberately absent: HTTP itself, and every rule. The types only have a shape.

pub mod command;
pub mod event;
pub mod history;
pub mod page;
pub mod problem;
pub mod schema;
pub mod system;
pub mod task;
pub mod worker;

/// The path that everything but health, metrics and keys lies under.
pub const BASE: &str = "/api/v1";
/// The header in which a worker shows its lease token.
pub const LEASE_HEADER: &str = "everloop-lease";
/// The header that makes the retry of one request known.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// The header that names a request, in both directions.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
