//! One exchange: the request, its redirects, and the answer's body as it comes.

use super::answer::{BODY_BYTES, Received};
use super::input::{Request, check_url};
use crate::output::Output;
use everloop_types::error::{Code, TaskError};
use everloop_types::json::Json;
use everloop_worker::context::Context;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use reqwest::{Client, Method, Response};
use std::error::Error as _;
use std::future::Future;
use tokio::time::{Instant, sleep_until};
use url::Url;

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// The header that makes an effect happen once where it is made.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Headers that go on to another origin: whatever else was given may be meant for the first one only.
const ANY_ORIGIN: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// Sends a request and records its answer.
///
/// A stop is heard at every wait for the other side, and never while events are being written.
pub(super) async fn exchange(
    context: &Context,
    client: &Client,
    request: &Request,
    key: &str,
) -> Result<Json, TaskError> {
    let deadline = Instant::now() + request.timeout;
    let wait = Wait { context, deadline, timeout_ms: request.timeout.as_millis() };
    let response = follow(&wait, client, request, key).await?;
    let status = response.status().as_u16();
    let received = receive(&wait, response).await?;
    let is_expected = match &request.expect {
        Some(expected) => expected.contains(&status),
        None => status < 400,
    };
    if is_expected { received.result() } else { Err(received.refusal(request.method.as_str())) }
}

/// How long the other side is waited for.
struct Wait<'a> {
    context: &'a Context,
    deadline: Instant,
    timeout_ms: u128,
}

impl Wait<'_> {
    async fn on<T>(&self, future: impl Future<Output = T>) -> Result<T, TaskError> {
        tokio::select! {
            biased;
            _ = self.context.stopped() => Err(TaskError::new(Code::Cancelled, "the request was given up")),
            () = sleep_until(self.deadline) => Err(self.timed_out()),
            done = future => Ok(done),
        }
    }

    fn timed_out(&self) -> TaskError {
        TaskError::new(
            Code::HttpFailed,
            format!("no complete answer within {} ms (input.timeout_ms)", self.timeout_ms),
        )
    }
}

async fn follow(
    wait: &Wait<'_>,
    client: &Client,
    request: &Request,
    key: &str,
) -> Result<Response, TaskError> {
    let (mut url, mut method) = (request.url.clone(), request.method.clone());
    let (mut headers, mut body) = (request.headers.clone(), request.body.clone());
    let value = HeaderValue::try_from(key)
        .map_err(|_| TaskError::new(Code::Internal, "the key of the step is no header"))?;
    headers.entry(IDEMPOTENCY_KEY).or_insert(value);
    for _ in 0..=REDIRECTS {
        request.may_call(&url)?;
        let mut builder = client.request(method.clone(), url.clone()).headers(headers.clone());
        if let Some(body) = &body {
            builder = builder.body(body.clone());
        }
        let response = wait.on(builder.send()).await?.map_err(failed)?;
        let Some(next) = redirect(&response, &url)? else { return Ok(response) };
        let status = response.status().as_u16();
        if status == 303 && method != Method::HEAD || matches!(status, 301 | 302) && method == Method::POST {
            method = Method::GET;
            body = None;
            headers.remove(CONTENT_TYPE);
        }
        if next.origin() != url.origin() {
            headers = at_other_origin(&headers);
        }
        url = next;
    }
    Err(TaskError::new(
        Code::HttpStatus,
        format!("more than {REDIRECTS} redirects, the last one to {}", place(&url)),
    ))
}

/// Where an answer sends the request on to.
fn redirect(response: &Response, url: &Url) -> Result<Option<Url>, TaskError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else { return Ok(None) };
    let wrong = |why: &str| {
        TaskError::new(Code::HttpStatus, format!("{} redirects to where it can't: {why}", place(url)))
    };
    let next = location.to_str().ok().and_then(|to| url.join(to).ok()).ok_or_else(|| wrong("not an URL"))?;
    check_url(&next).map_err(|why| wrong(&why))?;
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(wrong("from https to http"));
    }
    Ok(Some(next))
}

fn at_other_origin(headers: &HeaderMap) -> HeaderMap {
    let goes = |name: &HeaderName| ANY_ORIGIN.contains(name) || *name == IDEMPOTENCY_KEY;
    headers.iter().filter(|(name, _)| goes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The origin of an URL, for messages: what follows may be secret.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

async fn receive(wait: &Wait<'_>, mut response: Response) -> Result<Received, TaskError> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut output = Output::new(wait.context, &["body"]);
    let mut body = Vec::new();
    let ended = loop {
        let due = output.due();
        let chunk = tokio::select! {
            chunk = wait.on(response.chunk()) => chunk,
            () = async { match due { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => {
                output.write_due();
                continue;
            }
        };
        match chunk {
            Ok(Ok(Some(chunk))) => {
                // One byte more than can be kept shows that there was more.
                let room = (BODY_BYTES + 1).saturating_sub(body.len());
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                output.push(0, &chunk).await.map_err(crate::step_error)?;
                if output.is_truncated() {
                    break Ok(());
                }
            }
            Ok(Ok(None)) => break Ok(()),
            Ok(Err(error)) => break Err(failed(error)),
            Err(error) => break Err(error),
        }
    };
    output.finish();
    ended?;
    let bytes = output.read(0);
    let is_whole = bytes == body.len() as u64 && !output.is_truncated();
    Ok(Received { status, headers, body, bytes, is_whole })
}

fn failed(error: reqwest::Error) -> TaskError {
    let code = if error.is_builder() { Code::InvalidRequest } else { Code::HttpFailed };
    TaskError::new(code, format!("the request failed: {}", words(&error.without_url())))
}

/// An error with its causes.
pub(super) fn words(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.ends_with(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}
