//! Queues, kinds, figures, health, metrics.

use crate::harness::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_counted_paused_and_resumed() {
    let server = Server::start().await;
    server.post("/api/v1/queues/low/pause", &json!({})).await.expect(200);
    let task =
        server.post("/api/v1/tasks?wait=100ms", &json!({"kind": "mock", "queue": "low"})).await.expect(201);
    assert_eq!(task["state"], "queued");
    let queue = server.get("/api/v1/queues/low").await.expect(200);
    assert_eq!((&queue["paused"], &queue["queued"], &queue["workers"]), (&json!(true), &json!(1), &json!(1)));
    assert!(queue["oldest_since"].is_string());
    let all = server.get("/api/v1/queues").await.expect(200);
    let names: Vec<_> =
        all["items"].as_array().unwrap().iter().map(|queue| queue["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["default", "high", "low"]);
    assert_eq!(server.post("/api/v1/queues/low/resume", &json!({})).await.expect(200)["paused"], false);
    server.until(task["id"].as_str().unwrap(), "completed").await;
    assert_eq!(server.get("/api/v1/queues/unused").await.expect(200)["queued"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_and_metrics_agree_with_what_happened() {
    let server = Server::start().await;
    for _ in 0..3 {
        server.done(json!({})).await;
    }
    server.done(json!({"fail": {"class": "validation", "code": "x", "message": "y"}})).await;
    let stats = server.get("/api/v1/stats").await.expect(200);
    assert_eq!(
        (&stats["tasks"]["completed"], &stats["tasks"]["failed"], &stats["total"], &stats["dead_letters"]),
        (&json!(3), &json!(1), &json!(4), &json!(1))
    );
    assert_eq!(stats["workers"], 1);
    assert!(stats["pipeline"]["commits"].as_u64().unwrap() >= 4);
    let metrics = server.get("/metrics").await;
    assert!(metrics.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    let text = metrics.text();
    for line in [
        "everloop_tasks{state=\"completed\"} 3",
        "everloop_tasks{state=\"failed\"} 1",
        "everloop_queue_depth{queue=\"default\"} 0",
        "everloop_http_requests_total{status=\"5xx\"} 0",
        "everloop_http_request_seconds_bucket{le=\"+Inf\"}",
        "# TYPE everloop_commits_total counter",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_says_what_it_is_and_how_it_is() {
    let server = Server::start().await;
    let about = server.get("/api/v1/about").await.expect(200);
    assert_eq!(
        (&about["name"], &about["mode"], &about["store"], &about["worker_protocol"]),
        (&json!("everloop"), &json!("dev"), &json!("memory"), &json!(1))
    );
    let health = server.get("/health").await.expect(200);
    assert_eq!(health["checks"], json!({"database": "ok", "pipeline": "ok"}));
    let head = server.call("HEAD", "/health", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let kinds = server.get("/api/v1/kinds").await.expect(200);
    assert_eq!((&kinds["items"][0]["name"], &kinds["items"][0]["workers"]), (&json!("mock"), &json!(1)));
    assert_eq!(server.get("/api/v1/kinds/mock").await.expect(200)["versions"], json!([1]));
    let worker = server.get("/api/v1/workers").await.expect(200)["items"][0].clone();
    server
        .call("DELETE", &format!("/api/v1/workers/{}", worker["id"].as_str().unwrap()), &[], b"")
        .await
        .problem(409, "illegal_transition");
    server.clock.advance(std::time::Duration::from_secs(91));
    let offline =
        server.get(&format!("/api/v1/workers/{}", worker["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(offline["status"], "offline");
}
