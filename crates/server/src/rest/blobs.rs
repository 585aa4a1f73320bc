//! Blobs.

use crate::answer::{Answer, json};
use crate::call::Call;
use crate::route::Route;
use crate::views;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderValue, LOCATION};
use axum::http::{Response, StatusCode};
use everloop_api::system::BlobView;
use everloop_types::error::Code;
use everloop_types::limits;

/// The routes of this noun.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/blobs", ("blobs", "put_blob", "Keep bytes that are too large for an input"), put)
            .raw_body()
            .header("Content-Type", "What the bytes are.")
            .gives::<BlobView>(201, "Send this in place of the value. Equal bytes have one id.")
            .refuses(&[Code::TooLarge]),
        Route::get("/blobs/{blob}", ("blobs", "get_blob", "Get the bytes of a blob"), get)
            .gives_raw(200, "*/*", "The bytes, with the media type that they were put with.")
            .refuses(&[Code::NotFound]),
    ]
}

async fn put(mut call: Call) -> Answer {
    call.no_more_query()?;
    let media_type = call.header(CONTENT_TYPE.as_str())?.unwrap_or("application/octet-stream").to_owned();
    let limit = usize::try_from(limits::BLOB_BYTES).unwrap_or(usize::MAX);
    let bytes = call.bytes(limit).await?;
    let view = views::blob(call.control().blob_put(&call.caller, media_type, bytes.into()).await?);
    let mut response = json(StatusCode::CREATED, &view)?;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/blobs/{}", everloop_api::BASE, view.blob.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn get(mut call: Call) -> Answer {
    call.no_more_query()?;
    let (name, bytes) = call.control().blob_get(&call.caller, call.part("blob")).await?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_str(&name.media_type);
    headers.insert(CONTENT_TYPE, media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    // Whatever it claims to be, no browser shall show it as a page of ours.
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600, immutable"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", name.id)) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}
