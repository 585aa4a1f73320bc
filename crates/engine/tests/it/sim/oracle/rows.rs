//! Rules about what is stored beside the events: it follows from them, after every commit.

use super::{Oracle, Verdict};
use everloop_engine::machine::project;
use everloop_store::port::ReadStore;
use everloop_types::id::TaskId;
use everloop_types::state::State;
use everloop_types::time::Timestamp;
use std::collections::BTreeMap;

/// Rows of one kind that are looked at.
const ALL: usize = 100_000;

pub(super) fn hold(oracle: &mut Oracle, store: &dyn ReadStore) {
    let verdicts = [
        ("leases are those of running tasks", leases_are_running(oracle, store)),
        ("the queue is what can be claimed", queue_is_queued(oracle, store)),
        ("whatever waits for a time has a timer", times_have_timers(oracle, store)),
        ("no more run than the cap allows", caps_hold(oracle)),
    ];
    for (rule, verdict) in verdicts {
        oracle.rule(rule, verdict);
    }
}

fn live(oracle: &Oracle) -> impl Iterator<Item = (&TaskId, &super::Told)> {
    oracle.tasks.iter().filter(|(id, told)| !told.task.state.is_terminal() && !oracle.deleted.contains(id))
}

fn leases_are_running(oracle: &Oracle, store: &dyn ReadStore) -> Verdict {
    let Ok(leases) = store.leases() else { return Ok(()) };
    let leases: BTreeMap<_, _> = leases.into_iter().map(|lease| (lease.task, lease)).collect();
    for (id, told) in live(oracle).filter(|(_, told)| told.task.state.is_leased()) {
        let Some(lease) = leases.get(id) else {
            return Err(format!("{id} is {} and nobody holds it", told.task.state));
        };
        let holder = told.facts.holder.as_ref();
        if holder != Some(&(lease.token.attempt, lease.worker.to_string())) {
            return Err(format!("{id} is held by {lease:?}, and its events say {holder:?}"));
        }
    }
    for id in leases.keys() {
        let state = oracle.tasks.get(id).map(|told| told.task.state);
        if !state.is_some_and(State::is_leased) {
            return Err(format!("{id} is held, and is {state:?}"));
        }
    }
    Ok(())
}

fn queue_is_queued(oracle: &Oracle, store: &dyn ReadStore) -> Verdict {
    let Ok(depths) = store.depths() else { return Ok(()) };
    let mut stored = BTreeMap::new();
    for depth in depths {
        *stored.entry(depth.lane).or_insert(0) += depth.tasks;
    }
    let mut told = BTreeMap::new();
    for (_, task) in live(oracle).filter(|(_, told)| told.task.state == State::Queued) {
        *told.entry(project::lane(&task.task).id()).or_insert(0) += 1;
    }
    if stored == told { Ok(()) } else { Err(format!("queued by lane: {told:?}; in the queue: {stored:?}")) }
}

fn times_have_timers(oracle: &Oracle, store: &dyn ReadStore) -> Verdict {
    let Ok(timers) = store.timers_due(Timestamp::MAX, ALL) else { return Ok(()) };
    let timers: BTreeMap<_, _> = timers.into_iter().map(|timer| (timer.task, timer.at)).collect();
    for (id, told) in live(oracle) {
        let task = &told.task;
        let due = match task.state {
            State::Pending if task.spec.depends_on.is_empty() => {
                task.retry_at.or(task.spec.not_before.filter(|_| task.attempt == 0))
            }
            State::Waiting => task.waiting_for.as_ref().and_then(|wait| wait.next_timer()),
            _ => None,
        };
        let timer = timers.get(id);
        if due.is_some_and(|due| timer.is_none_or(|timer| *timer > due)) {
            return Err(format!("{id} is {}, is due at {due:?}, and its timer is {timer:?}", task.state));
        }
    }
    match timers.keys().find(|id| oracle.tasks.get(id).is_none_or(|told| told.task.state.is_terminal())) {
        Some(id) => Err(format!("{id} has a timer and does not live")),
        None => Ok(()),
    }
}

fn caps_hold(oracle: &Oracle) -> Verdict {
    let mut running: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (_, told) in live(oracle).filter(|(_, told)| told.task.state.is_leased()) {
        if let Some(cap) = &told.task.spec.policy.concurrency {
            let entry = running.entry(&cap.key).or_insert((0, cap.limit));
            *entry = (entry.0 + 1, entry.1.max(cap.limit));
        }
    }
    match running.iter().find(|(_, (count, limit))| count > limit) {
        Some((key, (count, limit))) => Err(format!("{count} tasks of {key} run, of at most {limit}")),
        None => Ok(()),
    }
}
