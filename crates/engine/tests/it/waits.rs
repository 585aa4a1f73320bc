//! What tasks wait for: time, inputs, decisions, and each other.

use crate::harness::{Harness, TENANT, failed, json, mock};
use everloop_engine::pipeline::op::Wish;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::event::{ApprovalDecision, ApprovalRequested, Child, EventBody, InputTaken};
use everloop_types::state::State;
use everloop_types::task::{Dependency, DependsOn, Parent};
use everloop_types::wait::Wait;
use everloop_worker::source::AttemptEnd;
use std::time::Duration;

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
    assert_eq!(record.error.as_ref().unwrap().code, "dependency_failed");
    let mut late = mock();
    late.policy.deadline = Some(h.engine.now().plus(Duration::from_secs(5)));
    late.not_before = Some(h.engine.now().plus(Duration::from_secs(60)));
    let late = h.submit(late).await.unwrap().task.id;
    h.clock.advance(Duration::from_secs(6));
    h.reaches(late, State::Failed).await;
}

/// A time that came while something else was waited for has no timer any more; the clock may be set back to before it.
#[tokio::test]
async fn what_waits_for_a_time_and_something_else_goes_on_after_the_clock_was_set_back() {
    let h = Harness::new();
    let worker = h.worker(4).await;
    let first = h.submit(mock()).await.unwrap().task.id;
    let held = h.claim(worker, 1).await.unwrap();
    let waiting = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 2).await.unwrap();
    let then = h.engine.now().plus(Duration::from_secs(60));
    let wait = Wait::All(vec![
        Wait::Input { id: "in#1".to_owned(), name: "go".to_owned() },
        Wait::Timer { at: then, id: "nap#1".to_owned() },
    ]);
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Waiting { wait })).await.unwrap();
    let mut spec = mock();
    spec.not_before = Some(then);
    spec.depends_on = vec![Dependency { on: DependsOn::Ended, task: first }];
    let pending = h.submit(spec).await.unwrap().task.id;
    h.clock.advance(Duration::from_secs(61));
    let fired = async {
        while h.engine.read(|store| store.next_timer()).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), fired).await.expect("the timers don't fire");
    h.clock.set_wall(then.minus(Duration::from_secs(600)));
    h.complete(worker, &held).await;
    let input = Wish::Input { id: "sig_1".to_owned(), name: "go".to_owned(), data: json("true") };
    assert_eq!(h.wish(waiting, input).await, Ok(State::Waiting));
    let told = async {
        while !h.engine.read(|store| store.outbox(9)).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("nobody is told");
    assert_eq!(h.state(pending).await, State::Pending);
    h.clock.advance(Duration::from_secs(601));
    h.reaches(pending, State::Queued).await;
    h.reaches(waiting, State::Queued).await;
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
async fn a_child_that_was_taken_is_not_told_of_again() {
    let h = Harness::new();
    let worker = h.worker(4).await;
    let parent = h.submit(mock()).await.unwrap().task.id;
    let held = h.claim(worker, 1).await.unwrap();
    let mut spec = mock();
    spec.parent = Some(Parent { step: None, task: parent });
    let child = h.submit(spec).await.unwrap().task.id;
    let told = || Wish::ChildEnded(Child { state: State::Completed, step: None, task: child });
    h.wish(parent, told()).await.unwrap();
    let taken = InputTaken { id: child.to_string(), step: "wait#1".to_owned() };
    h.write(worker, &held, 1, vec![taken.into()], None).await.unwrap();
    // A reconciler that could not strike it off its list tells of it again.
    h.wish(parent, told()).await.unwrap();
    assert_eq!(h.kinds(parent).iter().filter(|kind| *kind == "task.child").count(), 1);
}
