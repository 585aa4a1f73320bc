//! Whether anything of an attempt can go on by itself.

use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// The branches of an attempt's code that have not ended, and those of them that only hold a timer.
pub(crate) struct Activity {
    counts: Mutex<Counts>,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Counts {
    branches: usize,
    parked: usize,
}

impl Default for Activity {
    fn default() -> Self {
        // The code itself is the first branch.
        Self { counts: Mutex::new(Counts { branches: 1, parked: 0 }), changed: Notify::new() }
    }
}

impl Activity {
    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    /// Whether whatever is left only holds timers: then the task may wait for them without a worker.
    pub(crate) fn is_stuck(&self) -> bool {
        let counts = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.parked >= counts.branches
    }

    /// Ends when that may have changed.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// A timer is held for as long as this lives.
    pub(crate) fn park(&self) -> Parked<'_> {
        self.change(|counts| counts.parked += 1);
        Parked(self)
    }

    /// A branch goes on as so many, for as long as this lives.
    pub(crate) fn fork(&self, many: usize) -> Fork<'_> {
        self.change(|counts| counts.branches = (counts.branches + many).saturating_sub(1));
        Fork { activity: self, alive: many }
    }
}

/// See [`Activity::park`].
pub(crate) struct Parked<'a>(&'a Activity);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.change(|counts| counts.parked -= 1);
    }
}

/// See [`Activity::fork`]. The branch that waits for the others does not count meanwhile.
pub(crate) struct Fork<'a> {
    activity: &'a Activity,
    alive: usize,
}

impl Fork<'_> {
    /// One of them has ended.
    pub(crate) fn ended(&mut self) {
        self.alive -= 1;
        self.activity.change(|counts| counts.branches -= 1);
    }
}

impl Drop for Fork<'_> {
    fn drop(&mut self) {
        let alive = self.alive;
        self.activity.change(|counts| counts.branches = counts.branches + 1 - alive);
    }
}
