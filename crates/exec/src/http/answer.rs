//! What is recorded of an answer.

use crate::output::whole_chars;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everloop_types::error::{Class, Code, TaskError};
use everloop_types::json::Json;
use everloop_types::limits::EVENT_DATA_BYTES;
use everloop_worker::context::canonical;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Bytes that the body may take in the result, as it is written there: the rest of the event needs room too.
pub(super) const BODY_BYTES: usize = EVENT_DATA_BYTES - 32 * 1024;
/// Headers that are recorded, and bytes of each.
const HEADERS: usize = 48;
const HEADER_BYTES: usize = 256;
/// Bytes of the body that an error shows.
const EXCERPT_BYTES: usize = 2048;
/// A header whose name has one of these in it may carry a secret and is not recorded.
const SECRET: [&str; 6] = ["auth", "cookie", "key", "secret", "session", "token"];

/// The result of a task of the kind `http`. Its fields stand in the order of their names.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_text: Option<String>,
    bytes: u64,
    headers: BTreeMap<String, String>,
    status: u16,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// What was received.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The beginning of the body, or all of it.
    pub(super) body: Vec<u8>,
    /// Bytes that were received.
    pub(super) bytes: u64,
    /// Whether the whole body is here.
    pub(super) is_whole: bool,
}

impl Received {
    /// The result of the step.
    pub(super) fn result(&self) -> Result<Json, TaskError> {
        let mut answer = Answer {
            body: None,
            body_base64: None,
            body_text: None,
            bytes: self.bytes,
            headers: recorded(&self.headers),
            status: self.status,
            truncated: !self.is_whole,
        };
        if self.is_whole && self.is_json() {
            answer.body = json(&self.body);
            // A body that is too deep for the result as a whole is kept as text.
            match canonical(&answer) {
                Ok(result) if answer.body.is_some() => return Ok(result),
                _ => answer.body = None,
            }
        }
        let (text, shortened) = text(&self.body, self.is_whole);
        match text {
            Text::None => {}
            Text::Plain(text) => answer.body_text = Some(text),
            Text::Base64(text) => answer.body_base64 = Some(text),
        }
        answer.truncated |= shortened;
        canonical(&answer).map_err(crate::step_error)
    }

    fn is_json(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    }

    /// The error that a status is.
    pub(super) fn refusal(&self, method: &str) -> TaskError {
        #[derive(Serialize)]
        struct Details {
            #[serde(skip_serializing_if = "Option::is_none")]
            body: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after: Option<String>,
            status: u16,
        }
        let status = self.status;
        let excerpt = &self.body[..whole_chars(&self.body, self.body.len().min(EXCERPT_BYTES))];
        let details = Details {
            body: std::str::from_utf8(excerpt).ok().filter(|text| !text.is_empty()).map(str::to_owned),
            retry_after: self
                .headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            status,
        };
        let words =
            match reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
                Some(reason) => format!("{method} was answered by {status} {reason}"),
                None => format!("{method} was answered by {status}"),
            };
        let mut error = crate::with_details(Code::HttpStatus, words, &details);
        error.class = class_of(status);
        error
    }
}

/// Whether asking again can help.
fn class_of(status: u16) -> Class {
    match status {
        408 | 425 | 429 | 500..=599 => Class::Transient,
        401 | 403 => Class::Auth,
        _ => Class::Validation,
    }
}

fn recorded(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut recorded = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let name = name.as_str();
        let Ok(value) = value.to_str() else { continue };
        if SECRET.iter().any(|secret| name.contains(secret)) || name.len() + value.len() > HEADER_BYTES {
            continue;
        }
        if let Some(earlier) = recorded.get_mut(name) {
            if earlier.len() + value.len() < HEADER_BYTES {
                earlier.push_str(", ");
                earlier.push_str(value);
            }
        } else if recorded.len() < HEADERS {
            recorded.insert(name.to_owned(), value.to_owned());
        }
    }
    recorded
}

fn json(body: &[u8]) -> Option<Json> {
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    canonical(&raw).ok().filter(|json| json.len() <= BODY_BYTES)
}

enum Text {
    None,
    Plain(String),
    Base64(String),
}

/// The body as text, and whether some of it had to go.
fn text(body: &[u8], is_whole: bool) -> (Text, bool) {
    if body.is_empty() {
        return (Text::None, false);
    }
    let end = if is_whole { body.len() } else { whole_chars(body, body.len()) };
    let Ok(text) = std::str::from_utf8(&body[..end]) else {
        let many = body.len().min(BODY_BYTES / 4 * 3);
        return (Text::Base64(STANDARD.encode(&body[..many])), many < body.len());
    };
    let mut written = 0;
    let fits = text.char_indices().find(|(_, c)| {
        written += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            c => c.len_utf8(),
        };
        written > BODY_BYTES
    });
    match fits {
        Some((end, _)) => (Text::Plain(text[..end].to_owned()), true),
        None => (Text::Plain(text.to_owned()), end < body.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(kind: &'static str, body: impl Into<Vec<u8>>) -> Received {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        headers.insert("set-cookie", "a=b".parse().unwrap());
        let body = body.into();
        Received { status: 200, headers, bytes: body.len() as u64, body, is_whole: true }
    }

    #[test]
    fn json_stays_json_and_becomes_canonical() {
        let result =
            received("application/json; charset=utf-8", r#"{ "b": 1.0, "a": [1e2] }"#).result().unwrap();
        let expected = r#"{"body":{"a":[100],"b":1},"bytes":24,"headers":{"content-type":"application/json; charset=utf-8"},"status":200}"#;
        assert_eq!(result.as_str(), expected);
    }

    #[test]
    fn what_is_not_canonical_json_stays_text() {
        for body in [r#"{"a":1,"a":2}"#, "{", "[".repeat(70).as_str()] {
            let result = received("application/json", body).result().unwrap();
            assert!(result.as_str().contains("body_text"), "{result}");
        }
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(received("application/json", deep).result().unwrap().as_str().contains("body_text"));
    }

    #[test]
    fn a_result_always_fits_into_an_event() {
        for body in
            ["\u{1}".repeat(1 << 20).into_bytes(), vec![0xff; 1 << 20], "€\"".repeat(1 << 18).into_bytes()]
        {
            let result = received("text/plain", body).result().unwrap();
            assert!(result.len() < EVENT_DATA_BYTES - 8 * 1024, "{}", result.len());
            assert!(result.as_str().ends_with("\"truncated\":true}"));
        }
    }

    #[test]
    fn classes_follow_the_status() {
        for (class, statuses) in [
            (Class::Transient, &[408, 425, 429, 500, 503, 599][..]),
            (Class::Auth, &[401, 403]),
            (Class::Validation, &[400, 404, 409, 410, 422, 304, 204]),
        ] {
            for status in statuses {
                assert_eq!(class_of(*status), class, "{status}");
            }
        }
    }
}
