//! What is taken away from finished tasks: all of it, payloads, the beginning of the stream. Each act is an event of the
//! tenant's audit stream, in the same commit.

use super::Pipeline;
use super::audit::Audit;
use super::batch::{Batch, Entry, Tools};
use super::process::{Outcome, Processed};
use everloop_store::work::Row;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{EventBody, SYSTEM, StreamFolded, StreamTrimmed, TaskDeleted};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::receipt::AnchorClaims;
use everloop_types::stream::StreamName;
use everloop_types::task::ChildPolicy;

/// Ends that are looked through for one that somebody has not heard of.
const OUTBOX: usize = 10_000;

/// A task whose end is written already: nothing of one that ends in this very batch goes before others could hear of it.
fn ended<'b>(
    batch: &'b mut Batch,
    tenant: TenantId,
    task: TaskId,
    act: &str,
) -> Result<&'b mut Entry, Refusal> {
    let entry = batch.entry(tenant, task)?;
    if !entry.task.state.is_terminal() || !entry.events.is_empty() {
        let detail = format!("task {task} is {} and can't be {act}", entry.task.state);
        return Err(Refusal::new(Code::IllegalTransition, detail).hint("cancel it first"));
    }
    Ok(entry)
}

/// Runs of numbers, as `1-4` and `7`.
fn ranges(seqs: &[u64]) -> Vec<String> {
    let runs = seqs.chunk_by(|one, next| one + 1 == *next);
    runs.filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    })
    .collect()
}

impl Pipeline {
    /// A finished task goes, with its whole stream.
    pub(super) fn delete(
        &mut self,
        batch: &mut Batch,
        tools: Tools<'_>,
        tenant: TenantId,
        task: TaskId,
        actor: &str,
        reason: &str,
    ) -> Processed {
        let now = batch.now;
        let entry = ended(batch, tenant, task, "deleted")?;
        // With the stream goes what says who has to be told.
        let cancels = entry.task.spec.policy.children == ChildPolicy::Cancel;
        let has_parent = entry.task.spec.parent.is_some();
        let unheard = || -> Result<bool, Refusal> {
            let outbox = self.parts.reader.outbox(OUTBOX).map_err(|error| error.refusal())?;
            Ok(outbox.len() == OUTBOX || outbox.iter().any(|row| row.task == task))
        };
        if entry.relations.has_dependents
            || (entry.relations.has_live_children && cancels)
            || (has_parent && unheard()?)
        {
            let detail = format!("tasks that depend on the end of task {task} are still being told of it");
            return Err(Refusal::new(Code::IllegalTransition, detail).hint("delete it again in a moment"));
        }
        let body = TaskDeleted {
            hash: everloop_journal::hex::encode(&entry.head.hash),
            last_seq: entry.head.seq,
            reason: reason.to_owned(),
            task,
        };
        let row = Row::StreamDelete { tenant, task, at: now };
        let done = self.audited(batch, tools, tenant, actor, &body.into(), row)?;
        // Whoever comes after in this batch finds it gone.
        batch.entries.remove(&task);
        Ok(done)
    }

    /// Payloads of a finished task's events go.
    pub(super) fn fold(
        &mut self,
        batch: &mut Batch,
        tools: Tools<'_>,
        tenant: TenantId,
        task: TaskId,
        seqs: &[u64],
    ) -> Processed {
        ended(batch, tenant, task, "folded")?;
        let stream = StreamName::Task(task);
        let body = StreamFolded { ranges: ranges(seqs), stream: stream.to_string() };
        let row = Row::PayloadsErase { tenant, stream, seqs: seqs.to_vec() };
        self.audited(batch, tools, tenant, SYSTEM, &body.into(), row)
    }

    /// Events of a finished task go up to the one that the anchor names. Its end stays.
    pub(super) fn trim(
        &mut self,
        batch: &mut Batch,
        tools: Tools<'_>,
        tenant: TenantId,
        task: TaskId,
        claims: &AnchorClaims,
        anchor: &str,
    ) -> Processed {
        let entry = ended(batch, tenant, task, "trimmed")?;
        if claims.seq >= entry.head.seq {
            let detail = format!("task {task} would lose its last event");
            return Err(Refusal::new(Code::IllegalTransition, detail));
        }
        let stream = StreamName::Task(task);
        let body =
            StreamTrimmed { hash: claims.hash.clone(), stream: stream.to_string(), upto_seq: claims.seq };
        let row = Row::StreamTrim { tenant, stream, upto_seq: claims.seq, anchor: anchor.to_owned() };
        self.audited(batch, tools, tenant, SYSTEM, &body.into(), row)
    }

    /// Writes a row together with the audit event that tells of it.
    fn audited(
        &mut self,
        batch: &mut Batch,
        tools: Tools<'_>,
        tenant: TenantId,
        actor: &str,
        body: &EventBody,
        row: Row,
    ) -> Processed {
        let segment = self.audit_segment(tenant);
        let head = batch.streams.get(&StreamName::Audit(tenant, segment)).copied();
        let audit = batch.audit.entry(tenant).or_insert_with(|| Audit::load(tenant, segment, head));
        audit.add(tools, batch.now, actor, body, row)?;
        Ok(Outcome::Audited(tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn numbers_are_told_as_runs() {
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), ["1-3", "5", "7-8"]);
        assert_eq!(ranges(&[]), [""; 0]);
        assert_eq!(ranges(&[9]), ["9"]);
    }
}
