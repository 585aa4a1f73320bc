//! The engine in memory: for tests and for the simulation, never for anybody's data.
//!
//! It keeps two states, as a computer does: the volatile one that everybody reads, and the durable one that a power cut
//! leaves. A commit changes the first and, unless the simulation holds its fsync back, at once the second. Both are plain maps
//! under one lock. Any number of writers may be open at once, as many servers would be over one database.

mod apply;
mod fault;
mod lists;
mod load;
mod read;
mod state;

pub use fault::Fault;

use crate::error::StoreError;
use crate::port::{Blob, WriteStore};
use crate::rows::Installation;
use crate::work::{Committed, Wanted, WorkingSet, WriteSet};
use everloop_types::id::TenantId;
use everloop_types::time::Timestamp;
use fault::Disk;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A database in memory, and the hand that cuts its power. Clones are the same database.
#[derive(Clone)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    blobs: Arc<Mutex<Blobs>>,
}

/// Bytes by tenant and id.
type Blobs = BTreeMap<(TenantId, String), Vec<u8>>;

impl MemoryStore {
    /// An empty database.
    pub fn new(installation: Installation) -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::new(installation))), blobs: Arc::default() }
    }

    /// A writer. More than one at a time are servers of one cluster.
    pub fn writer(&self) -> MemoryWriter {
        MemoryWriter { store: self.clone() }
    }

    /// The readers.
    pub fn reader(&self) -> Arc<MemoryReader> {
        Arc::new(MemoryReader { store: self.clone() })
    }

    /// The bytes of blobs.
    pub fn blob(&self) -> Arc<MemoryBlob> {
        Arc::new(MemoryBlob { store: self.clone() })
    }

    /// Cuts the power and switches it on again: everything that is not durable is gone, and so are planned faults.
    pub fn crash(&self) {
        self.disk().crash();
    }

    /// Plans how a coming commit fails, or with none that it does not: the next one, or the one after those that were planned
    /// before.
    pub fn fail_next(&self, fault: impl Into<Option<Fault>>) {
        self.disk().fail_next(fault.into());
    }

    /// Whether the database answers at all. While it does not, everything is [`StoreError::Unavailable`].
    pub fn set_available(&self, available: bool) {
        self.disk().set_available(available);
    }

    /// Holds every fsync back from now on, or lets commits be durable at once again (and makes the held ones so). A store
    /// that answers before its fsync is a store with a bug: this plants it.
    pub fn hold_syncs(&self, hold: bool) {
        self.disk().hold_syncs(hold);
    }

    /// Makes what was committed so far durable.
    pub fn sync(&self) {
        self.disk().sync();
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A panic in here is a bug that its own test shows; the next one shall not hide it behind a poisoned lock.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blobs(&self) -> MutexGuard<'_, Blobs> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer of a [`MemoryStore`].
pub struct MemoryWriter {
    store: MemoryStore,
}

impl WriteStore for MemoryWriter {
    fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError> {
        Ok(self.store.disk().read()?.load(wanted, now))
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        self.store.disk().commit(writes)
    }
}

/// The readers of a [`MemoryStore`].
pub struct MemoryReader {
    store: MemoryStore,
}

/// The bytes of a [`MemoryStore`]'s blobs. They are durable when they were put, as the port demands.
pub struct MemoryBlob {
    store: MemoryStore,
}

impl Blob for MemoryBlob {
    fn put(&self, tenant: TenantId, id: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.disk().read()?;
        self.store.blobs().insert((tenant, id.to_owned()), bytes.to_vec());
        Ok(())
    }

    fn get(&self, tenant: TenantId, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.disk().read()?;
        Ok(self.store.blobs().get(&(tenant, id.to_owned())).cloned())
    }

    fn delete(&self, tenant: TenantId, id: &str) -> Result<(), StoreError> {
        self.store.disk().read()?;
        self.store.blobs().remove(&(tenant, id.to_owned()));
        Ok(())
    }
}
