//! Every way of a task, with a worker that does what the test says.

use crate::harness::{Harness, TENANT, actor, failed, json, memory, mock, step, transient};
use everloop_engine::pipeline::op::{Op, Wish};
use everloop_journal::chain::Verifier;
use everloop_types::error::{Code, TaskError};
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::PauseReason;
use everloop_worker::source::{AttemptEnd, Signal, WorkSource};
use std::time::Duration;

#[tokio::test]
async fn a_task_is_submitted_claimed_stepped_and_completed() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    assert_eq!((claimed.task, claimed.attempt, claimed.journal.len()), (task, 1, 0));
    let end = AttemptEnd::Completed { result: json("[1]") };
    h.write(worker, &claimed, 1, vec![step("a#1")], Some(end)).await.unwrap();
    assert_eq!(h.kinds(task), ["task.submitted", "task.started", "step.completed", "task.completed"]);
    let row = h.engine.read(move |store| store.task(TENANT, task)).await.unwrap().unwrap();
    assert_eq!((row.task.state, row.task.steps, row.head.seq), (State::Completed, 1, 4));
    let claims = everloop_journal::receipt::claims_of(h.events(task).last().unwrap(), "mock").unwrap();
    let signature = row.signature.unwrap();
    let jws = everloop_journal::receipt::assemble(&signature.kid, &claims, &signature.bytes);
    let keys = everloop_journal::keys::Jwks::new(vec![h.engine.signing_key().public().clone()]);
    assert_eq!(
        everloop_journal::receipt::verify::<everloop_types::receipt::ReceiptClaims>(&jws, &keys).unwrap(),
        claims
    );
}

#[tokio::test]
async fn the_same_key_gives_the_same_task_and_another_request_is_a_conflict() {
    let h = Harness::new();
    let first = h.submit_with(mock(), Some(("order-1", 1))).await.unwrap();
    let again = h.submit_with(mock(), Some(("order-1", 1))).await.unwrap();
    assert_eq!(first.task.id, again.task.id);
    assert_eq!(
        h.submit_with(mock(), Some(("order-1", 2))).await.unwrap_err().code,
        Code::IdempotencyConflict
    );
    assert_eq!(h.kinds(first.task.id), ["task.submitted"]);
}

#[tokio::test]
async fn transient_failures_are_tried_again_and_others_are_not() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    for try_number in 1..=3 {
        let claimed = h.claim(worker, try_number).await.unwrap();
        h.write(worker, &claimed, 1, Vec::new(), failed(transient())).await.unwrap();
        h.clock.advance(Duration::from_secs(60));
        let then = if try_number < 3 { State::Queued } else { State::Failed };
        h.reaches(task, then).await;
    }
    let record = h.engine.snapshot(TENANT, task).await.unwrap().task.clone();
    assert_eq!((record.tries, record.attempt, record.error.as_ref().unwrap().code.as_str()), (3, 3, "flaky"));
    let wrong = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 9).await.unwrap();
    let error = TaskError::new(Code::ExitStatus, "exit status 1");
    h.write(worker, &claimed, 1, Vec::new(), failed(error)).await.unwrap();
    assert_eq!(h.state(wrong).await, State::Failed);
}

#[tokio::test]
async fn pausing_resuming_and_cancelling_reach_the_worker() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let heard = async || h.source.signals(worker, Duration::from_secs(5)).await.unwrap().remove(0).signal;
    assert_eq!(h.wish(task, Wish::Pause { reason: None }).await, Ok(State::Pausing));
    assert_eq!(heard().await, Signal::Pause);
    assert_eq!(h.wish(task, Wish::Pause { reason: None }).await, Ok(State::Pausing));
    assert_eq!(h.wish(task, Wish::Resume).await, Ok(State::Running));
    assert_eq!(heard().await, Signal::Resume);
    h.wish(task, Wish::Pause { reason: None }).await.unwrap();
    let reason = PauseReason { by: String::new(), details: None, reason: "requested".to_owned() };
    h.write(worker, &claimed, 1, vec![step("a#1")], Some(AttemptEnd::Paused { reason })).await.unwrap();
    assert_eq!(h.state(task).await, State::Paused);
    assert!(h.claim(worker, 2).await.is_none());
    assert_eq!(h.wish(task, Wish::Resume).await, Ok(State::Queued));
    let claimed = h.claim(worker, 3).await.unwrap();
    assert_eq!(h.wish(task, Wish::Cancel { reason: None }).await, Ok(State::Cancelling));
    assert_eq!(h.wish(task, Wish::Resume).await.unwrap_err().code, Code::IllegalTransition);
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Cancelled)).await.unwrap();
    assert_eq!(h.state(task).await, State::Cancelled);
    assert_eq!(h.wish(task, Wish::Cancel { reason: None }).await, Ok(State::Cancelled));
    let done = h.kinds(task);
    assert_eq!(done.last().unwrap(), "task.cancelled");
}

