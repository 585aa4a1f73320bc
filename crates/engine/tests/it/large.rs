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
            context.put_blob("image/png", b"dots").await.map_err(|stop| match stop {
                Stop::Failed(error) => error,
                other => panic!("{other:?}"),
            })
        })
        .await?;
    assert_eq!(context.blob(&picture).await?, b"dots");
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
