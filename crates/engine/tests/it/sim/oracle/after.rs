//! Rules about what a crash leaves, and about the end of a run.

use super::{Oracle, TENANT, Verdict};
use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_types::event::{Event, TypeFilter};
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;

impl Oracle {
    /// A server opens what a crash has left.
    pub(crate) fn reopened(&mut self, store: &dyn ReadStore) -> Result<(), StoreError> {
        self.see_who_is_gone(store);
        let tasks: Vec<_> = self.tasks.keys().copied().filter(|id| !self.deleted.contains(id)).collect();
        for id in tasks {
            let stored = store.events(TENANT, StreamName::Task(id), 0, 1_000_000)?;
            let told = &self.tasks[&id];
            let lost = told
                .events
                .iter()
                .enumerate()
                .find(|(i, event)| stored.get(*i).is_none_or(|stored| stored.hash != event.hash));
            let verdict = match lost {
                Some((_, event)) if event.seq <= told.sure => Err(format!(
                    "{id}/{} {} was durable before the crash and is not there after it",
                    event.seq, event.kind
                )),
                _ => Ok(()),
            };
            // What nobody was told may be gone: it is learned anew from what is there.
            if lost.is_some() {
                let sure = told.sure;
                self.tasks.remove(&id);
                for event in stored {
                    self.learn(id, event);
                }
                if let Some(told) = self.tasks.get_mut(&id) {
                    told.sure = sure;
                }
            } else {
                self.unread.insert(StreamName::Task(id));
            }
            self.rule("what was acknowledged is durable", verdict);
        }
        self.unread.append(&mut self.in_doubt);
        self.look(store);
        Ok(())
    }

    /// After everything has healed and ended.
    pub(crate) fn ended(&mut self, store: &dyn ReadStore) -> Result<(), StoreError> {
        let outbox = store.outbox(10)?;
        let verdict = if outbox.is_empty() { Ok(()) } else { Err(format!("nobody was told of {outbox:?}")) };
        self.rule("whoever has to hear of an end hears of it", verdict);
        let verdict = self.what_was_done_is_recorded();
        self.rule("a task that completes has recorded what it did", verdict);
        let leases = store.leases()?;
        let verdict = if leases.is_empty() { Ok(()) } else { Err(format!("left: {leases:?}")) };
        self.rule("nothing is held in the end", verdict);
        let left: Vec<_> = self
            .tasks
            .iter()
            .filter(|(id, told)| !told.task.state.is_terminal() && !self.deleted.contains(id))
            .map(|(id, _)| self.story(*id))
            .collect();
        let verdict = if left.is_empty() { Ok(()) } else { Err(left.join("\n")) };
        self.rule("everything ends", verdict);
        let timers = store.timers_due(Timestamp::MAX, 10)?;
        let verdict = if timers.is_empty() { Ok(()) } else { Err(format!("left: {timers:?}")) };
        self.rule("no timer is left", verdict);
        Ok(())
    }

    /// What a task that has come to its end did is what it recorded; losers of races are cut off.
    fn what_was_done_is_recorded(&self) -> Verdict {
        for (task, step) in self.effects.keys().filter(|(_, step)| !is_raced(step)) {
            let told = self.tasks.get(task).filter(|told| told.task.state == State::Completed);
            if told.is_some_and(|told| !told.facts.recorded.contains_key(step)) {
                return Err(format!("{step} of {task} has no outcome\n{}", self.story(*task)));
            }
        }
        Ok(())
    }

    /// A follower of a whole stream was shown this.
    pub(crate) fn followed(&mut self, who: &str, stream: StreamName, seen: &[(u64, [u8; 32])]) {
        let verdict = self.is_the_log(who, stream, seen);
        self.rule("a follower sees exactly the log", verdict);
    }

    fn is_the_log(&self, who: &str, stream: StreamName, seen: &[(u64, [u8; 32])]) -> Verdict {
        let Some(told) = stream.task().and_then(|task| self.tasks.get(&task)) else { return Ok(()) };
        let wrong = seen.iter().zip(1..).find(|((seq, hash), n)| {
            seq != n
                || told.events.get(usize::try_from(*n - 1).unwrap()).is_none_or(|event| event.hash != *hash)
        });
        if let Some(((seq, _), n)) = wrong {
            return Err(format!("{who} was shown {stream}/{seq} where {n} was next, or another one"));
        }
        let gone = stream.task().is_some_and(|task| self.deleted.contains(&task));
        if seen.len() != told.events.len() && !gone {
            return Err(format!(
                "{who} was shown {} of {} events of {stream}",
                seen.len(),
                told.events.len()
            ));
        }
        Ok(())
    }

    /// A follower of many streams, and only of some types, was shown this.
    pub(crate) fn fed(
        &mut self,
        store: &dyn ReadStore,
        who: &str,
        types: &TypeFilter,
        seen: &[Event],
    ) -> Result<(), StoreError> {
        let mut expected = Vec::new();
        let mut pos = 0;
        loop {
            let page = store.feed(TENANT, pos, 1_000)?;
            let Some(last) = page.last() else { break };
            pos = last.pos;
            expected
                .extend(page.into_iter().map(|found| found.event).filter(|event| types.matches(&event.kind)));
        }
        let gone = |event: &&Event| event.stream.task().is_some_and(|task| self.deleted.contains(&task));
        let seen: Vec<_> = seen.iter().filter(|event| !gone(event)).collect();
        let name = |event: &Event| format!("{}/{}", event.stream, event.seq);
        let differs = expected.iter().zip(&seen).find(|(expected, seen)| expected.hash != seen.hash);
        let verdict = match differs {
            Some((expected, seen)) => {
                Err(format!("{who} was shown {} where {} stands", name(seen), name(expected)))
            }
            None if expected.len() != seen.len() => {
                Err(format!("{who} was shown {} of {} events of {types:?}", seen.len(), expected.len()))
            }
            None => Ok(()),
        };
        self.rule("a filtered follower sees exactly its part of the log", verdict);
        Ok(())
    }
}

/// Whether it is a step of a branch that may lose.
fn is_raced(step: &str) -> bool {
    step.split_once("]/").is_some_and(|(scope, _)| !scope.starts_with("parallel["))
}
