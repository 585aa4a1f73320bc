//! What happens between two things that seem to happen at once.

use crate::code::{registered, start};
use crate::harness::{Harness, TENANT, actor, json, memory, mock};
use everloop_engine::pipeline::op::{Op, Wish};
use everloop_store::error::StoreError;
use everloop_store::memory::Fault;
use everloop_store::port::WriteStore;
use everloop_store::work::{Committed, Row, Wanted, WorkingSet, WriteSet};
use everloop_types::error::{Code, TaskError};
use everloop_types::event::{ApprovalDecision, LostReason};
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::step::OnUnknown;
use everloop_types::task::{Dependency, DependsOn, Parent, PauseReason};
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;
use everloop_worker::context::Context;
use everloop_worker::executor::Stop;
use everloop_worker::source::{AttemptEnd, Signal, WorkSource};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Holds a commit back for as long as a test wants.
#[derive(Default)]
struct Gate {
    /// Whether it is closed, and whether a commit stands before it.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn close(&self) {
        self.state.lock().unwrap().0 = true;
    }

    fn open(&self) {
        self.state.lock().unwrap().0 = false;
        self.changed.notify_all();
    }

    /// For the writer: goes through, or stands until the gate is opened.
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 = state.0;
        while state.0 {
            state = self.changed.wait(state).unwrap();
        }
        state.1 = false;
    }

    /// Waits until a commit stands before the gate.
    async fn reached(&self) {
        while !self.state.lock().unwrap().1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A writer with a gate, or one that does not take claims.
struct Gated {
    inner: Box<dyn WriteStore>,
    gate: Arc<Gate>,
    refuse: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
}

impl WriteStore for Gated {
    fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError> {
        self.inner.load(wanted, now)
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        let claims =
            writes.streams.iter().flat_map(|stream| &stream.rows).any(|row| matches!(row, Row::LeasePut(_)));
        if claims && self.refuse.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Full("planned".into()));
        }
        // What the reconciler does for itself goes through.
        if !writes.streams.is_empty() {
            self.gate.pass();
        }
        self.inner.commit(writes)
    }
}

struct Slowed {
    h: Harness,
    gate: Arc<Gate>,
    refuse: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
}

