//! Values that are too large for their events, and bytes that a task puts aside.

use crate::code::{lose, start, until};
use crate::harness::{Harness, json, mock};
use everloop_engine::pipeline::op::Wish;
use everloop_types::blob::BlobName;
use everloop_types::error::TaskError;
use everloop_types::event::EventBody;
use everloop_types::limits::VALUE_BYTES;
use everloop_types::state::State;
use everloop_worker::context::{Context, canonical};
use everloop_worker::executor::Stop;
use everloop_worker::source::AttemptEnd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn large(c: &str) -> String {
    c.repeat(VALUE_BYTES + 1)
}

/// Everything that is large: what comes in, what a step gave, what was sent, what comes out.
async fn code(context: Context, runs: Arc<AtomicU32>) -> Result<everloop_types::json::Json, Stop> {
    assert_eq!(context.input_as::<String>()?, large("i"));
    let step: String = context
        .step("large")
        .run(async {
            runs.fetch_add(1, Ordering::SeqCst);
            Ok::<_, TaskError>(large("s"))
        })
        .await?;
    assert_eq!(step, large("s"));
    let picture: BlobName = context
        .step("picture")
        .run(async {
            context.put_blob("application/json", b"[1]").await.map_err(|stop| match stop {
                Stop::Failed(error) => error,
                other => panic!("{other:?}"),
            })
        })
        .await?;
    // A name that the code has made is a name on every replay, whatever it names.
    assert_eq!(context.blob(&picture).await?, b"[1]");
    let nested: everloop_types::json::Json = context
        .step("nested")
        .run(async { Ok::<_, TaskError>(json(&format!("[{}]", picture.to_value()))) })
        .await?;
    assert_eq!(nested.as_str(), format!("[{}]", picture.to_value()));
    let sent: String = context.wait_input("answer").await?.parse()?;
    assert_eq!(sent, large("a"));
    canonical(&large("r"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_sees_the_values_themselves_on_the_first_run_and_on_every_replay() {
    let h = Harness::new().with_tenant().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let _stop = start(&h, move |context| Box::pin(code(context, counted.clone())));
    let mut spec = mock();
    let mut input = json(&format!("\"{}\"", large("i")));
    h.engine.outsource(crate::harness::TENANT, &mut input).await.unwrap();
    spec.input = Some(input);
    let task = h.submit(spec).await.unwrap().task.id;
    h.reaches(task, State::Waiting).await;
    let mut data = json(&format!("\"{}\"", large("a")));
    h.engine.outsource(crate::harness::TENANT, &mut data).await.unwrap();
    h.wish(task, Wish::Input { id: "sig_1".to_owned(), name: "answer".to_owned(), data }).await.unwrap();
    h.reaches(task, State::Completed).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert!(h.events(task).iter().all(|event| event.payload.as_ref().unwrap().data.len() < 2_000));
    let Some(EventBody::Completed(end)) = h.events(task).last().unwrap().body().unwrap() else {
        panic!("it has no end");
    };
    let name = BlobName::of(&end.result).unwrap().unwrap();
    let (_, bytes) = h.engine.blob(crate::harness::TENANT, &name.id).await.unwrap().unwrap();
    assert_eq!(bytes, format!("\"{}\"", large("r")).as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redriven_step_shows_the_key_of_the_first() {
    let h = Harness::new();
    let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = keys.clone();
    let _stop = start(&h, move |context| {
        let seen = seen.clone();
        Box::pin(async move {
            let step = context.step("pay");
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(step.idempotency_key());
                seen.len()
            };
            let pay = async move {
                if number == 1 { std::future::pending().await } else { Ok::<_, TaskError>(number) }
            };
            canonical(&step.run(pay).await?)
        })
    });
    let task = h.submit(mock()).await.unwrap().task.id;
    until(&h, task, "task.started", 1).await;
    while keys.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    lose(&h, task).await;
    h.reaches(task, State::Completed).await;
    let keys_of = |keys_of| {
        let fork = h.fork(task, 2, keys_of);
        async { h.submit_forked(fork).await.unwrap().task.id }
    };
    let (redrive, fork) = (keys_of(Some(task)).await, keys_of(None).await);
    h.reaches(redrive, State::Completed).await;
    h.reaches(fork, State::Completed).await;
    let keys = keys.lock().unwrap();
    assert_eq!(keys.len(), 4);
    assert_eq!((&keys[1], keys.iter().filter(|key| **key == keys[0]).count()), (&keys[0], 3));
}

#[tokio::test]
async fn a_task_that_goes_on_with_a_blob_that_is_not_there_goes_on_itself() {
    let h = Harness::new().with_tenant().await;
    let worker = h.worker(1).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    let claimed = h.claim(worker, 1).await.unwrap();
    let put = h.engine.blob_put(crate::harness::TENANT, "a/b".into(), b"x".to_vec()).await.unwrap();
    let lost = BlobName { id: "0f".repeat(32), ..put.clone() };
    let end = |input| Some(AttemptEnd::ContinuedAs { input });
    h.write(worker, &claimed, 1, Vec::new(), end(lost.to_value())).await.unwrap_err();
    assert_eq!(h.state(task).await, State::Running);
    h.write(worker, &claimed, 1, Vec::new(), end(json(&format!("[{}]", put.to_value())))).await.unwrap();
    let next = h.engine.snapshot(crate::harness::TENANT, task).await.unwrap().task.continued_as.unwrap();
    assert_eq!(h.state(next).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_before_a_wait_lets_those_that_wait_behind_it_go_on_as_they_began() {
    let h = Harness::new();
    let gated = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let deployed = gated.clone();
    let _stop = start(&h, move |context| {
        let gated = deployed.load(Ordering::SeqCst);
        Box::pin(async move {
            let version = if gated { context.version("gate", 1, 2)? } else { 1 };
            context.sleep("cooling", std::time::Duration::from_secs(3600)).await?;
            canonical(&version)
        })
    });
    let task = h.submit(mock()).await.unwrap().task.id;
    h.reaches(task, State::Waiting).await;
    gated.store(true, Ordering::SeqCst);
    h.clock.advance(std::time::Duration::from_secs(3601));
    h.reaches(task, State::Completed).await;
    let Some(EventBody::Completed(end)) = h.events(task).last().unwrap().body().unwrap() else {
        panic!("it has no end");
    };
    assert_eq!(end.result.as_str(), "1");
}
