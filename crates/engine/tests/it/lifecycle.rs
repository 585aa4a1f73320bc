//! Every way of a task, with a worker that does what the test says.

use crate::harness::{Harness, TENANT, actor, json, memory, mock, transient};
use everloop_engine::pipeline::op::{Op, Wish};
use everloop_journal::chain::Verifier;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::event::{ApprovalDecision, ApprovalRequested, EventBody, StepCompleted};
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{Concurrency, Dependency, DependsOn, Parent, PauseReason};
use everloop_types::wait::Wait;
use everloop_worker::source::{AttemptEnd, Signal, SourceError, WorkSource};
use std::time::Duration;

fn step(name: &str) -> EventBody {
    StepCompleted {
        attempt: 1,
        code_version: None,
        intent: "00".to_owned(),
        kind: "step".to_owned(),
        result: json("{\"n\":1}"),
        started_at: Default::default(),
        step: name.to_owned(),
    }
    .into()
}

fn code(result: Result<impl std::fmt::Debug, SourceError>) -> Code {
    match result.unwrap_err() {
        SourceError::Refused(refusal) => refusal.code,
        SourceError::Unavailable(why) => panic!("{why}"),
    }
}

fn failed(error: TaskError) -> Option<AttemptEnd> {
    Some(AttemptEnd::Failed { error })
}

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
    assert_eq!((record.tries, record.attempt, record.error.unwrap().code.as_str()), (3, 3, "flaky"));
    let wrong = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 9).await.unwrap();
    let error = TaskError::new(Code::ExitStatus, "exit status 1");
    h.write(worker, &claimed, 1, Vec::new(), failed(error)).await.unwrap();
    assert_eq!(h.state(wrong).await, State::Failed);
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
    assert_eq!((record.error.unwrap().code.as_str(), record.lost_total), ("poisoned", 9));
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
async fn a_task_waits_without_a_worker_until_what_it_waits_for_comes() {
    let h = Harness::new();
    let worker = h.worker(2).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let wait = Wait::Any(vec![
        Wait::Input { id: "in#1".to_owned(), name: "go".to_owned() },
        Wait::Timer { at: h.engine.now().plus(Duration::from_secs(3600)), id: "nap#1".to_owned() },
    ]);
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Waiting { wait: wait.clone() })).await.unwrap();
    assert_eq!(h.state(task).await, State::Waiting);
    let input =
        |name: &str| Wish::Input { id: format!("sig_{name}"), name: name.to_owned(), data: json("true") };
    assert_eq!(h.wish(task, input("other")).await, Ok(State::Waiting));
    // Sent again, by its id.
    assert_eq!(h.wish(task, input("other")).await, Ok(State::Waiting));
    assert!(matches!(h.wish(task, input("go")).await, Ok(State::Queued)));
    let claimed = h.claim(worker, 2).await.unwrap();
    assert_eq!(claimed.journal.iter().filter(|entry| entry.body.kind() == "task.input").count(), 2);
    // What came before the wait wakes it in the same commit.
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Waiting { wait })).await.unwrap();
    let claimed = h.claim(worker, 3).await.unwrap();
    let timer = Wait::Timer { at: h.engine.now().plus(Duration::from_secs(3600)), id: "nap#2".to_owned() };
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Waiting { wait: timer })).await.unwrap();
    h.clock.set_wall(h.engine.now().minus(Duration::from_secs(3600)));
    h.pass(Duration::ZERO).await;
    assert_eq!(h.state(task).await, State::Waiting);
    h.clock.set_wall(h.engine.now().plus(Duration::from_secs(3 * 3600)));
    h.reaches(task, State::Queued).await;
    let claimed = h.claim(worker, 4).await.unwrap();
    h.complete(worker, &claimed).await;
    let completed = h.events(task).last().unwrap().body().unwrap().unwrap();
    let EventBody::Completed(completed) = completed else { panic!("{completed:?}") };
    assert_eq!(completed.unconsumed, ["sig_other", "sig_go"]);
}

#[tokio::test]
async fn the_first_decision_wins() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let decide = |id: &str, word: &str| {
        let decision =
            ApprovalDecision { decision: word.to_owned(), id: id.to_owned(), note: None, result: None };
        Wish::Decide(decision)
    };
    assert_eq!(h.wish(task, decide("ok#1", "yes")).await.unwrap_err().code, Code::NotFound);
    let claimed = h.claim(worker, 1).await.unwrap();
    let request = ApprovalRequested {
        choices: Vec::new(),
        details: None,
        id: "ok#1".to_owned(),
        prompt: "?".to_owned(),
    };
    let end = AttemptEnd::Waiting { wait: Wait::Decision { id: "ok#1".to_owned() } };
    h.write(worker, &claimed, 1, vec![request.into()], Some(end)).await.unwrap();
    assert!(matches!(h.wish(task, decide("ok#1", "yes")).await, Ok(State::Queued)));
    let late: Refusal = h.wish(task, decide("ok#1", "no")).await.unwrap_err();
    assert_eq!(late.code, Code::AlreadyDecided);
    assert!(late.detail.contains("yes"), "{}", late.detail);
}

#[tokio::test]
async fn prerequisites_children_and_deadlines() {
    let h = Harness::new();
    let worker = h.worker(8).await;
    let first = h.submit(mock()).await.unwrap().task.id;
    let after = |on| {
        let mut spec = mock();
        spec.depends_on = vec![Dependency { on, task: first }];
        spec
    };
    let needs = h.submit(after(DependsOn::Completed)).await.unwrap();
    assert_eq!(needs.task.state, State::Pending);
    let anyway = h.submit(after(DependsOn::Ended)).await.unwrap().task.id;
    let mut child = mock();
    child.parent = Some(Parent { step: Some("spawn#1".to_owned()), task: first });
    let child = h.submit(child).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    assert_eq!(claimed.task, first);
    let error = TaskError::new(Code::ExitStatus, "no");
    h.write(worker, &claimed, 1, Vec::new(), failed(error)).await.unwrap();
    h.reaches(needs.task.id, State::Failed).await;
    h.reaches(anyway, State::Queued).await;
    h.reaches(child, State::Cancelled).await;
    let record = h.engine.snapshot(TENANT, needs.task.id).await.unwrap().task.clone();
    assert_eq!(record.error.unwrap().code, "dependency_failed");
    let mut late = mock();
    late.policy.deadline = Some(h.engine.now().plus(Duration::from_secs(5)));
    late.not_before = Some(h.engine.now().plus(Duration::from_secs(60)));
    let late = h.submit(late).await.unwrap().task.id;
    h.clock.advance(Duration::from_secs(6));
    h.reaches(late, State::Failed).await;
}

#[tokio::test]
async fn a_parent_hears_of_its_child() {
    let h = Harness::new();
    let worker = h.worker(4).await;
    let parent = h.submit(mock()).await.unwrap().task.id;
    let held = h.claim(worker, 1).await.unwrap();
    let mut spec = mock();
    spec.parent = Some(Parent { step: None, task: parent });
    let child = h.submit(spec).await.unwrap().task.id;
    let wait = Wait::Child { id: "wait#1".to_owned(), task: child };
    h.write(worker, &held, 1, Vec::new(), Some(AttemptEnd::Waiting { wait })).await.unwrap();
    let claimed = h.claim(worker, 2).await.unwrap();
    assert_eq!(claimed.task, child);
    h.complete(worker, &claimed).await;
    h.reaches(parent, State::Queued).await;
    assert!(h.kinds(parent).contains(&"task.child".to_owned()));
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
