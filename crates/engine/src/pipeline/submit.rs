//! New tasks, and the keys that they answer to.

use super::Pipeline;
use super::batch::{Batch, Tools};
use super::op::{Answer, Submit};
use super::process::{Outcome, Processed};
use crate::machine::{fork, submit};
use everloop_store::rows::KeyRow;
use everloop_store::work::Row;
use everloop_types::error::{Code, Refusal};
use everloop_types::id::TaskId;

impl Pipeline {
    pub(super) fn submit(&mut self, batch: &mut Batch, tools: Tools<'_>, submit: &Submit) -> Processed {
        for hash in &submit.keys {
            let Some(row) = batch.keys.get(hash).filter(|row| row.tenant == submit.tenant) else { continue };
            if row.task == submit.id {
                // This very command was written before its answer was lost.
                return Ok(Outcome::Ready(Answer::Existing(row.task)));
            }
            if row.deleted_at.is_some() {
                let detail = format!("the key stood for task {}, which was deleted", row.task);
                return Err(Refusal::new(Code::TaskDeleted, detail)
                    .hint("use another key; this one is free 30 days after the deletion"));
            }
            if Some(row.task) == submit.takes_key_of {
                continue;
            }
            if row.request != submit.request {
                let detail =
                    format!("the key stands for task {}, which was submitted with another request", row.task);
                return Err(Refusal::new(Code::IdempotencyConflict, detail)
                    .hint("use another key, or send the same request"));
            }
            let task = row.task;
            return Ok(if batch.entries.contains_key(&task) {
                Outcome::Submitted { task, created: false }
            } else {
                Outcome::Ready(Answer::Existing(task))
            });
        }
        let state_of = |task: TaskId| {
            batch
                .entries
                .get(&task)
                .filter(|entry| entry.task.tenant == submit.tenant)
                .map(|entry| entry.task.state)
        };
        let decided = submit::decide(
            submit.id,
            submit.tenant,
            &submit.actor,
            submit.spec.clone(),
            batch.now,
            &state_of,
        )?;
        let mut events = decided.events;
        if let Some(source) = &submit.fork {
            let prefix = fork::prefix(&submit.actor, source.from.clone(), &source.events);
            events.splice(1..1, prefix);
        }
        let key_row = |key: &KeyRow| match batch.keys.get(&key.hash) {
            Some(taken) => {
                Row::KeyMove { hash: key.hash, from: taken.task, to: key.task, request: Some(key.request) }
            }
            None => Row::KeyNew(key.clone()),
        };
        // A redrive does the work that the key was given for: whoever asks for that again means it.
        let is_redrive = submit.fork.as_ref().is_some_and(|fork| fork.from.keys_of.is_some());
        let request_of = |hash| match batch.keys.get(hash) {
            Some(taken) if is_redrive => taken.request,
            Some(_) | None => submit.request,
        };
        let keys: Vec<_> = submit
            .keys
            .iter()
            .map(|hash| KeyRow {
                hash: *hash,
                tenant: submit.tenant,
                task: submit.id,
                request: request_of(hash),
                deleted_at: None,
            })
            .collect();
        let key_rows: Vec<_> = keys.iter().map(key_row).collect();
        let entry = batch.create(
            tools,
            submit.id,
            submit.tenant,
            submit.data_subject.clone(),
            submit.trace.as_deref(),
            events,
        )?;
        entry.relations.prerequisites.clone_from(&decided.prerequisites);
        entry.rows.extend(decided.prerequisites.into_iter().map(Row::DependencyPut));
        entry.rows.extend(key_rows);
        batch.keys.extend(keys.into_iter().map(|row| (row.hash, row)));
        // A prerequisite of this batch learns that somebody waits for it.
        let prerequisites: Vec<_> = submit.spec.depends_on.iter().map(|on| on.task).collect();
        for task in prerequisites {
            if let Some(entry) = batch.entries.get_mut(&task) {
                entry.relations.has_dependents = true;
            }
        }
        if let Some(parent) =
            submit.spec.parent.as_ref().and_then(|parent| batch.entries.get_mut(&parent.task))
        {
            parent.relations.has_live_children = true;
        }
        Ok(Outcome::Submitted { task: submit.id, created: true })
    }
}
