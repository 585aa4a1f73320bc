//! Rules about what somebody was told: it is there, and stays.

use super::{Oracle, TENANT, Verdict};
use everloop_store::port::ReadStore;
use everloop_types::event::{Event, EventBody, Head};
use everloop_types::id::TaskId;
use everloop_types::lease::LeaseToken;
use everloop_types::stream::StreamName;
use everloop_types::task::TaskSpec;
use everloop_worker::source::AttemptEnd;

impl Oracle {
    /// A new task has this key: no other live one may have it, but the one that it goes on for or was forked from.
    pub(super) fn one_task_per_key(&self, task: TaskId, spec: &TaskSpec) -> Verdict {
        let Some(key) = &spec.key else { return Ok(()) };
        let other = self.tasks.iter().find(|(id, told)| {
            told.task.spec.key.as_ref() == Some(key)
                && !self.deleted.contains(id)
                && spec.continues != Some(**id)
                && told.task.continued_as.is_none()
        });
        match other {
            Some((other, _)) => Err(format!("{task} and {other} both have the key {key}")),
            None => Ok(()),
        }
    }

    /// Somebody was told that the stream had come to this head.
    pub(crate) fn acknowledged(&mut self, store: &dyn ReadStore, task: TaskId, head: Head, what: &str) {
        let verdict = self.has(store, task, head.seq, head.hash, what);
        self.rule("what was acknowledged is there", verdict);
    }

    /// A submit was answered.
    pub(crate) fn submitted(&mut self, store: &dyn ReadStore, key: &str, task: TaskId, head: Head) {
        self.acknowledged(store, task, head, &format!("the submit of {key}"));
        let first = *self.keys.entry(key.to_owned()).or_insert(task);
        let continued = |mut id: TaskId| {
            while let Some(next) = self.tasks.get(&id).and_then(|told| told.task.continued_as) {
                if next == task {
                    return true;
                }
                id = next;
            }
            false
        };
        let verdict = if first == task || continued(first) {
            Ok(())
        } else {
            Err(format!("{key} was answered with {first}, and then with {task}"))
        };
        self.rule("a key is one task", verdict);
    }

    /// A follower was shown an event.
    pub(crate) fn shown(&mut self, store: &dyn ReadStore, who: &str, event: &Event) {
        let Some(task) = event.stream.task() else { return };
        let verdict = self.has(store, task, event.seq, event.hash, who);
        self.rule("nothing is shown before it is durable", verdict);
    }

    fn has(&mut self, store: &dyn ReadStore, task: TaskId, seq: u64, hash: [u8; 32], what: &str) -> Verdict {
        if self.deleted.contains(&task) {
            return Ok(());
        }
        if self.tasks.get(&task).is_none_or(|told| (told.events.len() as u64) < seq) {
            // It was written by a commit that could not be looked at then.
            self.unread.insert(StreamName::Task(task));
            self.look(store);
        }
        let Some(told) = self.tasks.get_mut(&task) else {
            let stored = matches!(store.task(TENANT, task), Ok(Some(_)));
            return Err(format!("{what} told of {task}, which is not there (in the store: {stored})"));
        };
        let at = usize::try_from(seq).unwrap();
        match told.events.get(at.wrapping_sub(1)) {
            Some(event) if event.hash == hash => {
                told.sure = told.sure.max(seq);
                Ok(())
            }
            Some(event) => Err(format!("{what} told of another {task}/{seq} than {}", event.kind)),
            None => Err(format!("{what} told of {task}/{seq}, and it has {} events", told.events.len())),
        }
    }

    /// A holder was told that its events, and the end of its attempt, are written.
    pub(crate) fn written(
        &mut self,
        task: TaskId,
        token: LeaseToken,
        events: &[EventBody],
        end: Option<&AttemptEnd>,
    ) {
        let verdict = self.was_written(task, token, events, end);
        self.rule("what a worker was told is written, is", verdict);
    }

    fn was_written(
        &self,
        task: TaskId,
        token: LeaseToken,
        events: &[EventBody],
        end: Option<&AttemptEnd>,
    ) -> Verdict {
        let Some(told) = self.tasks.get(&task) else { return Err(format!("{task} is not there")) };
        for body in events {
            let there = told.events.iter().any(|event| event.body().ok().flatten().as_ref() == Some(body));
            if !there {
                return Err(format!("{task}: attempt {} wrote {body:?}, and it is not there", token.attempt));
            }
        }
        let runs = told.facts.holder.as_ref().is_some_and(|(attempt, _)| *attempt == token.attempt);
        match end {
            Some(end) if runs => {
                Err(format!("{task}: attempt {} ended ({end:?}) and still runs", token.attempt))
            }
            _ => Ok(()),
        }
    }

    /// A client was told that its input was taken.
    pub(crate) fn input_taken(&mut self, task: TaskId, input: &str) {
        let there =
            self.tasks.get(&task).is_some_and(|told| told.facts.inputs.iter().any(|(id, ..)| id == input));
        let verdict = if there { Ok(()) } else { Err(format!("input {input} of {task} is not there")) };
        self.rule("what was acknowledged is there", verdict);
    }

    /// A client was told that its answer counts.
    pub(crate) fn answered(&mut self, task: TaskId, request: &str, decision: &str) {
        let made = self.tasks.get(&task).and_then(|told| told.facts.decisions.get(request));
        let verdict = match made {
            Some(made) if made == decision => Ok(()),
            made => {
                Err(format!("the answer {decision} to {request} of {task} counts, and {made:?} is there"))
            }
        };
        self.rule("what was acknowledged is there", verdict);
    }
}
