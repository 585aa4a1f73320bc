//! The examples of docs/executors.md, run.

use crate::code::{lose, start, until};
use crate::harness::{Harness, TENANT, actor, json, mock};
use everloop_engine::engine::Engine;
use everloop_engine::pipeline::op::{Fork, Submit, Wish};
use everloop_types::error::{Code, TaskError};
use everloop_types::event::{ApprovalDecision, EventBody};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::task::{ForkedFrom, TaskSpec};
use everloop_worker::context::{Context, canonical};
use everloop_worker::executor::Stop;
use everloop_worker::step::Verdict;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

trait Bank: Send + Sync {
    /// Pays, once for each key.
    fn pay(&self, key: &str) -> BoxFuture<'static, Result<String, TaskError>>;
    /// Whether the payment of a key was made.
    fn paid(&self, key: &str) -> BoxFuture<'static, Result<Verdict<String>, TaskError>>;
}

async fn charge(context: Context, bank: Arc<dyn Bank>) -> Result<Json, Stop> {
    let step = context.step("charge");
    let key = step.idempotency_key();
    let receipt = step.verify(bank.paid(&key)).run(bank.pay(&key)).await?;
    canonical(&receipt)
}

async fn invoice(context: Context) -> Result<Json, Stop> {
    let mut total: u64 = context.step("total").run(async { Ok::<_, TaskError>(100) }).await?;
    // Tax came with version 2. Tasks that were past this point by then go on without it.
    if context.version("tax", 1, 2)? >= 2 {
        total += context.step("tax").args(&total).run(async { Ok::<_, TaskError>(total / 5) }).await?;
    }
    context.step("send").args(&total).run(async { Ok::<_, TaskError>(total) }).await?;
    canonical(&total)
}

async fn approval(context: Context) -> Result<Json, Stop> {
    let (_, answer) = context
        .race("answer")
        .branch(|context| async move { context.wait_input("answer").await })
        .branch(|context| async move {
            context.sleep("patience", Duration::from_secs(24 * 3600)).await?;
            canonical(&"no")
        })
        .run()
        .await?;
    Ok(answer)
}

trait Tasks: Send + Sync {
    /// Submits a task; under the same key, the same one.
    fn submit(&self, spec: TaskSpec, key: String) -> BoxFuture<'static, Result<TaskId, TaskError>>;
}

async fn delegate(context: Context, tasks: Arc<dyn Tasks>) -> Result<Json, Stop> {
    let step = context.step("start");
    let spec = TaskSpec { parent: Some(step.parent()), ..TaskSpec::new("mock") };
    let key = step.idempotency_key();
    let child: TaskId = step.run(tasks.submit(spec, key)).await?;
    let ended = context.wait_child("child", child).await?;
    canonical(&ended)
}

#[test]
fn the_page_has_these_examples() {
    let page = include_str!("../../../../docs/executors.md");
    let here = include_str!("examples.rs");
    let mut found = 0;
    // The first one stands on the page alone: it is compiled with the worker.
    for block in page.split("```rust").skip(2).filter_map(|rest| rest.split("```").next()) {
        let shown: Vec<_> = block.lines().filter(|line| !line.starts_with("# ") && *line != "#").collect();
        let shown = shown.join("\n");
        assert!(here.contains(shown.trim()), "not run here:\n{shown}");
        found += 1;
    }
    assert_eq!(found, 4);
}

/// A bank that loses its first answer, and knows what it is told to know.
struct Books {
    verdict: Mutex<Option<Verdict<String>>>,
    /// Keys of the payments that were asked for.
    keys: Mutex<Vec<String>>,
    /// How often it was asked whether one was made.
    asked: Mutex<u32>,
}

impl Books {
    fn new(verdict: Option<Verdict<String>>) -> Arc<Self> {
        Arc::new(Self { verdict: Mutex::new(verdict), keys: Mutex::default(), asked: Mutex::default() })
    }
}

struct Counter(Arc<Books>);

