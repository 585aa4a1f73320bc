//! How many tasks there are: what a commit changes of it.

use crate::encode::{self, int};
use everloop_types::id::TenantId;
use everloop_types::task::Task;

/// What a task counts for: its queue, state and use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) queue: String,
    pub(crate) state: i64,
    pub(crate) running_us: i64,
    pub(crate) event_bytes: i64,
}

/// A change of a row of the tally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) tenant: TenantId,
    pub(crate) queue: String,
    pub(crate) state: i64,
    pub(crate) tasks: i64,
    pub(crate) running_us: i64,
    pub(crate) event_bytes: i64,
}

/// The changes of a commit: one for each queue and state, however many tasks there are.
#[derive(Default)]
pub(crate) struct Tally(Vec<Change>);

impl Tally {
    /// A record takes the place of an old one, or is new.
    pub(crate) fn written(&mut self, task: &Task, old: Option<&Counted>) {
        if let Some(old) = old {
            self.add(task.tenant, &old.queue, old.state, [-1, -old.running_us, -old.event_bytes]);
        }
        let usage = [1, int(task.usage.running_us), int(task.usage.event_bytes)];
        self.add(task.tenant, &task.spec.queue, encode::state(task.state), usage);
    }

    /// A record is gone.
    pub(crate) fn removed(&mut self, tenant: TenantId, old: &Counted) {
        self.add(tenant, &old.queue, old.state, [-1, -old.running_us, -old.event_bytes]);
    }

    fn add(&mut self, tenant: TenantId, queue: &str, state: i64, by: [i64; 3]) {
        let place =
            |change: &Change| change.tenant == tenant && change.state == state && change.queue == queue;
        // There are few.
        let at = self.0.iter().position(place).unwrap_or_else(|| {
            let (tasks, running_us, event_bytes) = (0, 0, 0);
            self.0.push(Change { tenant, queue: queue.to_owned(), state, tasks, running_us, event_bytes });
            self.0.len() - 1
        });
        let change = &mut self.0[at];
        change.tasks += by[0];
        change.running_us += by[1];
        change.event_bytes += by[2];
    }

    /// What changes at all, in the order in which rows are locked.
    pub(crate) fn changes(self) -> Vec<Change> {
        let is_change = |change: &Change| (change.tasks, change.running_us, change.event_bytes) != (0, 0, 0);
        let mut changes: Vec<_> = self.0.into_iter().filter(is_change).collect();
        changes.sort_by(|a, b| (a.tenant, &a.queue, a.state).cmp(&(b.tenant, &b.queue, b.state)));
        changes
    }
}
