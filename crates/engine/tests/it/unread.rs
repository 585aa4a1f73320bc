//! Claimed tasks whose past could not be read when they were claimed.

use crate::harness::{Harness, json, memory, mock};
use everloop_engine::pipeline::op::Wish;
use everloop_store::error::StoreError;
use everloop_store::memory::MemoryStore;
use everloop_store::port::WriteStore;
use everloop_store::work::{Committed, Row, Wanted, WorkingSet, WriteSet};
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::time::Timestamp;
use everloop_worker::source::{Assignment, SourceError, WorkSource};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The database is away as soon as a claim was committed.
struct Away {
    inner: Box<dyn WriteStore>,
    store: MemoryStore,
    armed: Arc<AtomicBool>,
}

impl WriteStore for Away {
    fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError> {
        self.inner.load(wanted, now)
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        let committed = self.inner.commit(writes);
        let claims = |row: &Row| matches!(row, Row::LeasePut(_));
        if writes.streams.iter().flat_map(|stream| &stream.rows).any(claims)
            && self.armed.swap(false, Ordering::SeqCst)
        {
            self.store.set_available(false);
        }
        committed
    }
}

async fn claim(h: &Harness, worker: WorkerId, request: u64) -> Result<Vec<Assignment>, SourceError> {
    h.source.claim(worker, 4, Duration::from_millis(300), request).await
}

/// A worker that has claimed a task and could not be told so.
async fn untold() -> (Harness, WorkerId, TaskId) {
    let store = memory();
    let armed: Arc<AtomicBool> = Arc::default();
    let writer = Away { inner: Box::new(store.writer()), store: store.clone(), armed: armed.clone() };
    let h = Harness::with(store, Box::new(writer), 256);
    let worker = h.worker(4).await;
    let task = h.submit(mock()).await.unwrap().task.id;
    // An input is part of a task's past: it has to be read for whoever claims it.
    h.wish(task, Wish::Input { id: "a".to_owned(), name: "go".to_owned(), data: json("1") }).await.unwrap();
    armed.store(true, Ordering::SeqCst);
    assert!(claim(&h, worker, 1).await.is_err());
    h.store.set_available(true);
    (h, worker, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_could_not_be_read_is_given_once_when_it_is_asked_for_again() {
    let (h, worker, task) = untold().await;
    let given = claim(&h, worker, 1).await.unwrap();
    assert_eq!(given.iter().map(|of| of.task).collect::<Vec<_>>(), [task]);
    assert!(claim(&h, worker, 2).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_could_not_be_read_is_given_by_the_next_request_with_a_whole_term() {
    let (h, worker, task) = untold().await;
    h.pass(Duration::from_secs(80)).await;
    let given = claim(&h, worker, 2).await.unwrap();
    assert_eq!(given.iter().map(|of| of.task).collect::<Vec<_>>(), [task]);
    h.pass(Duration::from_secs(80)).await;
    h.complete(worker, &given[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_could_not_be_read_is_not_given_after_its_lease() {
    let (h, worker, task) = untold().await;
    h.pass(Duration::from_secs(100)).await;
    let other = h.worker(4).await;
    let held = claim(&h, other, 1).await.unwrap();
    assert_eq!(held.first().map(|of| (of.task, of.attempt)), Some((task, 2)));
    assert!(claim(&h, worker, 2).await.unwrap().is_empty());
    h.complete(other, &held[0]).await;
}
