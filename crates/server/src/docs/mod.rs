//! The OpenAPI document, and a page that shows it.

mod openapi;
mod page;
mod yaml;

use crate::answer::{Answer, raw};
use crate::call::Call;
use crate::route::Route;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use everloop_types::id::RequestId;
use std::sync::LazyLock;

static JSON: LazyLock<String> = LazyLock::new(|| {
    let mut text =
        serde_json::to_string_pretty(&openapi::document(&crate::routes::table())).unwrap_or_default();
    text.push('\n');
    text
});
static YAML: LazyLock<String> = LazyLock::new(|| yaml::write(&openapi::document(&crate::routes::table())));

/// The document as JSON.
pub(crate) fn json() -> String {
    JSON.clone()
}

/// The routes of this face.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/openapi.json", ("docs", "openapi_json", "Get this document"), as_json).gives_raw(
            200,
            "application/json",
            "OpenAPI 3.1.",
        ),
        Route::get("/openapi.yaml", ("docs", "openapi_yaml", "Get this document as YAML"), as_yaml)
            .gives_raw(200, "application/yaml", "OpenAPI 3.1."),
        Route::get("/docs", ("docs", "docs", "Read this document and try it"), show).gives_raw(
            200,
            "text/html",
            "A page that needs nothing from elsewhere.",
        ),
    ]
}

async fn as_json(mut call: Call) -> Answer {
    call.no_more_query()?;
    Ok(raw(StatusCode::OK, "application/json", JSON.as_str()))
}

async fn as_yaml(mut call: Call) -> Answer {
    call.no_more_query()?;
    Ok(raw(StatusCode::OK, "application/yaml", YAML.as_str()))
}

async fn show(mut call: Call) -> Answer {
    call.no_more_query()?;
    let nonce = RequestId(call.control().new_id()).to_string();
    let (html, policy) = page::page(&nonce);
    let mut response = raw(StatusCode::OK, "text/html; charset=utf-8", html);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}
