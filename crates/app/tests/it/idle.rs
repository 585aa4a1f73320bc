//! A server with nothing to do.
#![expect(clippy::disallowed_methods, reason = "the tests look at the process")]

use crate::harness::{Place, Server, eventually};
use everloop_types::time::Timestamp;
use serde_json::Value;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

fn get(server: &Server, path: &str) -> String {
    let mut wire = std::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(wire, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn figure(server: &Server, name: &str) -> u64 {
    let text = get(server, "/metrics");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().parse().unwrap()
}

/// Time that the processors have given to the threads of a server that live.
fn used(server: &Server) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let of = |thread: std::io::Result<std::fs::DirEntry>| {
        // A thread may have ended since.
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.filter_map(of).sum())
}

#[test]
fn an_idle_server_hardly_works_and_picks_a_task_up_at_once() {
    let place = Place::new();
    let server = place.server(&[]);
    place.run(&["task", "start", "mock", "--wait", "30s"]).ok();
    let commits = || figure(&server, "everloop_commits_total");
    let mut last = None;
    eventually("quiet", || {
        let (before, now) = (last.replace(commits()), commits());
        std::thread::sleep(Duration::from_millis(200));
        (before == Some(now)).then_some(())
    });
    let (before, worked, start) = (commits(), used(&server), Instant::now());
    // Idleness can't be waited for. The bounds are far from what is used, and far from a loop that does not sleep.
    std::thread::sleep(Duration::from_secs(3));
    let (worked, took) = (used(&server) - worked, start.elapsed());
    assert!(worked < took / 10, "{worked:?} of {took:?}");
    // A heartbeat of its worker may fall into the time.
    assert!(commits() <= before + 1);
    for _ in 0..10 {
        let task = place.run(&["task", "start", "mock", "--wait", "30s", "--json"]).json();
        let attempts: Value = serde_json::from_str(&get(
            &server,
            &format!("/api/v1/tasks/{}/attempts", task["id"].as_str().unwrap()),
        ))
        .unwrap();
        let at = |name: &str| Timestamp::parse(attempts["items"][0][name].as_str().unwrap()).unwrap();
        // The poll that stands behind every lost wake-up.
        assert!(at("started_at").since(at("queued_at")) < Duration::from_secs(1), "{attempts}");
    }
    let task = place.run(&["task", "start", "mock", "--input", r#"{"steps":[{"duration_ms":600000}]}"#]).ok();
    let age = eventually("the attempt", || {
        let attempts: Value =
            serde_json::from_str(&get(&server, &format!("/api/v1/tasks/{task}/attempts"))).unwrap();
        attempts["items"][0]["heartbeat_age_ms"].as_u64()
    });
    assert!(age < 30_000, "{age}");
}
