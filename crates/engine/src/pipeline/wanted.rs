//! What a batch has to load before it can decide.

use super::Pipeline;
use super::op::{Op, Reply};
use everloop_store::work::{Wanted, WantedTask};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::lease::LeaseToken;
use everloop_types::stream::StreamName;
use std::collections::HashMap;

impl Pipeline {
    pub(super) fn wanted(&mut self, ops: &[(Op, Reply)]) -> Wanted {
        let mut wanted = Wanted::default();
        for (op, _) in ops {
            wanted.blobs.extend(op.blobs());
            match op {
                Op::Submit(submit) => {
                    wanted.keys.extend(&submit.keys);
                    let ties = submit
                        .spec
                        .depends_on
                        .iter()
                        .map(|on| on.task)
                        .chain(submit.spec.parent.as_ref().map(|p| p.task));
                    wanted.tasks.extend(ties.map(|task| WantedTask {
                        tenant: submit.tenant,
                        task,
                        relations: false,
                    }));
                }
                Op::Wish { tenant, task, wish, .. } => {
                    let relations = wish.needs_relations();
                    wanted.tasks.push(WantedTask { tenant: *tenant, task: *task, relations });
                }
                Op::Write { tenant, task, write, .. } => {
                    let relations = write.end.is_some();
                    wanted.tasks.push(WantedTask { tenant: *tenant, task: *task, relations });
                }
                Op::Gone { worker } => wanted.tasks.extend(losing(self.dispatcher.held_by(*worker))),
                Op::Delete { tenant, task, .. }
                | Op::Fold { tenant, task, .. }
                | Op::Trim { tenant, task, .. } => {
                    let relations = matches!(op, Op::Delete { .. });
                    wanted.tasks.push(WantedTask { tenant: *tenant, task: *task, relations });
                    wanted.streams.push((*tenant, StreamName::Audit(*tenant, self.audit_segment(*tenant))));
                }
                Op::Expire => {
                    wanted.tasks.extend(losing(self.dispatcher.expired(self.parts.clock.monotonic())));
                }
                Op::Attach { .. }
                | Op::Register { .. }
                | Op::Claim { .. }
                | Op::Renew { .. }
                | Op::Heard { .. }
                | Op::Forget { .. }
                | Op::Rows(_)
                | Op::Barrier => {}
            }
        }
        let (mut ends, mut asks) = (HashMap::new(), HashMap::new());
        for (op, _) in ops {
            match op {
                Op::Write { task, write, .. } if write.end.is_some() => {
                    if let Some(held) = self.dispatcher.held.get(task) {
                        *ends.entry(held.worker).or_default() += 1;
                    }
                }
                Op::Claim { worker, max, .. } => *asks.entry(*worker).or_default() += max,
                _ => {}
            }
        }
        wanted.ready = self.dispatcher.wanted(&self.dispatcher.offers(&ends, &asks));
        wanted
    }

    /// The audit segment that grows.
    pub(super) fn audit_segment(&mut self, tenant: TenantId) -> u32 {
        if let Some(segment) = self.segments.get(&tenant) {
            return *segment;
        }
        // What can't be read now is asked for again by the next one; the heads are compared at the commit.
        let segment = self.parts.reader.audit_segment(tenant).ok().flatten().unwrap_or(1);
        self.segments.insert(tenant, segment);
        segment
    }
}

/// What it takes to end leases.
fn losing(leases: Vec<(TenantId, TaskId, LeaseToken)>) -> impl Iterator<Item = WantedTask> {
    leases.into_iter().map(|(tenant, task, _)| WantedTask { tenant, task, relations: true })
}