impl Bank for Counter {
    fn pay(&self, key: &str) -> BoxFuture<'static, Result<String, TaskError>> {
        let (books, key) = (self.0.clone(), key.to_owned());
        Box::pin(async move {
            let earlier = books.keys.lock().unwrap().len();
            books.keys.lock().unwrap().push(key);
            if earlier == 0 { std::future::pending().await } else { Ok("paid again".to_owned()) }
        })
    }

    fn paid(&self, _: &str) -> BoxFuture<'static, Result<Verdict<String>, TaskError>> {
        let books = self.0.clone();
        Box::pin(async move {
            *books.asked.lock().unwrap() += 1;
            let verdict = books.verdict.lock().unwrap().clone();
            verdict.ok_or_else(|| TaskError::new(Code::Internal, "the bank is closed"))
        })
    }
}

/// A payment whose worker is lost while it pays.
async fn cut_off(h: &Harness, books: &Arc<Books>) -> TaskId {
    let bank: Arc<dyn Bank> = Arc::new(Counter(books.clone()));
    let stop = start(h, move |context| Box::pin(charge(context, bank.clone())));
    // The worker goes on to the end of the test.
    std::mem::forget(stop);
    let mut spec = mock();
    spec.policy.retry.initial_ms = 1;
    let task = h.submit(spec).await.unwrap().task.id;
    until(h, task, "step.started", 1).await;
    while books.keys.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    lose(h, task).await;
    task
}

