//! Commits that gave no answer: whoever asked hears what became of it, and followers miss nothing.

use crate::harness::{Harness, TENANT, actor, json, memory, mock};
use everloop_engine::live::Step;
use everloop_engine::pipeline::op::{Op, Wish};
use everloop_store::error::StoreError;
use everloop_store::memory::{Fault, MemoryStore};
use everloop_store::port::WriteStore;
use everloop_store::work::{Committed, Row, Wanted, WorkingSet, WriteSet};
use everloop_types::error::Code;
use everloop_types::event::{ApprovalDecision, ApprovalRequested};
use everloop_types::id::TaskId;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{Concurrency, TaskSpec};
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;
use everloop_worker::source::{AttemptEnd, Signal, WorkSource};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const BOTH: [Fault; 2] = [Fault::Unknown { applied: true }, Fault::Unknown { applied: false }];

#[tokio::test]
async fn a_task_without_a_key_is_made_once_and_its_caller_hears_of_it() {
    for fault in BOTH {
        let h = Harness::new();
        h.store.fail_next(fault);
        let task = h.submit(mock()).await.unwrap().task.id;
        assert_eq!(h.kinds(task), ["task.submitted"], "{fault:?}");
        assert_eq!(h.submit_with(mock(), Some(("k", 1))).await.unwrap().task.state, State::Queued);
        let all = h.engine.read(|store| store.depths()).await.unwrap();
        assert_eq!(all.iter().map(|depth| depth.tasks).sum::<u64>(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn several_unknown_commits_in_a_row_end_as_well() {
    let h = Harness::new();
    for fault in [BOTH[1], BOTH[1], BOTH[0]] {
        h.store.fail_next(fault);
    }
    let task = h.submit(mock()).await.unwrap().task.id;
    assert_eq!(h.kinds(task), ["task.submitted"]);
}

/// A task that asks a person.
async fn asking(h: &Harness) -> TaskId {
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let request = ApprovalRequested {
        choices: vec!["yes".to_owned(), "no".to_owned()],
        details: None,
        id: "ask#1".to_owned(),
        prompt: "Go on?".to_owned(),
    };
    let wait = Wait::Decision { id: "ask#1".to_owned() };
    h.write(worker, &claimed, 1, vec![request.into()], Some(AttemptEnd::Waiting { wait })).await.unwrap();
    task
}

#[tokio::test]
async fn whoever_decides_is_not_told_that_somebody_else_did() {
    for fault in BOTH {
        let h = Harness::new();
        let task = asking(&h).await;
        let decide = |word: &str| {
            Wish::Decide(ApprovalDecision {
                decision: word.to_owned(),
                id: "ask#1".to_owned(),
                note: None,
                result: None,
            })
        };
        h.store.fail_next(fault);
        assert_eq!(h.wish(task, decide("yes")).await.unwrap(), State::Queued, "{fault:?}");
        assert_eq!(h.wish(task, decide("no")).await.unwrap_err().code, Code::AlreadyDecided);
    }
}

#[tokio::test]
async fn a_follower_sees_at_once_what_was_written_after_all() {
    for fault in BOTH {
        let h = Harness::new();
        let task = h.submit(mock()).await.unwrap().task.id;
        let mut follower = h.engine.follow(TENANT, StreamName::Task(task), 1, 1);
        h.store.fail_next(fault);
        let (state, seen) = tokio::join!(
            h.wish(task, Wish::Pause { reason: None }),
            tokio::time::timeout(Duration::from_secs(10), follower.next())
        );
        assert_eq!(state.unwrap(), State::Paused);
        let Step::Events(events) = seen.unwrap().unwrap() else { panic!("no events") };
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [2]);
    }
}

#[tokio::test]
async fn a_deletion_is_done_once() {
    for fault in BOTH {
        let h = Harness::new();
        let task = h.submit(mock()).await.unwrap().task.id;
        h.wish(task, Wish::Cancel { reason: None }).await.unwrap();
        h.store.fail_next(fault);
        let delete = Op::Delete { tenant: TENANT, task, actor: actor(), reason: "requested" };
        h.engine.ask(delete).await.unwrap();
        assert!(h.events(task).is_empty());
        let audit = h.engine.read(|store| store.events(TENANT, StreamName::Audit(TENANT, 1), 0, 9));
        assert_eq!(audit.await.unwrap().len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn an_end_is_written_once() {
    for fault in BOTH {
        let h = Harness::new();
        let worker = h.worker(1).await;
        let task = h.submit(mock()).await.unwrap().task.id;
        let claimed = h.claim(worker, 1).await.unwrap();
        h.store.fail_next(fault);
        let end = Some(AttemptEnd::Completed { result: json("1") });
        h.write(worker, &claimed, 1, Vec::new(), end).await.unwrap();
        assert_eq!(h.kinds(task), ["task.submitted", "task.started", "task.completed"], "{fault:?}");
    }
}

/// The database is away from a commit on.
struct Away {
    inner: Box<dyn WriteStore>,
    store: MemoryStore,
    armed: Arc<AtomicBool>,
    /// Whether the commit was written.
    applied: bool,
}

impl WriteStore for Away {
    fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError> {
        self.inner.load(wanted, now)
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        let goes = self.armed.swap(false, Ordering::SeqCst);
        if !goes || self.applied {
            let committed = self.inner.commit(writes)?;
            if !goes {
                return Ok(committed);
            }
        }
        self.store.set_available(false);
        Err(StoreError::Unknown("no answer".into()))
    }
}

/// An engine, and what makes the database go away with the next commit.
fn leaving(applied: bool) -> (Harness, Arc<AtomicBool>) {
    let (store, armed): (_, Arc<AtomicBool>) = (memory(), Arc::default());
    let writer =
        Away { inner: Box::new(store.writer()), store: store.clone(), armed: armed.clone(), applied };
    (Harness::with(store, Box::new(writer), 256), armed)
}

#[tokio::test]
async fn a_claim_that_could_not_be_looked_up_is_given_to_its_worker() {
    let (h, armed) = leaving(true);
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    armed.store(true, Ordering::SeqCst);
    h.source.claim(worker, 1, Duration::from_millis(300), 1).await.unwrap_err();
    h.store.set_available(true);
    assert_eq!(h.kinds(task), ["task.submitted", "task.started"]);
    assert_eq!(h.claim(worker, 1).await.expect("nobody was given the task").task, task);
}

#[tokio::test]
async fn a_word_that_could_not_be_looked_up_is_heard_and_shown() {
    let (h, armed) = leaving(true);
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    h.claim(worker, 1).await.unwrap();
    let mut follower = h.engine.follow(TENANT, StreamName::Task(task), 2, 2);
    armed.store(true, Ordering::SeqCst);
    h.wish(task, Wish::Pause { reason: None }).await.unwrap_err();
    h.store.set_available(true);
    assert_eq!(h.wish(task, Wish::Pause { reason: None }).await, Ok(State::Pausing));
    let heard = h.source.signals(worker, Duration::from_secs(5)).await.unwrap();
    assert_eq!(heard[0].signal, Signal::Pause);
    let shown =
        tokio::time::timeout(Duration::from_secs(5), follower.next()).await.expect("nothing is shown");
    assert!(matches!(shown, Ok(Step::Events(events)) if events[0].seq == 3));
}

#[tokio::test]
async fn nothing_is_kept_of_a_task_whose_end_could_not_be_looked_up() {
    let (h, armed) = leaving(true);
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    armed.store(true, Ordering::SeqCst);
    let end = || Some(AttemptEnd::Completed { result: json("1") });
    h.write(worker, &claimed, 1, Vec::new(), end()).await.unwrap_err();
    h.store.set_available(true);
    assert_eq!(h.kinds(task), ["task.submitted", "task.started", "task.completed"]);
    h.write(worker, &claimed, 1, Vec::new(), end()).await.unwrap_err();
    nothing_is_kept(&h).await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_task_that_was_not_written() {
    let (h, armed) = leaving(false);
    armed.store(true, Ordering::SeqCst);
    let spec = TaskSpec { input: Some(json("1")), ..mock() };
    h.submit(spec).await.unwrap_err();
    h.store.set_available(true);
    // Whatever is asked next, the commit is looked up first.
    h.wish(TaskId([9; 16]), Wish::Cancel { reason: None }).await.unwrap_err();
    nothing_is_kept(&h).await;
}

/// No commit is written, and none is answered.
struct Mute(Box<dyn WriteStore>, Arc<AtomicBool>);

impl WriteStore for Mute {
    fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError> {
        self.0.load(wanted, now)
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        if self.1.load(Ordering::SeqCst) {
            return Err(StoreError::Unknown("no answer".into()));
        }
        self.0.commit(writes)
    }
}

#[tokio::test]
async fn a_database_that_takes_nothing_is_named_until_it_takes_something() {
    let (store, mute): (_, Arc<AtomicBool>) = (memory(), Arc::default());
    let h = Harness::with(store.clone(), Box::new(Mute(Box::new(store.writer()), mute.clone())), 256);
    let task = h.submit(mock()).await.unwrap().task.id;
    mute.store(true, Ordering::SeqCst);
    assert_eq!(h.submit(mock()).await.unwrap_err().code, Code::StorageUnavailable);
    mute.store(false, Ordering::SeqCst);
    h.wish(task, Wish::Cancel { reason: None }).await.unwrap();
    assert!(!h.engine.counters().failing.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_batch_that_writes_nothing_does_not_say_that_writing_works() {
    let h = Harness::new();
    let is_failing = || h.engine.counters().failing.load(Ordering::Relaxed);
    for fault in [Fault::Unavailable, Fault::Full] {
        h.store.fail_next(fault);
        h.submit(mock()).await.unwrap_err();
        h.store.fail_next(fault);
        h.engine.ask(Op::Expire).await.unwrap();
        assert!(is_failing(), "{fault:?}");
        h.engine.ask(Op::Expire).await.unwrap();
        assert!(!is_failing(), "{fault:?}");
    }
}

#[tokio::test]
async fn rows_that_are_written_again_tell_of_no_trouble() {
    for fault in BOTH {
        let h = Harness::new();
        h.store.fail_next(fault);
        let paused = Row::QueuePaused { queue: "default".to_owned(), paused: true };
        h.engine.ask(Op::Rows(vec![paused])).await.unwrap();
        assert_eq!(h.engine.read(|store| store.paused_queues()).await.unwrap(), ["default"], "{fault:?}");
        assert!(!h.engine.counters().failing.load(Ordering::Relaxed), "{fault:?}");
    }
}

#[tokio::test]
async fn nothing_is_kept_of_a_cap_that_nobody_came_under() {
    let h = Harness::new();
    let mut spec = mock();
    spec.policy.concurrency = Some(Concurrency { key: "one".to_owned(), limit: 1 });
    let task = h.submit(TaskSpec { input: None, ..spec }).await.unwrap().task.id;
    h.wish(task, Wish::Cancel { reason: None }).await.unwrap();
    nothing_is_kept(&h).await;
}

async fn nothing_is_kept(h: &Harness) {
    let gone = async {
        while h.engine.counters().kept.load(Ordering::Relaxed) != 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("something is kept");
}
