//! Who is let in.

use crate::app::App;
use crate::ui;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN};
use axum::response::Response;
use everloop_control::{Caller, Mode};
use everloop_types::error::{Code, Refusal};

/// Paths that ask for no key.
fn is_open(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/") || path.starts_with("/.well-known/")
}

/// What a request was let in as.
pub(crate) enum Admitted {
    /// Whoever may ask the API.
    Caller(Caller),
    /// A browser that opens the dashboard, with what it gets.
    Page(Response),
}

/// Lets a request in.
///
/// # Errors
/// `forbidden` for a foreign `Host` or `Origin` in dev mode, `unauthorized` without a key where one is needed.
pub(crate) fn admit(app: &App, request: &Request) -> Result<Admitted, Refusal> {
    let mode = app.control.options().mode;
    if mode == Mode::Dev {
        // A page elsewhere may not talk to us through the browser of whoever develops here (DNS rebinding, cross-site forms).
        let host = request.headers().get(HOST);
        if !host.is_some_and(|host| is_ours(app, host.as_bytes())) {
            return Err(foreign("Host", host));
        }
        if let Some(origin) = request.headers().get(ORIGIN) {
            let text = origin.as_bytes();
            let host = text.strip_prefix(b"http://").or_else(|| text.strip_prefix(b"https://"));
            if !host.is_some_and(|host| is_ours(app, host)) {
                return Err(foreign("Origin", Some(origin)));
            }
        }
    }
    if let Some(page) = ui::answer(&app.options, request) {
        return Ok(Admitted::Page(page));
    }
    let key = match request.headers().get(AUTHORIZATION) {
        Some(value) => Some(bearer(value)?),
        None => None,
    };
    if key.is_none() && is_open(request.uri().path()) {
        return Ok(Admitted::Caller(Caller::local(false)));
    }
    app.control.caller(key).map(Admitted::Caller)
}

fn bearer(value: &HeaderValue) -> Result<&str, Refusal> {
    let text = value.to_str().ok();
    let key = text
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    key.map(|(_, key)| key.trim()).ok_or_else(|| {
        Refusal::new(Code::Unauthorized, "the header Authorization is not of the form `Bearer evl_…`")
    })
}

fn is_ours(app: &App, authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else { return false };
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
        || app.options.allowed_hosts.iter().any(|host| host == name)
}

fn foreign(header: &str, value: Option<&HeaderValue>) -> Refusal {
    let shown: String = value
        .map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(100).collect())
        .unwrap_or_default();
    Refusal::new(
        Code::Forbidden,
        format!("the header {header} is {shown:?}, which is no name of this machine's loopback"),
    )
    .hint("in dev mode only localhost, 127.0.0.1 and [::1] may ask; use `everloop serve` for others")
}
