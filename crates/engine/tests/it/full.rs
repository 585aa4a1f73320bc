//! A disk that is full: what is done all the same, and how it goes on.

use crate::harness::{Harness, TENANT, actor, json, memory, mock};
use everloop_engine::pipeline::op::{Op, Wish};
use everloop_store::error::StoreError;
use everloop_store::memory::Fault;
use everloop_store::port::Reserve;
use everloop_types::error::{Code, Refusal};
use everloop_types::state::State;
use everloop_worker::source::AttemptEnd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Space that can be taken back once the test says so.
#[derive(Default)]
struct Space {
    there: AtomicBool,
    released: AtomicU32,
}

impl Reserve for Space {
    fn hold(&self) -> Result<(), StoreError> {
        if self.there.load(Ordering::SeqCst) { Ok(()) } else { Err(StoreError::Full("no space".into())) }
    }
    fn release(&self) -> Result<(), StoreError> {
        self.released.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn full<T: std::fmt::Debug>(result: Result<T, Refusal>) {
    assert_eq!(result.unwrap_err().code, Code::StorageFull);
}

#[tokio::test]
async fn only_what_ends_work_or_makes_space_is_written_until_there_is_space_again() {
    let space = Arc::new(Space::default());
    let h = Harness::reserving(memory(), space.clone());
    let worker = h.worker(2).await;
    let (done, running, queued) = (
        h.submit(mock()).await.unwrap().task.id,
        h.submit(mock()).await.unwrap().task.id,
        h.submit(mock()).await.unwrap().task.id,
    );
    let claimed = h.claim(worker, 1).await.unwrap();
    assert_eq!(claimed.task, done);
    h.complete(worker, &claimed).await;
    let claimed = h.claim(worker, 2).await.unwrap();
    assert_eq!(claimed.task, running);
    assert!(h.engine.is_ready());

    h.store.fail_next(Fault::Full);
    full(h.submit(mock()).await);
    assert_eq!(space.released.load(Ordering::SeqCst), 1, "the reserve is given up");
    assert!(!h.engine.is_ready());
    // Without another word of the disk nothing else is even tried.
    full(h.submit(mock()).await);
    full(h.wish(queued, Wish::Pause { reason: None }).await);
    assert!(
        h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Completed { result: json("1") }))
            .await
            .is_err()
    );
    assert!(h.claim(worker, 3).await.is_none());
    assert_eq!(h.wish(queued, Wish::Cancel { reason: None }).await.unwrap(), State::Cancelled);
    assert_eq!(h.wish(running, Wish::Cancel { reason: None }).await.unwrap(), State::Cancelling);
    h.write(worker, &claimed, 1, Vec::new(), Some(AttemptEnd::Cancelled)).await.unwrap();
    assert_eq!(h.state(running).await, State::Cancelled);
    let delete = Op::Delete { tenant: TENANT, task: done, actor: actor(), reason: "requested" };
    h.engine.ask(delete).await.unwrap();
    assert_eq!(space.released.load(Ordering::SeqCst), 1);

    space.there.store(true, Ordering::SeqCst);
    h.clock.advance(Duration::from_secs(2));
    h.submit(mock()).await.unwrap();
    assert!(h.engine.is_ready());
    // The next time it is there again.
    h.store.fail_next(Fault::Full);
    full(h.submit(mock()).await);
    assert_eq!(space.released.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_very_cancel_that_met_the_full_disk_is_done() {
    let h = Harness::reserving(memory(), Arc::new(Space::default()));
    let task = h.submit(mock()).await.unwrap().task.id;
    h.store.fail_next(Fault::Full);
    assert_eq!(h.wish(task, Wish::Cancel { reason: None }).await.unwrap(), State::Cancelled);
}
