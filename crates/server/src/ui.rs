//! The dashboard: its files, and its page for every address that it has.
//!
//! Nobody shows a key to get them: there is nothing in them but the program. What the page shows it asks the API for, with the
//! key that it was given.

use crate::answer::{empty, raw};
use crate::app::Options;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use everloop_types::error::Refusal;
use everloop_ui::File;

/// What the dashboard's addresses begin with. Whatever stands behind it is the page's business.
const PAGES: &[&str] =
    &["", "dead-letters", "inbox", "new", "queues", "server", "settings", "tasks", "welcome", "workers"];

/// Nothing inline, nothing from elsewhere, and no word to anybody but this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/// How a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Brotli,
    Gzip,
    Identity,
}

/// What the dashboard answers to a request, where it is the dashboard that is asked.
pub(crate) fn answer(options: &Options, request: &Request) -> Option<Response> {
    if !options.ui || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path().strip_prefix('/')?;
    let answer = match everloop_ui::file(path) {
        Some(file) if file.path != everloop_ui::PAGE => send(file, request.headers()),
        Some(_) | None if PAGES.contains(&path.split('/').next().unwrap_or_default()) => {
            page(options, request.headers())?
        }
        Some(_) | None => return None,
    };
    Some(if request.method() == Method::HEAD { without_body(answer) } else { answer })
}

/// The page for an address that nobody has, where it is a person who looks.
pub(crate) fn lost(options: &Options, request: &Request) -> Option<Response> {
    let is_person = request.headers().get_all(ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|text| text.split([',', ';']).any(|item| item.trim() == "text/html"))
    });
    if !options.ui || request.method() != Method::GET || !is_person {
        return None;
    }
    let mut answer = page(options, &HeaderMap::new())?;
    *answer.status_mut() = StatusCode::NOT_FOUND;
    Some(answer)
}

/// What stands before every path: `/everloop`, or nothing.
///
/// # Errors
/// If it can't be the beginning of a path.
pub(crate) fn base_path(text: &str) -> Result<String, Refusal> {
    let base = text.trim_end_matches('/');
    let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'/');
    if base.is_empty() || (base.starts_with('/') && !base.contains("//") && base.bytes().all(good)) {
        return Ok(base.to_owned());
    }
    Err(Refusal::field("base_path", "must be a path of letters, digits, `-`, `_` and `.`, such as /everloop"))
}

fn page(options: &Options, headers: &HeaderMap) -> Option<Response> {
    let file = everloop_ui::file(everloop_ui::PAGE)?;
    if options.base_path.is_empty() {
        return Some(send(file, headers));
    }
    let text = std::str::from_utf8(file.plain()).ok()?;
    let base = format!("<base href=\"{}/\" />", options.base_path);
    let mut answer = raw(StatusCode::OK, file.media_type, text.replacen("<base href=\"/\" />", &base, 1));
    dress(answer.headers_mut(), "no-cache");
    Some(answer)
}

fn send(file: &'static File, headers: &HeaderMap) -> Response {
    let coding = coding(headers);
    let (suffix, body) = match coding {
        Coding::Brotli => ("-br", file.brotli),
        Coding::Gzip => ("-gz", file.gzip()),
        Coding::Identity => ("", file.plain()),
    };
    let tag = format!("\"{}{suffix}\"", file.hash);
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            text.split(',').any(|one| one.trim().trim_start_matches("W/") == tag || one.trim() == "*")
        })
    });
    let mut answer =
        if known { empty(StatusCode::NOT_MODIFIED) } else { raw(StatusCode::OK, file.media_type, body) };
    let out = answer.headers_mut();
    dress(out, if file.is_immutable() { "public, max-age=31536000, immutable" } else { "no-cache" });
    out.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(ETAG, tag);
    }
    match coding {
        Coding::Brotli if !known => drop(out.insert(CONTENT_ENCODING, HeaderValue::from_static("br"))),
        Coding::Gzip if !known => drop(out.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"))),
        Coding::Brotli | Coding::Gzip | Coding::Identity => {}
    }
    answer
}

fn dress(headers: &mut HeaderMap, cache: &'static str) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
}

/// The best form that the client takes (RFC 9110, section 12.5.3); what has the weight 0 it does not take.
fn coding(headers: &HeaderMap) -> Coding {
    let takes = |name: &str| {
        headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|text| {
            text.split(',').any(|item| {
                let mut parts = item.split(';').map(str::trim);
                let is_it = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case(name));
                let refused = parts.any(|part| {
                    part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
                });
                is_it && !refused
            })
        })
    };
    if takes("br") {
        Coding::Brotli
    } else if takes("gzip") {
        Coding::Gzip
    } else {
        Coding::Identity
    }
}

/// What HEAD gets: the headers of GET, with the length that its body would have.
fn without_body(answer: Response) -> Response {
    use axum::body::HttpBody as _;
    let (mut parts, body) = answer.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(axum::http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}
