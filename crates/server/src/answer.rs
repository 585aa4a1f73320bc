//! Answers, and refusals on their way out.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response as HttpResponse, StatusCode};
use axum::response::{IntoResponse, Response};
use everloop_api::problem;
use everloop_types::error::{Code, Refusal};
use serde::Serialize;

/// A refusal that a handler gives. [`crate::app`] makes a problem of it, which needs the request's id.
#[derive(Debug)]
pub(crate) struct Fail(pub(crate) Refusal);

/// What handlers give.
pub(crate) type Answer = Result<Response, Fail>;

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

/// A refusal that travels in a response.
#[derive(Clone, Debug)]
pub(crate) struct Refused(pub(crate) Refusal);

/// The HTTP status of a refusal.
pub(crate) fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(problem::status(code)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl IntoResponse for Fail {
    fn into_response(self) -> Response {
        let mut response = HttpResponse::new(Body::empty());
        *response.status_mut() = status(self.0.code);
        response.extensions_mut().insert(Refused(self.0));
        response
    }
}

/// A JSON answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let text = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer can't be written as JSON");
        Refusal::new(Code::Internal, "the answer can't be written as JSON")
    })?;
    Ok(raw(status, "application/json", text))
}

/// `200` with JSON.
pub(crate) fn ok<T: Serialize>(value: &T) -> Answer {
    json(StatusCode::OK, value)
}

/// An answer of any media type.
pub(crate) fn raw(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = HttpResponse::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = HttpResponse::new(Body::empty());
    *response.status_mut() = status;
    response
}
