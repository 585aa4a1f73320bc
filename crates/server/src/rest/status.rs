//! The inbox, figures, health, metrics, public keys.

use super::paging;
use crate::answer::{Answer, json, ok, raw};
use crate::call::Call;
use crate::route::Route;
use crate::views;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use everloop_api::page::Page;
use everloop_api::system::{AboutView, HealthView, InboxItem, StatsView};
use std::collections::BTreeMap;

/// The routes of these nouns.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/inbox", ("inbox", "inbox", "List everything that waits for a person"), inbox)
            .paged()
            .gives::<Page<InboxItem>>(200, "Oldest task first. The items of a task stay together on a page."),
        Route::get("/stats", ("server", "stats", "Get figures"), stats).gives::<StatsView>(200, "Figures."),
        Route::get("/about", ("server", "about", "Get what this server is"), about)
            .gives::<AboutView>(200, "It."),
        Route::get("/health", ("server", "health", "Ask whether everything works"), health)
            .at_root()
            .gives::<HealthView>(200, "Everything works.")
            .gives::<HealthView>(503, "Something does not."),
        Route::get("/health/live", ("server", "health_live", "Ask whether the process lives"), live)
            .at_root()
            .gives::<HealthView>(200, "It does."),
        Route::get("/health/ready", ("server", "health_ready", "Ask whether requests are taken"), health)
            .at_root()
            .gives::<HealthView>(200, "They are.")
            .gives::<HealthView>(503, "They are not."),
        Route::get("/metrics", ("server", "metrics", "Get metrics for Prometheus"), metrics)
            .at_root()
            .gives_raw(200, "text/plain", "The text format 0.0.4."),
        Route::get(
            "/.well-known/jwks.json",
            ("server", "jwks", "Get the public keys that sign receipts"),
            jwks,
        )
        .at_root()
        .gives_raw(200, "application/jwk-set+json", "A JWKS (RFC 7517)."),
    ]
}

async fn inbox(mut call: Call) -> Answer {
    let paging = paging(&mut call.query);
    call.no_more_query()?;
    let (items, next_cursor) = call.control().inbox(&call.caller, paging).await?;
    ok(&Page { items: items.into_iter().map(views::inbox).collect(), next_cursor, total: None })
}

async fn stats(mut call: Call) -> Answer {
    call.no_more_query()?;
    ok(&views::stats(&call.control().stats(&call.caller).await?))
}

async fn about(mut call: Call) -> Answer {
    call.no_more_query()?;
    let (about, options) = (call.control().about(), call.control().options());
    ok(&AboutView {
        name: "everloop".to_owned(),
        version: options.version.clone(),
        mode: options.mode.as_str().to_owned(),
        store: options.store.clone(),
        installation: about.installation,
        epoch: about.epoch,
        incarnation: about.incarnation,
        signing_key: about.signing_key,
        started_at: call.control().started_at(),
        worker_protocol: everloop_api::worker::PROTOCOL,
    })
}

async fn health(mut call: Call) -> Answer {
    call.no_more_query()?;
    let health = call.control().health().await;
    let word = |wrong: Option<String>| wrong.unwrap_or_else(|| "ok".to_owned());
    let status = match (health.is_ok(), health.stopping) {
        (true, _) => "ok",
        (false, true) => "stopping",
        (false, false) => "degraded",
    };
    let code = if health.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let checks = [("database", word(health.database)), ("pipeline", word(health.pipeline))];
    let view = HealthView {
        status: status.to_owned(),
        checks: checks.into_iter().map(|(name, found)| (name.to_owned(), found)).collect(),
        version: call.control().options().version.clone(),
    };
    json(code, &view)
}

async fn live(mut call: Call) -> Answer {
    call.no_more_query()?;
    ok(&HealthView {
        status: "ok".to_owned(),
        checks: BTreeMap::new(),
        version: call.control().options().version.clone(),
    })
}

async fn metrics(mut call: Call) -> Answer {
    call.no_more_query()?;
    let stats = call.control().stats(&call.caller).await?;
    let queues = call.control().queues(&call.caller).await?;
    let text = call.app.metrics.text(&stats, &queues);
    Ok(raw(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
}

async fn jwks(mut call: Call) -> Answer {
    call.no_more_query()?;
    let mut response = raw(StatusCode::OK, "application/jwk-set+json", call.control().jwks().await?);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
