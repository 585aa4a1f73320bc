//! Gives what waits to workers with room.

use super::Pipeline;
use super::batch::{Batch, Tools, append};
use super::op::Claimed;
use crate::machine::dispatch::{Candidate, plan};
use crate::machine::{project, start};
use everloop_store::rows::{LeaseRow, QueueRow};
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::lease::LeaseToken;
use std::collections::{BTreeMap, HashMap};

impl Pipeline {
    /// Gives what waits to workers with room, in the same batch: the claim is folded into whatever made the task ready.
    pub(super) fn dispatch(
        &mut self,
        batch: &mut Batch,
        tools: Tools<'_>,
        ready: Vec<QueueRow>,
    ) -> Vec<(WorkerId, Claimed)> {
        let mut ends: HashMap<WorkerId, u32> = HashMap::new();
        for entry in batch.entries.values() {
            if let (Some(lease), None) = (entry.lease_before(), &entry.lease) {
                *ends.entry(lease.worker).or_default() += 1;
            }
        }
        let mut running = std::mem::take(&mut self.dispatcher.running);
        let mut turns = std::mem::take(&mut self.dispatcher.turns);
        let mut caps = std::mem::take(&mut self.dispatcher.caps);
        let stored = ready.iter().map(|row| row.task);
        let mut candidates: BTreeMap<TaskId, Candidate> = BTreeMap::new();
        for task in stored
            .chain(batch.entries.iter().filter(|(_, entry)| !entry.events.is_empty()).map(|(id, _)| *id))
        {
            if let Some(entry) = batch.entries.get(&task)
                && let Some(row) = project::queue_row(&entry.task)
            {
                caps.extend(row.concurrency);
                candidates.insert(task, Candidate { lane: project::lane(&entry.task), row });
            }
        }
        let offers = self.dispatcher.offers(&ends, &HashMap::new());
        let matches = if offers.is_empty() {
            Vec::new()
        } else {
            plan(
                &offers,
                candidates.into_values().collect(),
                &self.dispatcher.paused,
                &mut turns,
                &mut running,
            )
        };
        // What is committed is counted when it is; the plan only had to see itself.
        for found in &matches {
            if let Some((key, _)) =
                batch.entries.get(&found.task).and_then(|entry| project::concurrency(&entry.task))
                && let Some(count) = running.get_mut(&key)
            {
                *count -= 1;
            }
        }
        // What neither runs nor may run after this commit is not full.
        caps.retain(|key, _| running.contains_key(key));
        running.retain(|_, count| *count > 0);
        self.dispatcher.running = running;
        self.dispatcher.turns = turns;
        self.dispatcher.caps = caps;
        let mut claims = Vec::with_capacity(matches.len());
        for found in matches {
            let Some(member) = self.dispatcher.members.get(&found.worker) else { continue };
            let embedded = member.standing.is_some();
            let now = batch.now;
            let Some(entry) = batch.entries.get_mut(&found.task) else { continue };
            let Ok(drafts) = start::decide(entry.view(now), found.worker, found.kind_version) else {
                continue;
            };
            let token = LeaseToken {
                epoch: self.parts.epoch,
                attempt: entry.task.attempt + 1,
                nonce: tools.random.next_u64(),
            };
            let term = entry.task.spec.policy.lease();
            let lease = LeaseRow {
                task: found.task,
                tenant: entry.task.tenant,
                token,
                worker: found.worker,
                incarnation: embedded.then_some(self.parts.incarnation),
                expires_at: now.plus(term),
                batch: 0,
                concurrency: project::concurrency(&entry.task).map(|(key, _)| key),
            };
            let fresh =
                entry.task.attempt == 0 && entry.task.forked_from.is_none() && entry.task.arrived.is_empty();
            if append(tools, entry, now, drafts).is_err() {
                continue;
            }
            entry.lease = Some(lease.clone());
            claims.push((
                found.worker,
                Claimed {
                    task: entry.task.clone(),
                    lease,
                    ttl: (!embedded).then_some(term),
                    kind_version: found.kind_version,
                    input: entry.input.clone().or_else(|| self.dispatcher.inputs.take(found.task)),
                    fresh,
                },
            ));
        }
        claims
    }
}
