//! What an engine gives to the suite.

use crate::error::StoreError;
use crate::port::{Blob, ReadStore, Snapshot, WriteStore};
use crate::work::{Committed, Row, Wanted, WorkingSet, WriteSet};
use everloop_types::time::Timestamp;
use std::sync::Arc;

/// An open, empty database of one engine.
pub struct Harness {
    /// For messages: `memory`, `sqlite`, `postgres`.
    pub name: &'static str,
    /// The writer.
    pub writer: Box<dyn WriteStore>,
    /// The readers.
    pub reader: Arc<dyn ReadStore>,
    /// The bytes of blobs.
    pub blob: Arc<dyn Blob>,
    /// Whether [`WriteStore::load`] answers with the time of the database.
    pub own_clock: bool,
    /// Opens another server's writer on the same database, where the engine allows more than one.
    pub another: Option<Arc<dyn Fn() -> Box<dyn WriteStore> + Send + Sync>>,
    /// Opens the same database again. Writer, reader and blob were dropped before. What has to outlive them (a folder, a
    /// database that is dropped at the end) belongs to this closure.
    pub reopen: Box<dyn FnOnce() -> Harness>,
}

impl Harness {
    /// Closes the database and opens it again.
    #[must_use]
    pub fn reopen(self) -> Self {
        let Self { writer, reader, blob, another, reopen, .. } = self;
        drop((writer, reader, blob, another));
        reopen()
    }

    /// Commits.
    ///
    /// # Errors
    /// Those of [`WriteStore::commit`].
    pub fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        self.writer.commit(writes)
    }

    /// Loads at a fixed time.
    ///
    /// # Errors
    /// Those of [`WriteStore::load`].
    pub fn load(&mut self, wanted: &Wanted) -> Result<WorkingSet, StoreError> {
        self.writer.load(wanted, Timestamp::from_micros(1_800_000_000_000_000))
    }
}

/// Runs a case on a new database, if there is one.
pub fn run<T: Into<Option<Harness>>>(open: impl FnOnce() -> T, case: impl FnOnce(Harness)) {
    if let Some(harness) = open().into() {
        case(harness);
    }
}

/// Every row of a snapshot.
pub(super) fn all_rows(snapshot: &dyn Snapshot) -> Vec<Row> {
    let mut rows = Vec::new();
    let taken = snapshot.rows(&mut |row| {
        rows.push(row);
        Ok(())
    });
    taken.unwrap();
    rows
}

/// Waits, at most five seconds, for what a store may show a moment after the commit: the feed, where other transactions of
/// the database are still open.
pub(super) fn wait_for(mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(holds(), "it did not happen within five seconds");
}
