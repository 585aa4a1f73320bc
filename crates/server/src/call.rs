//! A request as handlers see it.

use crate::answer::Fail;
use crate::app::App;
use crate::query::Query;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, request};
use everloop_api::task::TaskRequest;
use everloop_control::door::{self, Read};
use everloop_control::submit::NewTask;
use everloop_control::{Caller, Control};
use everloop_types::error::{Code, Refusal};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::limits;
use serde::de::DeserializeOwned;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A body that has not arrived by then is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A request that was let in.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) caller: Caller,
    pub(crate) query: Query,
    pub(crate) parts: request::Parts,
    path: Vec<(String, String)>,
    /// Behind a lock that nobody waits for: a body alone can't be looked at from two threads.
    body: Mutex<Body>,
}

impl FromRequest<App> for Call {
    type Rejection = Fail;

    async fn from_request(request: Request, app: &App) -> Result<Self, Fail> {
        let (mut parts, body) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut parts, app)
            .await
            .map_err(|_| Refusal::not_found("path with such characters"))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let caller = parts
            .extensions
            .remove::<Caller>()
            .ok_or_else(|| Refusal::new(Code::Unauthorized, "nobody was let in"))?;
        let query = Query::read(parts.uri.query())?;
        Ok(Self { app: app.clone(), caller, query, parts, path, body: Mutex::new(body) })
    }
}

impl Call {
    pub(crate) fn control(&self) -> &Control {
        &self.app.control
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// A header as text; none if it is absent.
    pub(crate) fn header(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        let mut all = self.parts.headers.get_all(name).iter();
        let Some(value) = all.next() else { return Ok(None) };
        if all.next().is_some() {
            return Err(Refusal::field(name, "is given more than once"));
        }
        value.to_str().map(Some).map_err(|_| Refusal::field(name, "must be visible ASCII"))
    }

    /// A part of the path.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.path.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// A part of the path that is an id or a number.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<T, Refusal> {
        let text = self.part(name);
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(64).collect();
            Refusal::not_found(format!("{what} {shown:?}"))
        })
    }

    /// The task that the path names, by id or by key.
    pub(crate) async fn task(&self) -> Result<TaskId, Refusal> {
        self.control().resolve(self.caller.tenant, self.part("id")).await
    }

    /// Checks that no parameter is left over.
    pub(crate) fn no_more_query(&mut self) -> Result<(), Refusal> {
        std::mem::take(&mut self.query).done()
    }

    /// The body, held to a limit.
    pub(crate) async fn bytes(&mut self, limit: usize) -> Result<Bytes, Refusal> {
        let too_large = || {
            Refusal::new(Code::TooLarge, format!("the body is larger than {} MiB", limit / (1024 * 1024)))
                .hint("send smaller batches, or put large values into blobs: POST /api/v1/blobs")
        };
        let length = self
            .parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let body = std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner));
        match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => {
                let text = format!("{:?}", error.into_inner());
                if text.contains("LengthLimit") {
                    return Err(too_large());
                }
                Err(Refusal::new(Code::InvalidRequest, "the body broke off").hint("send all of it"))
            }
            Err(_) => {
                let detail = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
                Err(Refusal::new(Code::InvalidRequest, detail))
            }
        }
    }

    async fn json_bytes(&mut self) -> Result<Bytes, Refusal> {
        let media_type =
            self.parts.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?").to_owned());
        let bytes = self.bytes(limits::REQUEST_BYTES).await?;
        if let Some(media_type) = media_type.filter(|_| !bytes.is_empty()) {
            let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            if essence != "application/json" && !essence.ends_with("+json") {
                let shown: String = media_type.chars().take(64).collect();
                return Err(Refusal::new(Code::UnsupportedMediaType, format!("the body is {shown}"))
                    .hint("send JSON with `Content-Type: application/json`"));
            }
        }
        Ok(bytes)
    }

    /// The body as a request.
    pub(crate) async fn body<T: DeserializeOwned>(&mut self) -> Result<Read<T>, Refusal> {
        let bytes = self.json_bytes().await?;
        if bytes.is_empty() {
            return Err(Refusal::new(Code::InvalidRequest, "the request has no body")
                .hint("send a JSON object; /api/v1/docs shows an example"));
        }
        door::read(&bytes)
    }

    /// The body as a request that may be left out.
    pub(crate) async fn body_or_empty<T: DeserializeOwned>(&mut self) -> Result<Read<T>, Refusal> {
        let bytes = self.json_bytes().await?;
        door::read_or_empty(&bytes)
    }

    /// The `Idempotency-Key` header.
    pub(crate) fn header_key(&self) -> Result<Option<String>, Refusal> {
        Ok(self.header(everloop_api::IDEMPOTENCY_HEADER)?.map(str::to_owned))
    }

    /// The W3C trace context, if it is well formed.
    pub(crate) fn trace(&self) -> Option<String> {
        trace(self.parts.headers.get("traceparent")?.to_str().ok())
    }

    /// The body as a new task.
    pub(crate) async fn new_task(&mut self) -> Result<NewTask, Refusal> {
        let header_key = self.header_key()?;
        let read: Read<TaskRequest> = self.body().await?;
        let trace = self.trace();
        // The text of the request is only needed to tell a retry from another request.
        let (request, sent) = if header_key.is_some() || read.value.key.is_some() {
            let (request, sent) = read.canonical()?;
            (request, Some(sent))
        } else {
            (read.value, None)
        };
        Ok(new_task(request, sent, header_key, trace))
    }
}

/// A W3C trace context, if it is well formed.
pub(crate) fn trace(text: Option<&str>) -> Option<String> {
    let text = text?;
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    (hex && lengths == [2, 32, 16, 2]).then(|| text.to_owned())
}

/// What control takes for a new task.
pub(crate) fn new_task(
    request: TaskRequest,
    sent: Option<Json>,
    header_key: Option<String>,
    trace: Option<String>,
) -> NewTask {
    let (spec, data_subject) = request.into_spec();
    NewTask { spec, data_subject, request: sent, header_key, trace }
}
