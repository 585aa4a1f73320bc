//! The rows that a record needs: derived from it alone, so that no path can forget one.

use super::begins_at;
use everloop_store::rows::{KeyHash, Lane, LeaseRow, QueueRow, TimerRow};
use everloop_store::work::Row;
use everloop_types::state::State;
use everloop_types::task::Task;
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;

/// Digest of a task's concurrency key with its tenant, and the cap.
pub fn concurrency(task: &Task) -> Option<(KeyHash, u32)> {
    let cap = task.spec.policy.concurrency.as_ref()?;
    Some((everloop_journal::digest::key_hash(task.tenant, "concurrency", &cap.key), cap.limit))
}

/// The lane that a task waits in.
pub fn lane(task: &Task) -> Lane {
    Lane {
        queue: task.spec.queue.clone(),
        kind: task.spec.kind.clone(),
        kind_version: task.spec.kind_version,
        requires: task.spec.requires.clone(),
    }
}

/// The queue row: there is one while the task can be claimed.
pub fn queue_row(task: &Task) -> Option<QueueRow> {
    (task.state == State::Queued).then(|| QueueRow {
        lane: lane(task).id(),
        tenant: task.tenant,
        priority: task.spec.policy.priority,
        task: task.id,
        since: task.updated_at,
        concurrency: concurrency(task),
    })
}

/// The timer row: the earliest of the task's times that something has to happen at.
pub fn timer_row(task: &Task) -> Option<TimerRow> {
    let own = match task.state {
        // A task that also waits for others is released by the last of them; its time is looked at then.
        State::Pending => begins_at(task),
        State::Waiting => task.waiting_for.as_ref().and_then(|wait| wait.next_timer()),
        State::Queued | State::Running | State::Pausing | State::Paused | State::Cancelling => None,
        State::Completed | State::Failed | State::Cancelled => return None,
    };
    let at = match (own, task.spec.policy.deadline) {
        (Some(own), Some(deadline)) => own.min(deadline),
        (own, deadline) => own.or(deadline)?,
    };
    Some(TimerRow { at, tenant: task.tenant, task: task.id })
}

/// The timer row of a task that nothing is due for: whatever of its times is past has been looked at.
pub fn next_timer_row(task: &Task, now: Timestamp) -> Option<TimerRow> {
    let mut times = Vec::new();
    match task.state {
        State::Pending => times.extend(begins_at(task)),
        State::Waiting => {
            if let Some(wait) = &task.waiting_for {
                wait.leaves(&mut |leaf| {
                    if let Wait::Timer { at, .. } = leaf {
                        times.push(*at);
                    }
                });
            }
        }
        State::Queued | State::Running | State::Pausing | State::Paused | State::Cancelling => {}
        State::Completed | State::Failed | State::Cancelled => return None,
    }
    let at = times.into_iter().chain(task.spec.policy.deadline).filter(|at| *at > now).min()?;
    Some(TimerRow { at, tenant: task.tenant, task: task.id })
}

/// The changes of rows between two moments of one task.
pub fn changes(
    before: Option<&Task>,
    lease_before: Option<&LeaseRow>,
    after: &Task,
    lease_after: Option<&LeaseRow>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let same_place = |a: &QueueRow, b: &QueueRow| a.lane == b.lane && a.priority == b.priority;
    match (before.and_then(queue_row), queue_row(after)) {
        (Some(old), Some(new)) if same_place(&old, &new) => {}
        (old, new) => {
            rows.extend(old.map(Row::QueueDelete));
            rows.extend(new.map(Row::QueuePut));
        }
    }
    // The earliest time may be past, with the row at a later one: a new deadline is written even then.
    let same_deadline = before.is_none_or(|before| before.spec.policy.deadline == after.spec.policy.deadline);
    match (before.and_then(timer_row), timer_row(after)) {
        (old, new) if old == new && same_deadline => {}
        (_, Some(new)) => rows.push(Row::TimerPut(new)),
        (_, None) => rows.push(Row::TimerDelete(after.id)),
    }
    match (lease_before, lease_after) {
        (old, new) if old == new => {}
        (_, Some(new)) => rows.push(Row::LeasePut(new.clone())),
        (_, None) => rows.push(Row::LeaseDelete(after.id)),
    }
    rows
}
