//! What is written of an attempt, and what of it the code sees when it is run again: as usual, dry, or after every step.

use crate::context::{Context, canonical, lock};
use crate::executor::Stop;
use crate::journal::Journal;
use crate::source::is_journal;
use everloop_types::event::{EventBody, StepFailed};
use everloop_types::task::PauseReason;
use everloop_types::worker::Replay;
use std::sync::atomic::Ordering;

impl Context {
    /// Writes an event of the attempt. It is durable once [`Context::flush`] has returned.
    pub(crate) fn push(&self, body: EventBody) {
        match self.shared().assignment.replay {
            // Nothing new is done, and so nothing is said.
            Some(Replay::Only) => return,
            Some(Replay::Always) if is_journal(&body.kind()) => lock(&self.shared().past).push(body.clone()),
            Some(Replay::Always) | None => {}
        }
        self.shared().outbox.push(body);
    }

    /// Keeps a failure that would be tried again, until it is known what the code makes of it: if the code goes on, it is an
    /// outcome; if it ends the try, the step runs again with the next one.
    pub(crate) fn hold(&self, failed: StepFailed) {
        lock(&self.shared().held).push((self.scope.clone(), failed));
    }

    /// Writes the failures that were kept in a scope and below it.
    pub(crate) fn settle(&self, scope: &str, are_outcomes: bool) {
        let mut held = lock(&self.shared().held);
        if held.is_empty() {
            return;
        }
        let is_below = |own: &str| {
            own.strip_prefix(scope)
                .is_some_and(|rest| scope.is_empty() || rest.is_empty() || rest.starts_with('/'))
        };
        let settled: Vec<_> = held.extract_if(.., |(own, _)| is_below(own)).collect();
        drop(held);
        for (_, mut failed) in settled {
            failed.next_at = (!are_outcomes).then(|| self.wall_clock());
            self.push(failed.into());
        }
    }

    /// Whether the task is only to be replayed.
    pub(crate) fn is_dry(&self) -> bool {
        self.shared().assignment.replay == Some(Replay::Only)
    }

    /// Goes on behind something that was recorded just now, unless the code is run from its top first. It is not where that
    /// would change who wins a race, or cut off a clean-up.
    pub(crate) fn go_on(&self, key: &str) -> Result<(), Stop> {
        let is_always = self.shared().assignment.replay == Some(Replay::Always);
        if is_always && !self.manner.is_contested && !self.manner.cleans_up {
            return Err(Stop::Replayed(vec![key.to_owned()]));
        }
        Ok(())
    }

    /// Whether something is recorded in this scope that the code has not come to: an earlier attempt was here.
    pub(crate) fn replays(&self) -> bool {
        self.journal().has_ahead(&self.scope)
    }

    /// What the task stands still for that was only replayed.
    pub(crate) fn replayed(&self, mut at: Vec<String>) -> PauseReason {
        at.sort();
        at.dedup();
        let details = canonical(&serde_json::json!({"ahead": self.journal().count_ahead(), "at": at}));
        PauseReason { by: String::new(), details: details.ok(), reason: "replayed".to_owned() }
    }

    /// Where the code is run again over what it has recorded, and it has recorded something: forgets where it was. It begins from
    /// its top then.
    pub(crate) fn rewind(&self) -> bool {
        if self.shared().assignment.replay != Some(Replay::Always) {
            return false;
        }
        let past = lock(&self.shared().past).clone();
        if self.shared().known.swap(past.len(), Ordering::Relaxed) == past.len() {
            return false;
        }
        *self.journal() = Journal::new(past);
        lock(&self.shared().occurrences).clear();
        true
    }
}
