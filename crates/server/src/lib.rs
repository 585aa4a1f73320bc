//! The HTTP faces: thin handlers over `control`, a module for each face.
//!
//! [`serve`] is the server as a function: it takes a listener and ends when it is told to. Every request goes through
//! `app`: it gets an id, is let in by `guard`, is routed by the one table in `routes`, and leaves with the headers that
//! every answer has. From the same table comes the OpenAPI document.
//!
//! Deliberately absent: what may be asked and what happens then. That is `control`'s.

mod answer;
mod app;
mod call;
mod docs;
mod guard;
mod mcp;
mod metrics;
mod query;
pub mod rehearsal;
mod rest;
mod route;
mod routes;
mod serve;
mod sse;
mod timed;
mod ui;
mod views;
mod ws;

pub use app::Options;
pub use serve::serve;

/// The OpenAPI document, as committed in `docs/openapi.json`.
pub fn openapi_json() -> String {
    docs::json()
}
