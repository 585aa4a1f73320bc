//! Followers that are slow: what they cost, and how it is seen.

use crate::harness::{Server, Sse};
use crate::http::{Wire, request};
use crate::protocol::{Worker, submit};
use serde_json::{Value, json};

/// A figure of `/metrics`.
async fn figure(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
}

async fn until(server: &Server, name: &str, holds: impl Fn(u64) -> bool) -> u64 {
    for _ in 0..2_000 {
        let value = figure(server, name).await;
        if holds(value) {
            return value;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{name} is {}", figure(server, name).await);
}

/// A task that a worker holds, and the number of its next batch.
struct Held<'a> {
    worker: &'a Worker<'a>,
    id: String,
    assignment: Value,
    batch: u64,
}

impl<'a> Held<'a> {
    async fn claim(server: &Server, worker: &'a Worker<'a>, request: u64) -> Self {
        let id = submit(server, json!(null)).await;
        Self { worker, id, assignment: worker.claim(request).await["assignments"][0].clone(), batch: 0 }
    }

    /// Writes so many events of so many KiB.
    async fn write(&mut self, events: usize, kib: usize) {
        self.batch += 1;
        let event = json!({"type": "custom.big", "data": "x".repeat(kib * 1024)});
        let body = json!({"batch": self.batch, "events": vec![event; events]});
        self.worker.send(&self.assignment, "events", body).await.expect(204);
    }

    async fn finish(&mut self) {
        self.batch += 1;
        let body = json!({"batch": self.batch, "result": null});
        self.worker.send(&self.assignment, "finish", body).await.expect(204);
    }

    /// Follows it without taking anything but what the buffers of a connection hold.
    async fn stalled(&self, server: &Server) -> Wire {
        let mut wire = Wire::open(server.address).await;
        let path = format!("/api/v1/tasks/{}/events", self.id);
        wire.send(&request("GET", &path, &[("Accept", "text/event-stream")], b"")).await;
        wire
    }
}

async fn numbers(wire: Wire) -> Vec<String> {
    Sse::open(wire).await.rest().await.into_iter().map(|(id, _)| id).collect()
}

fn upto(last: u64) -> Vec<String> {
    (1..=last).map(|seq| seq.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_stops_is_seen_to_fall_behind_and_to_catch_up() {
    let server = Server::start_idle().await;
    let worker = Worker::register(&server, "one").await;
    let mut held = Held::claim(&server, &worker, 1).await;
    let stalled = held.stalled(&server).await;
    let mut feed = server.follow("/api/v1/events?types=task.completed", &[]).await;
    until(&server, "everloop_followers", |followers| followers == 1).await;
    until(&server, "everloop_follower_lag_events", |lag| lag == 0).await;
    let mut before = 0;
    for _ in 0..3 {
        // More than the buffers of both sides hold.
        for _ in 0..10 {
            held.write(5, 200).await;
        }
        let lag = until(&server, "everloop_follower_lag_events_max", |lag| lag > before).await;
        assert_eq!(figure(&server, "everloop_follower_lag_events").await, lag);
        before = lag;
    }
    assert!(before >= 100, "{before}");
    let sent = figure(&server, "everloop_streamed_events_total").await;
    held.finish().await;
    assert_eq!(numbers(stalled).await, upto(153));
    assert_eq!(feed.event().await.unwrap().1, "task.completed");
    until(&server, "everloop_follower_lag_events_max", |lag| lag == 0).await;
    assert!(figure(&server, "everloop_streamed_events_total").await > sent);
    // The reader of many streams stands where the last event is.
    assert_eq!(figure(&server, "everloop_feeds").await, 1);
    let last = figure(&server, "everloop_position").await;
    until(&server, "everloop_feed_position_min", |position| position == last).await;
    drop(feed);
    until(&server, "everloop_feeds", |feeds| feeds == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_for_followers_is_bounded_and_what_was_dropped_comes_from_the_database() {
    const LIMIT: u64 = 32 * 1024 * 1024;
    let server = Server::start_idle().await;
    let worker = Worker::register(&server, "one").await;
    let mut tasks = Vec::new();
    for request in 1..=4 {
        let held = Held::claim(&server, &worker, request).await;
        tasks.push((held.stalled(&server).await, held));
    }
    until(&server, "everloop_followers", |followers| followers == 4).await;
    let mut most = 0;
    // Twelve MB each.
    for _ in 0..6 {
        for (_, held) in &mut tasks {
            held.write(10, 200).await;
            most = most.max(figure(&server, "everloop_followed_bytes").await);
        }
    }
    assert!((LIMIT * 3 / 4..=LIMIT).contains(&most), "{most}");
    assert!(figure(&server, "everloop_followed_evictions_total").await >= 1);
    let reads = figure(&server, "everloop_follower_reads_total").await;
    for (stalled, mut held) in tasks {
        held.finish().await;
        assert_eq!(numbers(stalled).await, upto(63));
    }
    assert!(figure(&server, "everloop_follower_reads_total").await > reads);
    until(&server, "everloop_followed_bytes", |bytes| bytes == 0).await;
}
