//! Where the store is read, and by how many at once.

use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_types::error::{Code, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Reads that run at the same time: a few more than a store has connections, so that none of those stands idle.
const AT_ONCE: usize = 16;
/// Reads that may wait for others before a request is shed.
const WAITING: usize = 512;

/// How late the answer to the next read comes.
pub type Latency = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The readers, and where they may block. Cloning is cheap.
#[derive(Clone)]
pub struct Reads {
    store: Arc<dyn ReadStore>,
    /// Read on the caller's own thread, with answers that come so late: for one that drives everything.
    inline: Option<Latency>,
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// One that waits, until it does not any more.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reads {
    pub(crate) fn new(store: Arc<dyn ReadStore>, inline: Option<Latency>) -> Self {
        Self { store, inline, places: Arc::new(Semaphore::new(AT_ONCE)), waiting: Arc::default() }
    }

    /// The readers themselves, for where blocking is allowed.
    pub(crate) fn store(&self) -> &Arc<dyn ReadStore> {
        &self.store
    }

    /// Whether so many wait that another request would only wait, too.
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= WAITING
    }

    /// What a request gets that came when it was crowded.
    pub(crate) fn shed() -> Refusal {
        Refusal::new(Code::Overloaded, format!("{WAITING} reads wait for the database already"))
            .hint("send the request again after a while")
            .retry_after_ms(1_000)
    }

    /// Reads the store, by default on a thread where blocking is allowed. Waits for its turn behind others.
    ///
    /// # Errors
    /// Whatever the read gives; `Unavailable` if it panicked.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn ReadStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if let Some(late) = self.inline.as_ref().map(|latency| latency()) {
            let found = read(&*self.store);
            if !late.is_zero() {
                // Meanwhile others go on, as they do beside a read on a thread of its own.
                tokio::time::sleep(late).await;
            }
            return found;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        let place = self.places.clone().acquire_owned().await;
        drop(waiting);
        let place = place.map_err(|error| StoreError::Unavailable(error.into()))?;
        let store = self.store.clone();
        let read = move || {
            // Held until the read is over, whether anybody still waits for it or not.
            let _place = place;
            read(&*store)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            Err(error) => Err(StoreError::Unavailable(error.into())),
        }
    }
}
