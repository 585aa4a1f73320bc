//! Claims and leases: who holds a task, for how long, and what becomes of it when it is lost.

use crate::harness::{Harness, TENANT, code, failed, memory, mock, step, transient};
use everloop_engine::pipeline::op::Wish;
use everloop_types::error::Code;
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::task::Concurrency;
use everloop_worker::source::{AttemptEnd, Signal, WorkSource};
use std::time::Duration;

#[tokio::test]
async fn an_old_lease_changes_nothing_and_a_repeated_batch_is_written_once() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let first = h.claim(worker, 1).await.unwrap();
    h.write(worker, &first, 1, vec![step("a#1")], None).await.unwrap();
    h.write(worker, &first, 1, vec![step("a#1")], None).await.unwrap();
    assert_eq!(code(h.write(worker, &first, 3, vec![step("b#1")], None).await), Code::InvalidRequest);
    h.pass(limits::LEASE + Duration::from_secs(1)).await;
    h.reaches(task, State::Queued).await;
    assert_eq!(code(h.write(worker, &first, 2, vec![step("b#1")], None).await), Code::LeaseLost);
    let second = h.claim(worker, 2).await.unwrap();
    assert_eq!((second.attempt, second.journal.len()), (2, 1));
    assert_eq!(code(h.write(worker, &first, 2, Vec::new(), failed(transient())).await), Code::LeaseLost);
    h.complete(worker, &second).await;
    let kinds = [
        "task.submitted",
        "task.started",
        "step.completed",
        "task.lease_lost",
        "task.started",
        "task.completed",
    ];
    assert_eq!(h.kinds(task), kinds);
}

#[tokio::test]
async fn a_lease_that_is_renewed_is_not_lost_and_wall_clock_jumps_do_not_matter() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    for _ in 0..4 {
        h.pass(limits::LEASE / 2).await;
        assert!(h.source.renew(worker, vec![(task, claimed.lease)]).await.unwrap().is_empty());
    }
    h.clock.set_wall(h.engine.now().plus(Duration::from_secs(86_400)));
    h.pass(Duration::ZERO).await;
    h.clock.set_wall(h.engine.now().minus(Duration::from_secs(86_400 * 2)));
    h.pass(Duration::ZERO).await;
    h.complete(worker, &claimed).await;
    assert_eq!(h.state(task).await, State::Completed);
}

#[tokio::test]
async fn five_lost_attempts_without_a_step_poison_a_task_and_a_step_starts_the_count_anew() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    for attempt in 1..=9_u32 {
        let claimed = h.claim(worker, attempt.into()).await.unwrap();
        assert_eq!(claimed.attempt, attempt);
        if attempt == 5 {
            h.write(worker, &claimed, 1, vec![step("a#1")], None).await.unwrap();
        }
        h.pass(limits::LEASE + Duration::from_secs(1)).await;
    }
    let record = h.engine.snapshot(TENANT, task).await.unwrap().task.clone();
    assert_eq!(record.state, State::Failed);
    assert_eq!((record.error.as_ref().unwrap().code.as_str(), record.lost_total), ("poisoned", 9));
}

#[tokio::test]
async fn no_more_than_the_cap_of_a_concurrency_key_run() {
    let h = Harness::new();
    let worker = h.worker(5).await;
    for _ in 0..3 {
        let mut spec = mock();
        spec.policy.concurrency = Some(Concurrency { key: "printer".to_owned(), limit: 1 });
        h.submit(spec).await.unwrap();
    }
    let first = h.claim(worker, 1).await.unwrap();
    assert!(h.claim(worker, 2).await.is_none());
    h.complete(worker, &first).await;
    let second = h.claim(worker, 3).await.unwrap();
    assert_ne!(first.task, second.task);
}

#[tokio::test]
async fn repeating_a_claim_gives_the_same_tasks() {
    let h = Harness::new();
    let worker = h.worker(5).await;
    h.submit(mock()).await.unwrap();
    h.submit(mock()).await.unwrap();
    let first = h.claim(worker, 7).await.unwrap();
    let again = h.claim(worker, 7).await.unwrap();
    assert_eq!((first.task, first.lease), (again.task, again.lease));
    assert_ne!(h.claim(worker, 8).await.unwrap().task, first.task);
}

#[tokio::test]
async fn a_worker_elsewhere_goes_on_after_the_server_was_started_again() {
    let store = memory();
    let h = Harness::over(store.clone(), 256);
    let worker = h.worker(2).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    drop(h);
    let h = Harness::over(store.clone(), 256);
    assert!(h.source.renew(worker, vec![(task, claimed.lease)]).await.unwrap().is_empty());
    h.submit(mock()).await.unwrap();
    let other = h.claim(worker, 2).await.unwrap();
    assert_ne!(other.task, task);
    h.wish(task, Wish::Cancel { reason: None }).await.unwrap();
    let heard = h.source.signals(worker, Duration::from_secs(5)).await.unwrap();
    assert_eq!(heard[0].task, task);
    drop(h);
    // The word may not have reached the worker: a later run of the server tells it again.
    let h = Harness::over(store, 256);
    h.source.renew(worker, vec![(task, claimed.lease)]).await.unwrap();
    let again = h.source.signals(worker, Duration::ZERO).await.unwrap();
    assert!(again.is_empty(), "a mailbox that is not open yet keeps nothing");
    h.source.renew(worker, vec![(task, claimed.lease)]).await.unwrap();
    let again = h.source.signals(worker, Duration::from_secs(5)).await.unwrap();
    assert!(matches!(again[0].signal, Signal::Cancel { .. }), "{again:?}");
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Cancelled)).await.unwrap();
    assert_eq!(h.state(task).await, State::Cancelled);
}

#[tokio::test]
async fn tasks_that_were_claimed_for_a_request_that_had_ended_go_to_the_next_one() {
    let h = Harness::new();
    let worker = h.worker(4).await;
    for request in 0..50 {
        // A request is given up at once, while a task comes in: one of the two requests gets it.
        let (first, submitted) =
            tokio::join!(h.source.claim(worker, 1, Duration::ZERO, 2 * request + 1), h.submit(mock()));
        let claimed = match first.unwrap().pop() {
            Some(claimed) => claimed,
            None => h.claim(worker, 2 * request + 2).await.unwrap(),
        };
        assert_eq!(claimed.task, submitted.unwrap().task.id);
        h.complete(worker, &claimed).await;
    }
}