impl Slowed {
    fn new() -> Self {
        let (gate, refuse, refused): (Arc<Gate>, Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let store = memory();
        let writer = Gated {
            inner: Box::new(store.writer()),
            gate: gate.clone(),
            refuse: refuse.clone(),
            refused: refused.clone(),
        };
        Self { h: Harness::with(store, Box::new(writer), 256), gate, refuse, refused }
    }
}

/// Sends what a future sends when it is first looked at: behind all that was sent before, and before what is sent later.
fn sent<F: Future + Unpin>(future: &mut F) {
    assert!(future.now_or_never().is_none());
}

fn at_once(_: Context) -> BoxFuture<'static, Result<everloop_types::json::Json, Stop>> {
    Box::pin(async { Ok(json("1")) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_too_large_fails_its_task() {
    let h = Harness::new();
    let _stop = start(&h, |context| {
        Box::pin(async move {
            context.custom("big", &"x".repeat(300 * 1024))?;
            std::future::pending().await
        })
    });
    let task = h.submit(mock()).await.unwrap().task.id;
    h.reaches(task, State::Failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_that_are_too_large_fail_their_task() {
    let h = Harness::new();
    let _stop = start(&h, |context| {
        Box::pin(async move {
            for n in 0..2_000 {
                let size = if n % 400 == 0 { 300 * 1024 } else { 1 };
                context.custom("big", &"x".repeat(size))?;
            }
            Ok(json("1"))
        })
    });
    let task = h.submit(mock()).await.unwrap().task.id;
    h.reaches(task, State::Failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_commit_was_in_doubt_reaches_its_worker() {
    let h = Harness::new();
    let _stop = start(&h, at_once);
    registered(&h).await;
    h.store.fail_next(Fault::Unknown { applied: true });
    let task = h.submit_with(mock(), Some(("k", 1))).await.unwrap().task.id;
    h.reaches(task, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_takes_no_claims_is_not_asked_without_end() {
    let s = Slowed::new();
    s.refuse.store(true, Ordering::SeqCst);
    let task = s.h.submit(mock()).await.unwrap().task.id;
    let _stop = start(&s.h, at_once);
    while s.refused.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = s.refused.load(Ordering::SeqCst);
    for _ in 0..10 {
        s.h.engine.ask(Op::Expire).await.unwrap_err();
    }
    // Once for each that asked for something, the reconciler and the worker among them.
    let refused = s.refused.load(Ordering::SeqCst) - before;
    assert!(refused < 20, "{refused}");
    s.refuse.store(false, Ordering::SeqCst);
    s.h.reaches(task, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_came_too_late_for_its_request_is_given_once() {
    let s = Slowed::new();
    let worker = s.h.worker(2).await;
    let task = s.h.submit(mock()).await.unwrap().task.id;
    s.gate.close();
    // The answer to asking comes after the claim's commit: the request is dropped before, as a broken connection does.
    tokio::select! {
        claimed = s.h.source.claim(worker, 1, Duration::from_secs(9), 1) => panic!("{claimed:?}"),
        () = s.gate.reached() => {}
    }
    s.gate.open();
    s.h.reaches(task, State::Running).await;
    // Almost a whole term later the worker asks again: from now on it has a whole one.
    s.h.pass(Duration::from_secs(80)).await;
    assert_eq!(s.h.claim(worker, 1).await.map(|claimed| claimed.task), Some(task));
    s.h.pass(Duration::from_secs(20)).await;
    assert_eq!(s.h.state(task).await, State::Running);
    assert_eq!(s.h.claim(worker, 2).await.map(|claimed| claimed.task), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ends_and_is_deleted_at_once_frees_its_worker() {
    let s = Slowed::new();
    let worker = s.h.worker(1).await;
    let first = s.h.submit(mock()).await.unwrap().task.id;
    let claimed = s.h.claim(worker, 1).await.unwrap();
    let second = s.h.submit(mock()).await.unwrap().task.id;
    s.gate.close();
    let busy = s.h.submit(mock());
    let both = async {
        s.gate.reached().await;
        let end = AttemptEnd::Completed { result: json("1") };
        let mut end = pin!(s.h.write(worker, &claimed, 1, Vec::new(), Some(end)));
        sent(&mut end);
        let delete = Op::Delete { tenant: TENANT, task: first, actor: actor(), reason: "requested" };
        let mut delete = pin!(s.h.engine.ask(delete));
        sent(&mut delete);
        s.gate.open();
        tokio::join!(end, delete)
    };
    let (_, (ended, deleted)) = tokio::join!(busy, both);
    ended.unwrap();
    assert_eq!(deleted.unwrap_err().code, Code::IllegalTransition);
    assert_eq!(s.h.claim(worker, 2).await.map(|claimed| claimed.task), Some(second));
}

#[tokio::test]
async fn a_deadline_outlives_other_times_of_a_task() {
    let h = Harness::new();
    let first = h.submit(mock()).await.unwrap().task.id;
    let mut spec = mock();
    spec.depends_on = vec![Dependency { on: DependsOn::Completed, task: first }];
    spec.not_before = Some(h.engine.now().plus(Duration::from_secs(10)));
    spec.policy.deadline = Some(h.engine.now().plus(Duration::from_secs(60)));
    let task = h.submit(spec).await.unwrap().task.id;
    h.pass(Duration::from_secs(20)).await;
    h.wish(task, Wish::Due).await.unwrap();
    assert_eq!(h.state(task).await, State::Pending);
    h.pass(Duration::from_secs(60)).await;
    h.reaches(task, State::Failed).await;
}

#[tokio::test]
async fn a_wait_for_two_times_ends_with_the_second() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let timer = |id: &str, after| Wait::Timer {
        at: h.engine.now().plus(Duration::from_secs(after)),
        id: id.to_owned(),
    };
    let wait = Wait::All(vec![timer("a#1", 10), timer("b#1", 60)]);
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Waiting { wait })).await.unwrap();
    h.pass(Duration::from_secs(20)).await;
    h.wish(task, Wish::Due).await.unwrap();
    assert_eq!(h.state(task).await, State::Waiting);
    h.pass(Duration::from_secs(60)).await;
    h.reaches(task, State::Queued).await;
}

#[tokio::test]
async fn a_task_that_was_resumed_before_its_worker_stopped_goes_on() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    h.wish(task, Wish::Pause { reason: None }).await.unwrap();
    h.wish(task, Wish::Resume).await.unwrap();
    let reason = PauseReason { by: String::new(), details: None, reason: "requested".to_owned() };
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Paused { reason })).await.unwrap();
    assert_eq!(h.state(task).await, State::Queued);
    assert_eq!(h.claim(worker, 2).await.map(|claimed| claimed.attempt), Some(2));
}

#[tokio::test]
async fn a_task_does_not_end_for_one_that_can_not_be_made() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let input = json(&format!("\"{}\"", "x".repeat(300 * 1024)));
    let refused = h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::ContinuedAs { input })).await;
    assert!(refused.is_err());
    assert_eq!(h.state(task).await, State::Running);
}

#[tokio::test]
async fn a_long_lease_is_as_long_after_a_restart() {
    let h = Harness::new();
    let worker = h.worker(1).await;
    let mut spec = mock();
    spec.policy.lease_ms = Some(600_000);
    let task = h.submit(spec).await.unwrap().task.id;
    h.claim(worker, 1).await.unwrap();
    let again = Harness::over(h.store.clone(), 256);
    again.pass(Duration::from_secs(300)).await;
    assert_eq!(again.state(task).await, State::Running);
    again.pass(Duration::from_secs(301)).await;
    assert_eq!(again.state(task).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_run_held_is_taken_back_though_the_first_try_fails() {
    let h = Harness::new();
    let _stop = start(&h, pay);
    let task = h.submit(mock()).await.unwrap().task.id;
    while !h.kinds(task).iter().any(|kind| kind == "step.started") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    h.store.fail_next(Fault::Unavailable);
    let again = Harness::over(h.store.clone(), 256);
    again.reaches(task, State::Queued).await;
}

fn pay(context: Context) -> BoxFuture<'static, Result<everloop_types::json::Json, Stop>> {
    Box::pin(async move {
        context
            .step("pay")
            .on_unknown(OnUnknown::Ask)
            .run(std::future::pending::<Result<u8, TaskError>>())
            .await?;
        Ok(json("1"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_is_cut_off_again_is_asked_about_again() {
    let h = Harness::new();
    let _stop = start(&h, pay);
    let task = h.submit(mock()).await.unwrap().task.id;
    for (cut, request) in ["pay#1", "pay#1/start-2"].into_iter().enumerate() {
        while h.kinds(task).iter().filter(|kind| *kind == "step.started").count() == cut {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let lease = h.engine.read(|store| store.leases()).await.unwrap().pop().unwrap();
        h.wish(task, Wish::Lost { token: lease.token, reason: LostReason::Expired }).await.unwrap();
        h.reaches(task, State::Waiting).await;
        let open = h.engine.snapshot(TENANT, task).await.unwrap().task.open_requests.clone();
        assert_eq!(open.iter().map(|open| open.id.as_str()).collect::<Vec<_>>(), [request]);
        let answer = ApprovalDecision {
            decision: "rerun".to_owned(),
            id: request.to_owned(),
            note: None,
            result: None,
        };
        h.wish(task, Wish::Decide(answer)).await.unwrap();
    }
    h.reaches(task, State::Running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_deleted_at_its_end_is_missed_by_nobody() {
    let s = Slowed::new();
    let worker = s.h.worker(1).await;
    let first = s.h.submit(mock()).await.unwrap().task.id;
    let claimed = s.h.claim(worker, 1).await.unwrap();
    let mut spec = mock();
    spec.depends_on = vec![Dependency { on: DependsOn::Completed, task: first }];
    let second = s.h.submit(spec).await.unwrap().task.id;
    s.gate.close();
    // It arrives while the end is being written, and is decided right after, before anybody was told.
    let delete = async {
        s.gate.reached().await;
        let delete = Op::Delete { tenant: TENANT, task: first, actor: actor(), reason: "requested" };
        let mut delete = pin!(s.h.engine.ask(delete));
        sent(&mut delete);
        s.gate.open();
        delete.await
    };
    let (_, deleted) = tokio::join!(s.h.complete(worker, &claimed), delete);
    assert_eq!(deleted.unwrap_err().code, Code::IllegalTransition);
    s.h.reaches(second, State::Queued).await;
    let delete = Op::Delete { tenant: TENANT, task: first, actor: actor(), reason: "requested" };
    s.h.engine.ask(delete).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_is_not_deleted_before_its_parent_has_heard() {
    let s = Slowed::new();
    let worker = s.h.worker(2).await;
    let parent = s.h.submit(mock()).await.unwrap().task.id;
    let held = s.h.claim(worker, 1).await.unwrap();
    let mut spec = mock();
    spec.parent = Some(Parent { step: None, task: parent });
    let child = s.h.submit(spec).await.unwrap().task.id;
    let wait = Wait::Child { id: "wait#1".to_owned(), task: child };
    s.h.write(worker, &held, 1, Vec::new(), Some(AttemptEnd::Waiting { wait })).await.unwrap();
    let claimed = s.h.claim(worker, 2).await.unwrap();
    s.gate.close();
    let delete = async {
        s.gate.reached().await;
        let delete = Op::Delete { tenant: TENANT, task: child, actor: actor(), reason: "requested" };
        let mut delete = pin!(s.h.engine.ask(delete));
        sent(&mut delete);
        s.gate.open();
        delete.await
    };
    let (_, deleted) = tokio::join!(s.h.complete(worker, &claimed), delete);
    assert_eq!(deleted.unwrap_err().code, Code::IllegalTransition);
    s.h.reaches(parent, State::Queued).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_loses_a_task_to_another_in_one_commit_is_told() {
    let h = Harness::new();
    let (one, other) = (h.worker(1).await, h.worker(1).await);
    let task = h.submit(mock()).await.unwrap().task.id;
    h.claim(one, 1).await.unwrap();
    let mut claim = pin!(h.claim(other, 1));
    sent(&mut claim);
    h.pass(Duration::from_secs(91)).await;
    let claimed = claim.await;
    assert_eq!(claimed.map(|claimed| (claimed.task, claimed.attempt)), Some((task, 2)));
    let told = h.source.signals(one, Duration::from_millis(100)).await.unwrap();
    assert_eq!(
        told.into_iter().map(|told| (told.attempt, told.signal)).collect::<Vec<_>>(),
        [(1, Signal::LeaseLost)]
    );
}

/// What is under way goes before what is new: while the database stands, new tasks are shed long before the ends of old ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_tasks_are_shed_before_the_ends_of_old_ones() {
    let Slowed { h, gate, .. } = Slowed::new();
    let worker = h.worker(1).await;
    let first = h.submit(mock()).await.unwrap().task.id;
    let held = h.claim(worker, 1).await.unwrap();
    gate.close();
    let (h, mut submits) = (Arc::new(h), tokio::task::JoinSet::new());
    while h.engine.is_ready() {
        let h = h.clone();
        submits.spawn(async move { h.submit(mock()).await.map(drop) });
        assert!(submits.len() < 20_000, "nothing is ever shed");
        tokio::task::yield_now().await;
    }
    let refused = h.submit(mock()).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after_ms), (Code::Overloaded, Some(1_000)));
    // The end is sent, and only then is the gate opened.
    tokio::join!(h.complete(worker, &held), async { gate.open() });
    h.reaches(first, State::Completed).await;
    while let Some(submit) = submits.join_next().await {
        let outcome = submit.unwrap();
        assert!(outcome.err().is_none_or(|refusal| refusal.code == Code::Overloaded));
    }
    assert!(h.engine.is_ready());
}

/// A worker that is removed while it waits for tasks is not given back what was just taken from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_removed_gets_nothing_more() {
    let h = Harness::new();
    let worker = h.worker(2).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let held = h.claim(worker, 1).await.unwrap();
    assert_eq!(held.task, task);
    let mut waiting = pin!(h.source.claim(worker, 1, Duration::from_secs(60), 2));
    sent(&mut waiting);
    // They may be in the same batch.
    let (removed, heard) = tokio::join!(h.source.remove(worker), h.source.heartbeat(worker, None));
    removed.unwrap();
    assert!(heard.is_err());
    assert!(h.engine.read(move |store| store.worker(worker)).await.unwrap().is_none());
    h.reaches(task, State::Queued).await;
    assert!(waiting.await.is_ok_and(|given| given.is_empty()) || h.state(task).await == State::Queued);
    let other = h.worker(1).await;
    assert_eq!(h.claim(other, 1).await.unwrap().task, task);
}

/// A lease that a batch takes away is neither renewed nor given again by what comes later in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_runs_out_is_not_renewed_by_what_comes_with_its_end() {
    let s = Slowed::new();
    let worker = s.h.worker(1).await;
    let task = s.h.submit(mock()).await.unwrap().task.id;
    let held = s.h.claim(worker, 1).await.unwrap();
    s.gate.close();
    let busy = s.h.submit(mock());
    let later = async {
        s.gate.reached().await;
        s.h.clock.advance(limits::LEASE + Duration::from_secs(1));
        let mut expire = pin!(s.h.engine.ask(Op::Expire));
        sent(&mut expire);
        let mut again = pin!(s.h.source.claim(worker, 1, Duration::ZERO, 1));
        sent(&mut again);
        let mut renewed = pin!(s.h.source.renew(worker, vec![(task, held.lease)]));
        sent(&mut renewed);
        s.gate.open();
        tokio::join!(expire, again, renewed)
    };
    let (_, (expired, again, renewed)) = tokio::join!(busy, later);
    expired.unwrap();
    assert!(again.unwrap().is_empty());
    assert_eq!(renewed.unwrap(), [task]);
    assert_eq!(s.h.state(task).await, State::Queued);
}
