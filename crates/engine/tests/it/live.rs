//! Followers, and what is kept in memory for them.

use crate::harness::{Harness, TENANT, actor, json, mock};
use everloop_engine::live::{Published, Step, Tails};
use everloop_engine::pipeline::op::Op;
use everloop_types::event::{Event, Head, Payload};
use everloop_types::id::TaskId;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use std::sync::Arc;

fn stream(n: u32) -> StreamName {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    StreamName::Task(TaskId(id))
}

/// An event of a KiB.
fn published(n: u32, seq: u64) -> Published {
    let payload = Payload { salt: [0; 16], data: json(&format!("\"{}\"", "x".repeat(1022))) };
    let event = Event {
        v: 1,
        tenant: TENANT,
        stream: stream(n),
        seq,
        ts: Timestamp::default(),
        kind: "custom.x".into(),
        body_v: 1,
        actor: actor(),
        trace: None,
        data_hash: [0; 32],
        hash: [0; 32],
        payload: Some(payload),
    };
    let head = Head { seq, hash: [0; 32], ts: Timestamp::default() };
    Published { tenant: TENANT, stream: stream(n), head, events: vec![Arc::new(event)], snapshot: None }
}

#[test]
fn ten_thousand_followed_tasks_take_no_more_memory_than_they_may() {
    const LIMIT: usize = 1024 * 1024;
    let tails = Arc::new(Tails::with_limit(LIMIT));
    let places: Vec<_> = (0..10_000).map(|n| tails.subscribe(stream(n))).collect();
    for n in 0..10_000 {
        tails.publish(&[published(n, 1)]);
    }
    let figures = tails.figures(TENANT);
    assert_eq!((figures.streams, figures.waiters), (10_000, 10_000));
    assert!((LIMIT - 2048..=LIMIT).contains(&figures.bytes), "{figures:?}");
    assert_eq!(figures.evicted, 10_000 - figures.events as u64);
    let kept = |n: usize| places[n].last_event().is_some();
    // Those that were written to last are still there.
    assert_eq!(
        (kept(9_999), kept(9_999 - figures.events + 1), kept(9_999 - figures.events)),
        (true, true, false)
    );
    drop(places);
    let figures = tails.figures(TENANT);
    assert_eq!((figures.streams, figures.events, figures.bytes), (0, 0, 0));
}

#[test]
fn what_is_written_to_again_is_kept_longer() {
    let tails = Arc::new(Tails::with_limit(10 * 1024));
    let places: Vec<_> = (0..20).map(|n| tails.subscribe(stream(n))).collect();
    let mut seq = 0;
    for n in 1..20 {
        seq += 1;
        tails.publish(&[published(0, seq), published(n, 1)]);
        if tails.figures(TENANT).evicted > 0 {
            break;
        }
    }
    assert!(places[0].last_event().is_some());
    assert!(places[1].last_event().is_none());
}

#[tokio::test]
async fn a_follower_of_a_task_that_was_deleted_under_it_comes_to_an_end() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    h.complete(worker, &claimed).await;
    let mut follower = h.engine.follow(TENANT, StreamName::Task(task), 0, 3);
    h.engine.ask(Op::Delete { tenant: TENANT, task, actor: actor(), reason: "requested" }).await.unwrap();
    assert!(matches!(follower.next().await.unwrap(), Step::End));
}
