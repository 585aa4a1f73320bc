//! Stopping, and what does not move.

use crate::harness::{Server, options};
use crate::http::Wire;
use everloop_control::Options as ControlOptions;
use everloop_server::Options;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_tells_followers_why_and_ends() {
    let mut server = Server::start().await;
    let id = server.submit(json!({"hold": true})).await;
    server.until(&id, "running").await;
    let mut stream = server.follow(&format!("/api/v1/tasks/{id}/events"), &[]).await;
    let mut feed = server.follow("/api/v1/events", &[]).await;
    assert_eq!(stream.event().await.unwrap().1, "task.submitted");
    feed.event().await.unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    for stream in [&mut stream, &mut feed] {
        let mut last = None;
        while let Some(block) = stream.next().await {
            last = Some(block);
        }
        assert!(last.unwrap().comment.unwrap().contains("stopping"));
    }
    tokio::time::timeout(Duration::from_secs(5), server.served.take().unwrap()).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
    assert!(server.control.is_stopping());
}

/// Workers that wait for tasks and signals do not keep a server from stopping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_answers_workers_that_wait() {
    let mut server = Server::start_idle().await;
    let spec = json!({"kinds": [{"kind": "far", "versions": [1]}], "max_concurrent_tasks": 1, "name": "far", "protocol": 1});
    let worker = server.post("/api/v1/workers", &spec).await.expect(201)["id"].as_str().unwrap().to_owned();
    let json = [("content-type", "application/json")];
    let claim = crate::http::request(
        "POST",
        &format!("/api/v1/workers/{worker}/claim?wait=60s"),
        &json,
        br#"{"max":1,"request":1}"#,
    );
    let signals =
        crate::http::request("GET", &format!("/api/v1/workers/{worker}/signals?wait=60s"), &[], b"");
    let mut waiting = Vec::new();
    for request in [claim, signals] {
        let mut wire = Wire::open(server.address).await;
        wire.send(&request).await;
        waiting.push(wire);
    }
    // They were read before these are answered.
    for _ in 0..50 {
        server.get("/health").await.expect(200);
    }
    server.stop.take().unwrap().send(()).unwrap();
    for (wire, name) in waiting.iter_mut().zip(["assignments", "signals"]) {
        let answer = tokio::time::timeout(Duration::from_secs(5), wire.answer(false)).await.unwrap();
        assert_eq!(answer.expect(200)[name], json!([]));
    }
    tokio::time::timeout(Duration::from_secs(5), server.served.take().unwrap()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_head_never_ends_is_cut_off() {
    let options = Options { header_timeout: Duration::from_millis(100), ..options() };
    let server = Server::start_with(options, ControlOptions::default(), false).await;
    for bytes in [&b""[..], b"GET / HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "] {
        let mut wire = Wire::open(server.address).await;
        wire.send(bytes).await;
        while wire.fill().await {}
        assert!(wire.ended);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_above_the_limit_are_turned_away() {
    let options = Options { max_connections: 4, ..options() };
    let server = Server::start_with(options, ControlOptions::default(), false).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::open(server.address).await;
        wire.send(&crate::http::request("GET", "/health", &[], b"")).await;
        wire.answer(false).await.expect(200);
        held.push(wire);
    }
    let mut fifth = Wire::open(server.address).await;
    assert!(!fifth.fill().await, "closed at once");
    held.clear();
    for _ in 0..200 {
        let mut wire = Wire::open(server.address).await;
        wire.send(&crate::http::request("GET", "/metrics", &[], b"")).await;
        if wire.fill().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the places were not given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_takes_nothing_is_given_up() {
    let options = Options { write_timeout: Duration::from_millis(300), ..options() };
    let server = Server::start_with(options, ControlOptions::default(), true).await;
    // Together more than the buffers of both sides hold.
    let mut slow = Vec::new();
    for i in 0..8 {
        let body = json!({"kind": "mock", "input": {"steps": [{"name": "a", "events": 5000}], "result": i}});
        let task = server.post("/api/v1/tasks?wait=20s", &body).await.expect(201);
        let mut wire = Wire::open(server.address).await;
        for _ in 0..8 {
            wire.send(&crate::http::request(
                "GET",
                &format!("/api/v1/tasks/{}/export", task["id"].as_str().unwrap()),
                &[],
                b"",
            ))
            .await;
        }
        slow.push(wire);
    }
    for _ in 0..500 {
        let metrics = server.get("/metrics").await.text();
        if metrics.contains("\neverloop_connections 1\n") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("slow connections are still there");
}
