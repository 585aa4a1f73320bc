//! What a task of the kind `http` is asked to send.

use super::hosts::{Grant, granted};
use crate::Wrong;
use everloop_types::error::{Code, TaskError};
use everloop_types::json::Json;
use everloop_types::task::TaskSpec;
use everloop_worker::executor::Stop;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// How long an exchange may take unless the input says otherwise.
const TIMEOUT_MS: u64 = 60_000;
/// The longest that it may take: an hour.
const MAX_TIMEOUT_MS: u64 = 3_600_000;
/// Methods that can be asked for, and whether sending one twice does what sending it once does.
const METHODS: [(Method, bool); 7] = [
    (Method::GET, true),
    (Method::HEAD, true),
    (Method::OPTIONS, true),
    (Method::PUT, true),
    (Method::DELETE, true),
    (Method::POST, false),
    (Method::PATCH, false),
];
/// Headers that belong to the connection, not to the request.
const NOT_YOURS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// One HTTP request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Where it goes: http or https, to a host that policy.profile.hosts names.
    url: String,
    /// GET when not given.
    #[serde(default)]
    method: Option<String>,
    /// Headers beyond those of the connection.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A body, sent as JSON.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Value>")]
    body: Option<Json>,
    /// A body, sent as it is.
    #[serde(default)]
    body_text: Option<String>,
    /// How long the answer may take, in milliseconds.
    #[serde(default)]
    timeout_ms: Option<u64>,
    /// Statuses that are a success; any below 400 when not given.
    #[serde(default)]
    expect: Option<Vec<u16>>,
}

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Whether sending it twice does what sending it once does.
    pub(super) is_idempotent: bool,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
    pub(super) timeout: Duration,
    /// Statuses that are a success; any below 400 when not given.
    pub(super) expect: Option<Vec<u16>>,
    pub(super) grants: Vec<Grant>,
}

impl Request {
    /// Reads the input and the grants of a task.
    pub(super) fn read(spec: &TaskSpec) -> Result<Self, Wrong> {
        let one = |field: &str, message: String| vec![(field.to_owned(), message)];
        let Some(input) = &spec.input else {
            return Err(one("input", "needed: {\"url\": \"https://…\"}".to_owned()));
        };
        let input: Input = input.parse().map_err(|error| one("input", format!("not a request: {error}")))?;
        let mut wrong = Vec::new();
        let mut refuse = |field: &str, message: String| wrong.push((field.to_owned(), message));

        let asked = input.method.as_deref().unwrap_or("GET");
        let method = METHODS.iter().find(|(method, _)| method.as_str() == asked);
        if method.is_none() {
            let known: Vec<_> = METHODS.iter().map(|(method, _)| method.as_str()).collect();
            refuse("input.method", format!("{asked:?} is none of {}", known.join(", ")));
        }
        let url = read_url(&input.url).map_err(|message| refuse("input.url", message)).ok();
        let mut headers = HeaderMap::new();
        for (name, value) in &input.headers {
            match read_header(name, value) {
                Ok((name, value)) => {
                    headers.append(name, value);
                }
                Err(message) => refuse(&format!("input.headers.{name}"), message),
            }
        }
        if input.body.is_some() && input.body_text.is_some() {
            refuse("input.body_text", "there is a body too: give one of them".to_owned());
        }
        let is_json = input.body.is_some();
        if is_json {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        let body = input.body.map(|body| body.as_str().to_owned()).or(input.body_text);
        let timeout_ms = input.timeout_ms.unwrap_or(TIMEOUT_MS);
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            refuse("input.timeout_ms", format!("1 to {MAX_TIMEOUT_MS}"));
        }
        if input.expect.iter().flatten().any(|status| !(200..=599).contains(status)) {
            refuse("input.expect", "statuses from 200 to 599".to_owned());
        }
        let mut grants = Vec::new();
        for (i, text) in spec.policy.profile.hosts.iter().enumerate() {
            match Grant::parse(text) {
                Ok(grant) => grants.push(grant),
                Err(message) => refuse(&format!("policy.profile.hosts[{i}]"), message),
            }
        }
        match (method, url) {
            (Some((method, is_idempotent)), Some(url)) if wrong.is_empty() => Ok(Self {
                method: method.clone(),
                is_idempotent: *is_idempotent,
                url,
                headers,
                body,
                timeout: Duration::from_millis(timeout_ms),
                expect: input.expect,
                grants,
            }),
            _ => Err(wrong),
        }
    }

    /// Refuses a host that the profile does not grant.
    pub(super) fn may_call(&self, url: &Url) -> Result<(), TaskError> {
        granted(&self.grants, url).map_err(|words| TaskError::new(Code::NotGranted, words))
    }
}

/// The error of a task whose input was let through and is wrong all the same.
pub(crate) fn refused(wrong: Wrong) -> Stop {
    let words: Vec<_> = wrong.into_iter().map(|(field, message)| format!("{field}: {message}")).collect();
    Stop::Failed(TaskError::new(Code::InvalidRequest, words.join("; ")))
}

fn read_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("not an URL: {error}"))?;
    check_url(&url)?;
    Ok(url)
}

/// Refuses what is never called, whoever asks: other schemes, and credentials in the address.
pub(crate) fn check_url(url: &Url) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {} is not called: use https or http", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong into an URL: use the header Authorization".to_owned());
    }
    Ok(())
}

fn read_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::try_from(name).map_err(|_| "not the name of a header".to_owned())?;
    if NOT_YOURS.contains(&name.as_str()) {
        return Err("this header is set by the executor: leave it out".to_owned());
    }
    let value = HeaderValue::try_from(value)
        .map_err(|_| "a header has no line breaks or control characters".to_owned())?;
    Ok((name, value))
}
