//! What every request goes through.

use crate::answer::{Refused, status};
use crate::guard::{self, Admitted};
use crate::metrics::Metrics;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use everloop_api::problem::{MEDIA_TYPE, Problem};
use everloop_control::Control;
use everloop_types::error::{Code, Refusal};
use everloop_types::id::RequestId;
use everloop_types::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tower_service::Service;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between two heartbeats of an idle stream.
    pub heartbeat: Duration,
    /// Connections at the same time.
    pub max_connections: usize,
    /// A connection is closed when the head of a request has not arrived in this time, or none begins.
    pub header_timeout: Duration,
    /// A connection is closed when its other side has taken nothing for so long.
    pub write_timeout: Duration,
    /// How long requests may go on when the server stops.
    pub stop_timeout: Duration,
    /// Names that `Host` and `Origin` may have in dev mode beside those of the loopback.
    pub allowed_hosts: Vec<String>,
    /// Whether there is a dashboard.
    pub ui: bool,
    /// What stands before every path, such as `/everloop`; nothing when empty. Paths without it are answered, too, for
    /// proxies that take it off.
    pub base_path: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: limits::STREAM_HEARTBEAT,
            max_connections: 16_384,
            header_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
            allowed_hosts: Vec::new(),
            ui: true,
            base_path: String::new(),
        }
    }
}

/// What handlers share. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

impl App {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl std::ops::Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What an [`App`] is made of.
pub(crate) struct Shared {
    pub(crate) control: Control,
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    /// Turns true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) mcp: crate::mcp::Face,
}

/// Waits until the server stops.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Without a sender the server is gone, which is the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The app with its routes.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub(crate) app: App,
    pub(crate) router: Router,
}

/// An id that came with a request is taken if it can't be anything but an id.
fn request_id(app: &App, headers: &HeaderMap) -> HeaderValue {
    let good = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=64).contains(&bytes.len())
            && bytes.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
    };
    headers.get(everloop_api::REQUEST_ID_HEADER).filter(good).cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&RequestId(app.control.new_id()).to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("req_"))
    })
}

/// A path without what callers named: keys may say something.
fn shown(path: &str) -> &str {
    path.split("key:").next().unwrap_or(path)
}

/// Takes the base path off a request that has it.
fn take_off_base(base: &str, request: &mut Request) {
    if base.is_empty() {
        return;
    }
    let uri = request.uri();
    let Some(rest) = uri.path().strip_prefix(base) else { return };
    if !rest.is_empty() && !rest.starts_with('/') {
        return;
    }
    let path = if rest.is_empty() { "/" } else { rest };
    let text = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    if let Ok(shorter) = text.parse() {
        *request.uri_mut() = shorter;
    }
}

impl Entrance {
    /// Lets a request in, routes it, and sees its answer out.
    pub(crate) async fn handle(mut self, mut request: Request) -> Response {
        let app = &self.app;
        take_off_base(&app.options.base_path, &mut request);
        let began = app.control.monotonic();
        let id = request_id(app, request.headers());
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let mut response = match guard::admit(app, &request) {
            Ok(Admitted::Page(page)) => page,
            Ok(Admitted::Caller(caller)) => {
                request.extensions_mut().insert(caller);
                request.headers_mut().insert(everloop_api::REQUEST_ID_HEADER, id.clone());
                match self.router.call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            Err(refusal) => axum::response::IntoResponse::into_response(crate::answer::Fail(refusal)),
        };
        if let Some(Refused(refusal)) = response.extensions_mut().remove::<Refused>() {
            problem(app, &mut response, refusal, &id);
        }
        let took = app.control.monotonic().saturating_sub(began);
        app.metrics.request(response.status().as_u16(), took);
        let (code, micros) = (response.status().as_u16(), took.as_micros());
        if response.status().is_server_error() {
            tracing::warn!(?id, %method, path = shown(&path), status = code, micros, "request");
        } else {
            tracing::debug!(?id, %method, path = shown(&path), status = code, micros, "request");
        }
        dress(response.headers_mut(), id);
        response
    }
}

/// Makes a problem of a refusal.
fn problem(app: &App, response: &mut Response, refusal: Refusal, id: &HeaderValue) {
    *response.status_mut() = status(refusal.code);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.remove(header::CONTENT_LENGTH);
    if refusal.code == Code::Unauthorized {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(millis) = refusal.retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000).max(1)));
    }
    let id = id.to_str().unwrap_or_default();
    let problem = Problem::new(refusal, id, app.control.now());
    let text = serde_json::to_vec(&problem).unwrap_or_default();
    *response.body_mut() = Body::from(text);
}

/// The headers that every answer has.
fn dress(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(HeaderName::from_static(everloop_api::REQUEST_ID_HEADER), id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"));
}
