//! Who is let in.

use crate::harness::{Server, options};
use everloop_control::{Mode, Options as ControlOptions};
use everloop_server::Options;
use serde_json::json;

/// SHA-256 of `evl_test`.
fn key_hash() -> [u8; 32] {
    everloop_control::testing::sha256(b"evl_test")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_dev_mode_only_names_of_the_loopback_may_ask() {
    let options = Options { allowed_hosts: vec!["box.local".to_owned()], ..options() };
    let server = Server::start_with(options, ControlOptions::default(), false).await;
    for host in
        ["localhost", "localhost:7420", "127.0.0.1", "127.0.0.1:1", "[::1]:7420", "[::1]", "box.local:80"]
    {
        server.call("GET", "/api/v1/about", &[("Host", host)], b"").await.expect(200);
        let origin = format!("http://{host}");
        server.call("GET", "/api/v1/about", &[("Origin", &origin)], b"").await.expect(200);
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.2", "[::2]", "", "localhost@evil.example"]
    {
        server.call("GET", "/health", &[("Host", host)], b"").await.problem(403, "forbidden");
        let origin = format!("https://{host}");
        server.call("POST", "/api/v1/tasks", &[("Origin", &origin)], b"{}").await.problem(403, "forbidden");
    }
    server.call("GET", "/api/v1/about", &[("Origin", "null")], b"").await.problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_serve_mode_everything_but_health_and_public_keys_asks_for_the_key() {
    let control =
        ControlOptions { mode: Mode::Serve, key_hashes: vec![key_hash()], ..ControlOptions::default() };
    // The harness itself has no key: no worker, and nothing is registered.
    let server = Server::bare(options(), control).await;
    for path in ["/api/v1/about", "/api/v1/tasks", "/metrics", "/api/v1/docs", "/nothing"] {
        let answer = server.get(path).await;
        answer.problem(401, "unauthorized");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        for wrong in ["Bearer evl_tesT", "Bearer ", "Basic evl_test", "evl_test", "Bearer evl_test x"] {
            server.call("GET", path, &[("Authorization", wrong)], b"").await.problem(401, "unauthorized");
        }
    }
    for path in ["/health", "/health/live", "/health/ready", "/.well-known/jwks.json"] {
        server.get(path).await.expect(200);
    }
    for good in ["Bearer evl_test", "bearer evl_test"] {
        let headers = [("Authorization", good), ("Host", "anything.example")];
        assert_eq!(server.call("GET", "/api/v1/about", &headers, b"").await.expect(200)["mode"], "serve");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_its_id_and_the_headers_that_keep_browsers_out() {
    let server = Server::start_idle().await;
    for path in ["/api/v1/about", "/nothing", "/metrics"] {
        let answer = server.get(path).await;
        assert!(answer.headers["x-request-id"].starts_with("req_"));
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["x-frame-options"], "DENY");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.headers["content-security-policy"].contains("default-src 'none'"));
    }
    let named = server.call("GET", "/nothing", &[("X-Request-Id", "mine-1")], b"").await;
    assert_eq!(
        (named.headers["x-request-id"].as_str(), &named.problem(404, "not_found")["request_id"]),
        ("mine-1", &json!("mine-1"))
    );
    let odd = server.call("GET", "/nothing", &[("X-Request-Id", "a b<script>")], b"").await;
    assert!(odd.headers["x-request-id"].starts_with("req_"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_too_large_or_malformed_are_refused() {
    let server = Server::start_idle().await;
    let many: Vec<(String, String)> = (0..150).map(|i| (format!("X-{i}"), "v".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let long = "x".repeat(300 * 1024);
    for bytes in [
        crate::http::request("GET", "/health", &many, b""),
        crate::http::request("GET", "/health", &[("X-Long", &long)], b""),
        b"nonsense\r\n\r\n".to_vec(),
    ] {
        let mut wire = crate::http::Wire::open(server.address).await;
        // It may be cut off before all of it is sent.
        let _ = wire.try_send(&bytes).await;
        while wire.fill().await {}
        let text = String::from_utf8_lossy(&wire.buffer).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    server.get("/health").await.expect(200);
}
