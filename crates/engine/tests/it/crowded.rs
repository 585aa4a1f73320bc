//! More reads than there is room for.

use crate::harness::{Harness, TENANT, mock};
use everloop_engine::live::Step;
use everloop_types::error::Code;
use everloop_types::stream::StreamName;
use std::sync::{Arc, Mutex, mpsc};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_shed_when_too_many_wait_and_followers_only_wait() {
    let h = Harness::new();
    let task = h.submit(mock()).await.unwrap().task.id;
    let mut follower = h.engine.follow(TENANT, StreamName::Task(task), 0, 1);
    // Reads that end when the test says so.
    let (open, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let mut reads = tokio::task::JoinSet::new();
    while h.engine.is_ready() {
        let (engine, gate) = (h.engine.clone(), gate.clone());
        reads.spawn(async move {
            let read = engine.read(move |_| {
                // An error means that it may end.
                let _ = gate.lock().unwrap().recv();
                Ok(())
            });
            read.await
        });
        assert!(reads.len() < 20_000, "nothing is ever shed");
        tokio::task::yield_now().await;
    }
    let refused = h.engine.snapshot(TENANT, task).await.unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert!(refused.retry_after_ms.is_some());
    // A follower waits for its turn instead.
    let (step, ()) = tokio::join!(follower.next(), async { drop(open) });
    let Step::Events(events) = step.unwrap() else { panic!("no events") };
    assert_eq!(events.len(), 1);
    while let Some(read) = reads.join_next().await {
        // Those that came last were shed as well.
        assert!(read.unwrap().err().is_none_or(|refusal| refusal.code == Code::Overloaded));
    }
    assert!(h.engine.is_ready());
    h.engine.snapshot(TENANT, task).await.unwrap();
}
