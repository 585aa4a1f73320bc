//! Moving the log into the database, beside the writer.
//!
//! SQLite syncs the database file only in the pass that catches up with the log, and that pass is the writer's: so the
//! thread here moves the bulk and syncs the file itself, before and after, and what is left to the writer is small.

use super::error::classify;
use super::{Shared, settings, sql};
use crate::open::CheckpointOptions;
use crate::statement::Engine;
use everloop_store::error::StoreError;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The writer's side.
pub(super) struct Checkpoints {
    /// Pages in the log, as of the last commit.
    pages: Arc<AtomicI32>,
    options: CheckpointOptions,
    /// Where the writer tries again to empty the log, readers having kept it from that.
    bound: i32,
    /// Who moves the log, if it is not the writer.
    beside: Option<Beside>,
}

/// The thread beside the writer.
struct Beside {
    state: Arc<State>,
    /// Gone when the thread is to end.
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
    pub(super) fn start(
        writer: &mut Connection,
        shared: &Arc<Shared>,
        options: CheckpointOptions,
    ) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicI32::new(0));
        let count = Arc::clone(&pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
            count.store(pages, Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(classify)?;
        let beside = if options.thread { Some(Beside::start(shared)?) } else { None };
        Ok(Self { pages, options, bound: options.bound_pages, beside })
    }

    /// Looks at the log after a commit. The commit stands whatever comes of this.
    pub(super) fn after_commit(&mut self, writer: &Connection, shared: &Shared) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.options.start_pages {
            self.bound = self.options.bound_pages;
            return;
        }
        if pages >= self.bound {
            self.bound = pages + self.options.bound_pages / 4;
            tracing::warn!(pages, "the log of the database is long: the writer waits until it is moved");
            note(settings::hurried(writer, |writer| pass(writer, "PRAGMA wal_checkpoint(RESTART)")), shared);
            return;
        }
        match &self.beside {
            None => note(move_log(writer, shared), shared),
            Some(beside) => {
                if !self.close_if_ready(writer, shared) {
                    beside.wake();
                }
            }
        }
    }

    /// The pass that catches up, if the thread has done its part: the next commit then begins the log anew.
    pub(super) fn close_if_ready(&self, writer: &Connection, shared: &Shared) -> bool {
        let Some(Beside { state, .. }) = &self.beside else { return false };
        let ready = state.ready.swap(false, Ordering::Acquire);
        // After a sync that failed, SQLite's own would say that all is well, and the next write would begin the log anew.
        if ready && !shared.failed.load(Ordering::Relaxed) {
            note(pass(writer, sql::CHECKPOINT.sql), shared);
            state.busy.store(false, Ordering::Relaxed);
        }
        ready
    }

    /// Waits for the thread to end.
    pub(super) fn stop(&mut self) {
        self.beside = None;
    }
}

impl Beside {
    fn start(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let connection = settings::open_writing(shared)?;
        let state = Arc::new(State::default());
        let (wake, woken) = sync_channel(1);
        let (theirs, shared) = (Arc::clone(&state), Arc::clone(shared));
        let thread = std::thread::Builder::new()
            .name("everloop-checkpoint".into())
            .spawn(move || work(&connection, &woken, &theirs, &shared))
            .map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Self { state, wake: Some(wake), thread: Some(thread) })
    }

    fn wake(&self) {
        if !self.state.busy.swap(true, Ordering::Relaxed)
            && let Some(wake) = &self.wake
        {
            // Full only if the thread was woken already.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Beside {
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
        note(move_log(connection, shared), shared);
        state.ready.store(true, Ordering::Release);
    }
}

/// Moves what can be moved, and syncs the file before and after.
fn move_log(connection: &Connection, shared: &Shared) -> Result<(), StoreError> {
    sync(shared)?;
    sql::CHECKPOINT.ran(Engine::Sqlite);
    pass(connection, sql::CHECKPOINT.sql)?;
    sync(shared)
}

/// Syncs the database file.
pub(super) fn sync(shared: &Shared) -> Result<(), StoreError> {
    shared.held.sync(&shared.path).map_err(|error| StoreError::Failed(error.into()))
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
