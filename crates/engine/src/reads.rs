//! Where the store is read.

use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use std::sync::Arc;

/// The readers, and where they may block. Cloning is cheap.
#[derive(Clone)]
pub struct Reads {
    pub(crate) store: Arc<dyn ReadStore>,
    /// On the caller's own thread: for one that drives everything.
    pub(crate) inline: bool,
}

impl Reads {
    /// Reads the store, by default on a thread where blocking is allowed.
    ///
    /// # Errors
    /// Whatever the read gives; `Unavailable` if it panicked.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn ReadStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.inline {
            return read(&*self.store);
        }
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || read(&*store)).await {
            Ok(read) => read,
            Err(error) => Err(StoreError::Unavailable(error.into())),
        }
    }
}