fn result(h: &Harness, task: TaskId) -> String {
    match h.events(task).last().unwrap().body().unwrap().unwrap() {
        EventBody::Completed(completed) => completed.result.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn count(h: &Harness, task: TaskId, kind: &str) -> usize {
    h.kinds(task).iter().filter(|of| *of == kind).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_off_step_that_is_known_to_have_happened_is_recorded_and_not_run_again() {
    let h = Harness::new();
    let books = Books::new(Some(Verdict::Happened("paid once".to_owned())));
    let task = cut_off(&h, &books).await;
    h.reaches(task, State::Completed).await;
    assert_eq!(result(&h, task), "\"paid once\"");
    assert_eq!((books.keys.lock().unwrap().len(), *books.asked.lock().unwrap()), (1, 1));
    assert_eq!((count(&h, task, "step.started"), count(&h, task, "step.completed")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_off_step_that_is_known_not_to_have_happened_runs_again_under_its_key() {
    let h = Harness::new();
    let books = Books::new(Some(Verdict::NotHappened));
    let task = cut_off(&h, &books).await;
    h.reaches(task, State::Completed).await;
    assert_eq!(result(&h, task), "\"paid again\"");
    let keys = books.keys.lock().unwrap().clone();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    // The second start is as much in doubt as the first one, should it be cut off.
    assert_eq!(count(&h, task, "step.started"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_asked_about_a_cut_off_step_that_nobody_knows_about() {
    let h = Harness::new();
    let books = Books::new(Some(Verdict::Unknown));
    let task = cut_off(&h, &books).await;
    h.reaches(task, State::Waiting).await;
    let open = h.engine.snapshot(TENANT, task).await.unwrap().task.open_requests.clone();
    assert_eq!(open[0].id, "charge#1");
    let decision = ApprovalDecision {
        decision: "happened".to_owned(),
        id: "charge#1".to_owned(),
        note: None,
        result: Some(json("\"found in the mail\"")),
    };
    h.wish(task, Wish::Decide(decision)).await.unwrap();
    h.reaches(task, State::Completed).await;
    assert_eq!(result(&h, task), "\"found in the mail\"");
    // Whoever was asked has the word: the function is not asked again.
    assert_eq!((books.keys.lock().unwrap().len(), *books.asked.lock().unwrap()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_that_fails_ends_the_try_and_the_next_one_asks_again() {
    let h = Harness::new();
    let books = Books::new(None);
    let task = cut_off(&h, &books).await;
    until(&h, task, "task.retry_scheduled", 1).await;
    *books.verdict.lock().unwrap() = Some(Verdict::Happened("paid once".to_owned()));
    h.clock.advance(Duration::from_secs(60));
    h.reaches(task, State::Completed).await;
    assert_eq!(result(&h, task), "\"paid once\"");
    assert_eq!((books.keys.lock().unwrap().len(), *books.asked.lock().unwrap()), (1, 2));
}

fn input(name: &str, data: &str) -> Wish {
    Wish::Input { id: format!("sig_{name}"), name: name.to_owned(), data: json(data) }
}

/// Moves the clocks until a task has come to a state: for what the reconciler does in its own time.
async fn later(h: &Harness, by: Duration, task: TaskId, state: State) {
    h.clock.advance(by);
    h.reaches(task, state).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_lets_new_tasks_through_as_the_newest_version() {
    let h = Harness::new();
    let _stop = start(&h, |context| Box::pin(invoice(context)));
    let task = h.submit(mock()).await.unwrap().task.id;
    h.reaches(task, State::Completed).await;
    assert_eq!(result(&h, task), "120");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_answer_or_the_end_of_patience_wins() {
    let h = Harness::new();
    let _stop = start(&h, |context| Box::pin(approval(context)));
    let (asked, silent) = (h.submit(mock()).await.unwrap().task.id, h.submit(mock()).await.unwrap().task.id);
    for task in [asked, silent] {
        h.reaches(task, State::Waiting).await;
    }
    h.wish(asked, input("answer", "\"yes\"")).await.unwrap();
    h.reaches(asked, State::Completed).await;
    assert_eq!(result(&h, asked), "\"yes\"");
    later(&h, Duration::from_secs(24 * 3600), silent, State::Completed).await;
    assert_eq!(result(&h, silent), "\"no\"");
}

struct Direct(Arc<Engine>);

impl Tasks for Direct {
    fn submit(&self, spec: TaskSpec, key: String) -> BoxFuture<'static, Result<TaskId, TaskError>> {
        let engine = self.0.clone();
        Box::pin(async move {
            let submit = Submit {
                id: TaskId(engine.new_id()),
                tenant: TENANT,
                actor: actor(),
                spec,
                data_subject: None,
                keys: vec![everloop_journal::digest::key_hash(TENANT, "request", &key)],
                request: [0; 16],
                trace: None,
                fork: None,
                takes_key_of: None,
            };
            let submitted = engine.submit(submit).await;
            submitted
                .map(|(snapshot, _)| snapshot.task.id)
                .map_err(|refusal| TaskError::new(refusal.code, refusal.detail))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_starts_another_and_hears_of_its_end() {
    let h = Harness::new();
    let tasks: Arc<dyn Tasks> = Arc::new(Direct(h.engine.clone()));
    let _stop = start(&h, move |context| {
        let tasks = tasks.clone();
        Box::pin(async move {
            match &context.assignment().spec.parent {
                Some(_) => context.wait_input("go").await,
                None => delegate(context, tasks).await,
            }
        })
    });
    let task = h.submit(mock()).await.unwrap().task.id;
    h.reaches(task, State::Waiting).await;
    let children = h.engine.read(move |store| store.live_children(TENANT, task, 9)).await.unwrap();
    assert_eq!(children.len(), 1);
    h.reaches(children[0], State::Waiting).await;
    h.wish(children[0], input("go", "1")).await.unwrap();
    h.reaches(task, State::Completed).await;
    assert_eq!(result(&h, task), "\"completed\"");
    assert_eq!((count(&h, task, "task.child"), count(&h, task, "task.input_taken")), (1, 1));
    assert!(h.engine.snapshot(TENANT, task).await.unwrap().task.arrived.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_knows_how_the_children_of_its_source_have_ended() {
    let h = Harness::new();
    let tasks: Arc<dyn Tasks> = Arc::new(Direct(h.engine.clone()));
    let _stop = start(&h, move |context| {
        let tasks = tasks.clone();
        Box::pin(async move {
            match &context.assignment().spec.parent {
                Some(_) => Ok(Json::null()),
                None => delegate(context, tasks).await,
            }
        })
    });
    let source = h.submit(mock()).await.unwrap().task.id;
    h.reaches(source, State::Completed).await;
    let events = h.events(source);
    let last = events.last().unwrap();
    let from = ForkedFrom {
        hash: everloop_journal::hex::encode(&last.hash),
        task: source,
        upto_seq: last.seq,
        keys_of: None,
    };
    let fork = Submit {
        id: TaskId(h.engine.new_id()),
        tenant: TENANT,
        actor: actor(),
        spec: mock(),
        data_subject: None,
        keys: Vec::new(),
        request: [0; 16],
        trace: None,
        takes_key_of: None,
        fork: Some(Fork { from, events: Arc::new(events) }),
    };
    let fork = h.engine.submit(fork).await.unwrap().0.task.id;
    h.reaches(fork, State::Completed).await;
    assert_eq!(result(&h, fork), "\"completed\"");
    assert_eq!((count(&h, fork, "task.child"), count(&h, fork, "task.input_taken")), (1, 1));
}
