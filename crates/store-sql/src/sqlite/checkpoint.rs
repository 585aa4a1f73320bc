//! Moving the log into the database, beside the writer.
//!
//! SQLite syncs the database file only in the pass that catches up with the log, and that pass is the writer's: so the
//! thread here moves the bulk and syncs the file itself, before and after, and what is left to the writer is small.

use super::error::classify;
use super::{Shared, settings, sql};
use crate::statement::Engine;
use everloop_store::error::StoreError;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Pages in the log from which on it is moved.
const START_PAGES: i32 = 1_000;
/// Pages in the log from which on the writer waits for it to be emptied.
const BOUND_PAGES: i32 = 16_000;

/// The writer's side.
pub(super) struct Checkpoints {
    /// Pages in the log, as of the last commit.
    pages: Arc<AtomicI32>,
    /// Where the writer tries again to empty the log, readers having kept it from that.
    bound: i32,
    state: Arc<State>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// The thread was woken and is not done.
    busy: AtomicBool,
    /// The thread is done; the writer's own pass may follow.
    ready: AtomicBool,
}

impl Checkpoints {
    pub(super) fn start(writer: &mut Connection, shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicI32::new(0));
        let count = Arc::clone(&pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
            count.store(pages, Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(classify)?;
        let connection = settings::open_writing(&shared.path)?;
        let state = Arc::new(State::default());
        let (wake, woken) = sync_channel(1);
        let (theirs, shared) = (Arc::clone(&state), Arc::clone(shared));
        let thread = std::thread::Builder::new()
            .name("everloop-checkpoint".into())
            .spawn(move || work(&connection, &woken, &theirs, &shared))
            .map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Self { pages, bound: BOUND_PAGES, state, wake: Some(wake), thread: Some(thread) })
    }

    /// Looks at the log after a commit. The commit stands whatever comes of this.
    pub(super) fn after_commit(&mut self, writer: &Connection, shared: &Shared) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < START_PAGES {
            self.bound = BOUND_PAGES;
            return;
        }
        if pages >= self.bound {
            self.bound = pages + BOUND_PAGES / 4;
            tracing::warn!(pages, "the log of the database is long: the writer waits until it is moved");
            note(pass(writer, "PRAGMA wal_checkpoint(RESTART)"), shared);
        } else if !self.close_if_ready(writer, shared)
            && !self.state.busy.swap(true, Ordering::Relaxed)
            && let Some(wake) = &self.wake
        {
            // Full only if the thread was woken already.
            let _ = wake.try_send(());
        }
    }

    /// The pass that catches up, if the thread has done its part: the next commit then begins the log anew.
    pub(super) fn close_if_ready(&self, writer: &Connection, shared: &Shared) -> bool {
        let ready = self.state.ready.swap(false, Ordering::Acquire);
        if ready {
            sql::CHECKPOINT.ran(Engine::Sqlite);
            note(pass(writer, sql::CHECKPOINT.sql), shared);
            self.state.busy.store(false, Ordering::Relaxed);
        }
        ready
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // The thread never panics; if it did there is nothing to add to what was printed.
            let _ = thread.join();
        }
    }
}

fn work(connection: &Connection, woken: &Receiver<()>, state: &State, shared: &Shared) {
    while woken.recv().is_ok() {
        let done =
            sync(shared).and_then(|()| pass(connection, sql::CHECKPOINT.sql)).and_then(|()| sync(shared));
        note(done, shared);
        state.ready.store(true, Ordering::Release);
    }
}

/// Syncs the database file.
pub(super) fn sync(shared: &Shared) -> Result<(), StoreError> {
    shared.file.sync_data().map_err(|error| StoreError::Failed(error.into()))
}

/// One checkpoint; that readers or the other side keep it from its end is no error.
pub(super) fn pass(connection: &Connection, pragma: &str) -> Result<(), StoreError> {
    connection.prepare_cached(pragma).and_then(|mut s| s.query_row([], |_| Ok(()))).map_err(classify)
}

/// A checkpoint that failed does no harm to what is committed, unless it was the disk that failed.
fn note(done: Result<(), StoreError>, shared: &Shared) {
    match done {
        Ok(()) => {}
        Err(StoreError::Failed(error)) => {
            tracing::error!(%error, "fsync of the database failed: nothing more is written by this process");
            shared.failed.store(true, Ordering::Relaxed);
        }
        Err(error) => tracing::warn!(%error, "a checkpoint failed and is tried again"),
    }
}
