//! Ends of attempts that are worked out before they reach the pipeline's thread.
//!
//! Linking and signing the last events of a task costs as much as writing them. Whoever asks does it on its own thread, on
//! the record that was committed last; the pipeline takes it over if the record is still that one, and works it out anew if
//! not. Nothing rests on it: it is only faster.

use super::batch::{Entry, Tools, append, sign};
use super::op::Snapshot;
use crate::machine::attempt;
use everloop_store::rows::{LeaseRow, Signature};
use everloop_types::event::{Event, Head};
use everloop_types::id::TaskId;
use everloop_types::task::Task;
use everloop_types::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Tasks that somebody holds, as they were committed last.
#[derive(Debug, Default)]
pub(super) struct Leased(Mutex<HashMap<TaskId, (Arc<Snapshot>, LeaseRow)>>);

impl Leased {
    /// Learns of commits: a task with its lease, or one that nobody holds any more.
    pub(super) fn learn(&self, changes: impl Iterator<Item = (Arc<Snapshot>, Option<LeaseRow>)>) {
        let mut leased = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (snapshot, lease) in changes {
            match lease {
                Some(lease) => leased.insert(snapshot.task.id, (snapshot, lease)),
                None => leased.remove(&snapshot.task.id),
            };
        }
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn get(&self, task: TaskId) -> Option<(Arc<Snapshot>, LeaseRow)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&task).cloned()
    }

    /// Works out the end of an attempt. Nothing if it can't be, or does not end the task: the pipeline will see why.
    pub(super) fn prepare(
        &self,
        tools: Tools<'_>,
        task: TaskId,
        write: &attempt::Write,
        now: Timestamp,
    ) -> Option<Prepared> {
        let (snapshot, lease) = self.get(task)?;
        let mut entry =
            Entry::load(snapshot.task.clone(), snapshot.head, Some(lease.clone()), Default::default());
        let drafts = attempt::decide(entry.view(now), write.clone(), tools.random).ok()?;
        append(tools, &mut entry, now, drafts).ok()?;
        let signature = if entry.task.state.is_terminal() { sign(tools.key, &entry)? } else { return None };
        Some(Prepared {
            expected: snapshot.head,
            lease,
            task: entry.task,
            head: entry.head,
            events: entry.events,
            signature,
        })
    }
}

/// An end that was worked out.
#[derive(Debug)]
pub struct Prepared {
    /// The head that it was worked out on.
    pub(super) expected: Head,
    /// The lease that it was worked out on.
    pub(super) lease: LeaseRow,
    pub(super) task: Arc<Task>,
    pub(super) head: Head,
    pub(super) events: Vec<Event>,
    pub(super) signature: Signature,
}
