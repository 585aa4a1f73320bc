//! The MCP face: `/mcp`, streamable HTTP, for revisions 2026-07-28 and those before it on one endpoint.
//!
//! `rmcp` reads and writes the protocol; [`handler`] answers. Nothing is kept between two requests: there are no sessions, and
//! a handle is the id of one of our tasks. So a client may be cut off, or this server killed, between any two messages. What
//! `rmcp` does not speak is the older tasks of 2025-11-25, which [`legacy`] adds.

mod answer;
mod args;
mod ask;
mod errors;
#[cfg(feature = "mcp-fixtures")]
mod fixtures;
mod handler;
mod kinds;
mod legacy;
mod resources;
mod schema;
mod tasks;
mod tools;
mod wait;

use crate::app::App;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use everloop_control::Control;
use everloop_types::limits;
use handler::Handler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::sync::Arc;
use tokio::sync::watch;

/// Where the face lies.
pub(crate) const PATH: &str = "/mcp";

/// The face of a server.
#[derive(Clone)]
pub(crate) struct Face {
    service: StreamableHttpService<Handler, NeverSessionManager>,
    handler: Handler,
}

impl Face {
    pub(crate) fn new(control: Control, stopping: watch::Receiver<bool>) -> Self {
        let handler = Handler::new(control, stopping);
        let made = handler.clone();
        // Host, Origin and the key were looked at by the guard, as for every other path.
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(limits::REQUEST_BYTES)
            .disable_allowed_hosts();
        let service = StreamableHttpService::new(move || Ok(made.clone()), Arc::default(), config);
        Self { service, handler }
    }
}

/// Any request to the face.
pub(crate) async fn handle(State(app): State<App>, request: Request) -> Response {
    let face = &app.mcp;
    match legacy::intercept(&face.handler, request).await {
        legacy::Next::Answered(response) => response,
        legacy::Next::Pass(request) => face.service.handle(request).await.map(Body::new),
        legacy::Next::Amend(request, what) => {
            legacy::amend(face.service.handle(request).await.map(Body::new), what).await
        }
    }
}