#[tokio::test]
async fn continue_as_ends_a_task_into_a_new_one() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let end = AttemptEnd::ContinuedAs { input: json("{\"page\":2}") };
    h.write(worker, &claimed, 1, Vec::new(), Some(end)).await.unwrap();
    let next = h.engine.snapshot(TENANT, task).await.unwrap().task.continued_as.unwrap();
    let claimed = h.claim(worker, 2).await.unwrap();
    assert_eq!(claimed.task, next);
    assert_eq!(claimed.spec.input.unwrap().as_str(), "{\"page\":2}");
}

#[tokio::test]
async fn finished_tasks_are_dropped_when_they_are_old_and_the_audit_stream_says_so() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let live = h.submit_with(mock(), Some(("live", 1))).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let delete = |reason| Op::Delete { tenant: TENANT, task: live, actor: actor(), reason };
    assert_eq!(h.engine.ask(delete("requested")).await.unwrap_err().code, Code::IllegalTransition);
    h.complete(worker, &claimed).await;
    h.clock.advance(limits::RETENTION + Duration::from_secs(120));
    let gone = async {
        while h.engine.snapshot(TENANT, live).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    let audit = StreamName::Audit(TENANT, 1);
    let events = h.engine.read(move |store| store.events(TENANT, audit, 0, 10)).await.unwrap();
    let mut verifier = Verifier::new(TENANT, audit);
    events.iter().for_each(|event| verifier.check(event).unwrap());
    assert_eq!(
        events.iter().map(|event| &*event.kind).collect::<Vec<_>>(),
        ["audit.segment", "task.deleted"]
    );
    assert_eq!(h.submit_with(mock(), Some(("live", 1))).await.unwrap_err().code, Code::TaskDeleted);
}

#[tokio::test]
async fn the_next_try_does_not_wait_for_the_time_of_the_first() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let mut spec = mock();
    let begins = h.engine.now().plus(Duration::from_secs(60));
    spec.not_before = Some(begins);
    let task = h.submit(spec).await.unwrap().task.id;
    h.clock.advance(Duration::from_secs(60));
    let claimed = h.claim(worker, 1).await.unwrap();
    h.clock.set_wall(begins.minus(Duration::from_secs(3_600)));
    h.write(worker, &claimed, 1, Vec::new(), failed(transient())).await.unwrap();
    let retry_at = h.engine.snapshot(TENANT, task).await.unwrap().task.retry_at.unwrap();
    h.clock.advance(retry_at.since(h.engine.now()));
    h.reaches(task, State::Queued).await;
}

#[tokio::test]
async fn a_digest_follows_every_tenth_event() {
    let h = Harness::over(memory(), 10);
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    for batch in 1..=4 {
        let steps = (1..=8).map(|n| step(&format!("s#{}", batch * 10 + n))).collect();
        h.write(worker, &claimed, batch, steps, None).await.unwrap();
    }
    h.write(worker, &claimed, 5, Vec::new(), Some(AttemptEnd::Completed { result: json("1") }))
        .await
        .unwrap();
    let kinds = h.kinds(task);
    // 35 events of its own, the verifier has held each digest against the chain.
    assert_eq!(kinds.iter().filter(|kind| *kind != "digest").count(), 35);
    let digests: Vec<_> =
        kinds.iter().enumerate().filter(|(_, kind)| *kind == "digest").map(|(n, _)| n + 1).collect();
    assert_eq!(digests, [11, 22, 33]);
    assert_eq!(kinds.last().unwrap(), "task.completed");
}

#[tokio::test]
async fn the_time_that_workers_held_a_task_and_the_bytes_of_its_events_are_counted() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    h.clock.advance(Duration::from_secs(30));
    let first = h.claim(worker, 1).await.unwrap();
    h.clock.advance(Duration::from_secs(20));
    h.write(worker, &first, 1, vec![step("a#1")], Some(AttemptEnd::Released)).await.unwrap();
    h.clock.advance(Duration::from_secs(30));
    let second = h.claim(worker, 2).await.unwrap();
    h.clock.advance(Duration::from_secs(40));
    h.complete(worker, &second).await;
    let usage = h.engine.snapshot(TENANT, task).await.unwrap().task.usage;
    let bytes: usize = h.events(task).iter().map(|event| event.payload.as_ref().unwrap().data.len()).sum();
    // Waiting in the queue is not running.
    assert_eq!((usage.running_us, usage.event_bytes), (60_000_000, bytes as u64));
}
