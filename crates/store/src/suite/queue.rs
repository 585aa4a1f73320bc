//! What waits for workers, for times and for other tasks.

use super::fixtures::{Made, OURS, THEIRS, World, rows, streams};
use super::harness::Harness;
use crate::rows::{DependencyRow, Depth, KeyHash, LaneId, LeaseRow, OutboxRow, QueueRow};
use crate::work::{Row, WriteSet};
use everloop_types::id::{IncarnationId, TaskId, TenantId, WorkerId};
use everloop_types::state::State;
use everloop_types::task::{DependsOn, TaskSpec};
use everloop_types::time::Timestamp;
use std::time::Duration;

fn submitted(h: &mut Harness, world: &mut World, tenant: TenantId) -> Made {
    let mut made = world.task(tenant);
    h.commit(&streams(vec![made.submit(world, Vec::new())])).unwrap();
    made
}

/// Every lane that was ever used, once.
pub fn lanes_are_kept_once(mut h: Harness) {
    let world = &mut World::new();
    let mut versioned = TaskSpec::new("mock");
    versioned.kind_version = Some(2);
    let mut capable = TaskSpec::new("mock");
    capable.requires = vec!["cuda".to_owned(), "gpu".to_owned()];
    let specs = [TaskSpec::new("mock"), versioned, capable];
    let mut lanes = specs.map(|spec| world.task_of(OURS, spec).lane()).to_vec();
    let set = |lanes: &[_]| WriteSet { lanes: lanes.to_vec(), ..WriteSet::default() };
    h.commit(&set(&lanes[..2])).unwrap();
    h.commit(&set(&[lanes[1].clone(), lanes[2].clone(), lanes[2].clone()])).unwrap();
    lanes.sort_by_key(|lane| lane.id());
    let expected: Vec<_> = lanes.iter().map(|lane| (lane.id(), lane.clone())).collect();
    let found = |h: &Harness| {
        let mut found = h.reader.lanes().unwrap();
        found.sort_by_key(|(id, _)| *id);
        found
    };
    assert_eq!(found(&h), expected);
    assert_eq!(found(&h.reopen()), expected);
}

/// How many wait in which lane, of each tenant, and since when.
pub fn depths_count_by_lane_and_tenant(mut h: Harness) {
    let world = &mut World::new();
    let mut rows_of = Vec::new();
    for (tenant, lane, since) in [(OURS, 7, 30), (OURS, 7, 10), (OURS, -7, 50), (THEIRS, 7, 20)] {
        let made = submitted(&mut h, world, tenant);
        let since = Timestamp::from_micros(since);
        rows_of.push(QueueRow { lane: LaneId(lane), since, ..made.queue_row() });
    }
    h.commit(&rows(rows_of.iter().cloned().map(Row::QueuePut).collect())).unwrap();
    let depths = |h: &Harness| {
        let mut found = h.reader.depths().unwrap();
        found.sort_by_key(|depth| (depth.lane, depth.tenant));
        found
            .iter()
            .map(|Depth { lane, tenant, tasks, oldest }| (lane.0, *tenant, *tasks, oldest.as_micros()))
            .collect::<Vec<_>>()
    };
    assert_eq!(depths(&h), [(-7, OURS, 1, 50), (7, OURS, 2, 10), (7, THEIRS, 1, 20)]);
    // Putting replaces.
    let newer = QueueRow { since: Timestamp::from_micros(40), ..rows_of[1].clone() };
    h.commit(&rows(vec![Row::QueuePut(newer), Row::QueueDelete(rows_of[2].clone())])).unwrap();
    assert_eq!(depths(&h), [(7, OURS, 2, 30), (7, THEIRS, 1, 20)]);
}

/// Leases with all their fields, replaced, and gone.
pub fn leases_are_put_and_deleted(mut h: Harness) {
    let world = &mut World::new();
    let mut expected: Vec<LeaseRow> = Vec::new();
    for tenant in [OURS, THEIRS, OURS] {
        let made = submitted(&mut h, world, tenant);
        // A lease needs no registered worker.
        expected.push(made.lease(world, WorkerId([1; 16])));
    }
    h.commit(&rows(expected.iter().cloned().map(Row::LeasePut).collect())).unwrap();
    let leases = |h: &Harness| {
        let mut found = h.reader.leases().unwrap();
        found.sort_by_key(|lease| lease.task);
        found
    };
    assert_eq!(leases(&h), expected);
    let full: KeyHash = [0xee; 16];
    let next = &mut expected[1];
    (next.batch, next.incarnation, next.concurrency) = (9, Some(IncarnationId([2; 16])), Some(full));
    (next.worker, next.token.attempt) = (WorkerId([3; 16]), 2);
    next.expires_at = next.expires_at.plus(Duration::from_secs(30));
    let gone = expected.remove(0);
    h.commit(&rows(vec![Row::LeasePut(expected[0].clone()), Row::LeaseDelete(gone.task)])).unwrap();
    h.commit(&rows(vec![Row::LeaseDelete(gone.task)])).unwrap();
    assert_eq!(leases(&h), expected);
    assert_eq!(leases(&h.reopen()), expected);
}

/// Timers by time, one a task, up to a time, which is included.
pub fn timers_are_due_in_order(mut h: Harness) {
    let world = &mut World::new();
    assert_eq!(h.reader.next_timer().unwrap(), None);
    let at = |micros| Timestamp::from_micros(micros);
    let mut expected = Vec::new();
    for (tenant, micros) in [(OURS, 500), (THEIRS, 100), (OURS, 300), (OURS, -5), (THEIRS, 300)] {
        let made = submitted(&mut h, world, tenant);
        expected.push(made.timer(at(micros)));
    }
    h.commit(&rows(expected.iter().copied().map(Row::TimerPut).collect())).unwrap();
    expected.sort_by_key(|row| row.at);
    let times = |limit| -> Vec<_> {
        h.reader.timers_due(at(300), limit).unwrap().iter().map(|row| row.at.as_micros()).collect()
    };
    assert_eq!(h.reader.next_timer().unwrap(), Some(at(-5)));
    assert_eq!(times(9), [-5, 100, 300, 300]);
    assert_eq!(times(2), [-5, 100]);
    assert_eq!(h.reader.timers_due(at(-6), 9).unwrap(), []);
    let mut due = h.reader.timers_due(Timestamp::MAX, 9).unwrap();
    due.sort_unstable();
    let mut all = expected.clone();
    all.sort_unstable();
    assert_eq!(due, all);
    let mut later = expected[0];
    later.at = Timestamp::MAX;
    h.commit(&rows(vec![Row::TimerPut(later), Row::TimerDelete(expected[1].task)])).unwrap();
    assert_eq!(h.reader.next_timer().unwrap(), Some(at(300)));
    let due = h.reader.timers_due(Timestamp::MAX, 9).unwrap();
    assert_eq!((due.len(), due.last()), (4, Some(&later)));
}

/// Dependencies from both sides, replaced, and gone by their pair.
pub fn dependencies_are_put_and_deleted(mut h: Harness) {
    let world = &mut World::new();
    let [a, b, c] = [0; 3].map(|_| submitted(&mut h, world, OURS).id());
    let row = |prerequisite, dependent, on| DependencyRow { tenant: OURS, prerequisite, dependent, on };
    let put = [row(a, b, DependsOn::Completed), row(a, c, DependsOn::Completed), row(b, c, DependsOn::Ended)];
    h.commit(&rows(put.map(Row::DependencyPut).to_vec())).unwrap();
    let ended = row(a, b, DependsOn::Ended);
    h.commit(&rows(vec![Row::DependencyPut(ended)])).unwrap();
    let dependents = |h: &Harness, task, limit| {
        let mut found = h.reader.dependents(task, limit).unwrap();
        found.sort_by_key(|row| row.dependent);
        found
    };
    assert_eq!(dependents(&h, a, 9), [ended, put[1]]);
    assert_eq!(dependents(&h, a, 1).len(), 1);
    assert_eq!(dependents(&h, b, 9), [put[2]]);
    assert_eq!(dependents(&h, c, 9), []);
    let delete = |prerequisite, dependent| Row::DependencyDelete { prerequisite, dependent };
    h.commit(&rows(vec![delete(b, a), delete(a, b), delete(c, a)])).unwrap();
    assert_eq!(dependents(&h, a, 9), [put[1]]);
    assert_eq!(dependents(&h, b, 9), [put[2]]);
}

/// Ends that others were not told of.
pub fn outbox_is_put_and_deleted(mut h: Harness) {
    let world = &mut World::new();
    let mut expected = Vec::new();
    for tenant in [OURS, THEIRS, OURS] {
        let mut made = submitted(&mut h, world, tenant);
        let row = OutboxRow { tenant, task: made.id() };
        h.commit(&streams(vec![made.end(world, State::Completed, vec![Row::OutboxPut(row)])])).unwrap();
        expected.push(row);
    }
    h.commit(&rows(vec![Row::OutboxPut(expected[0])])).unwrap();
    let outbox = |h: &Harness, limit| {
        let mut found = h.reader.outbox(limit).unwrap();
        found.sort_unstable_by_key(|row| row.task);
        found
    };
    assert_eq!(outbox(&h, 9), expected);
    assert_eq!(outbox(&h, 2).len(), 2);
    let told = expected.remove(1);
    h.commit(&rows(vec![Row::OutboxDelete(told.task), Row::OutboxDelete(told.task)])).unwrap();
    assert_eq!(outbox(&h, 9), expected);
    assert_eq!(outbox(&h.reopen(), 9), expected);
}

/// Children that live, of one parent and tenant.
pub fn living_children_are_listed(mut h: Harness) {
    let world = &mut World::new();
    let (parent, other) = (submitted(&mut h, world, OURS), submitted(&mut h, world, OURS));
    let mut children: Vec<_> = (0..4).map(|_| world.child(&parent)).collect();
    children.push(world.child(&other));
    let writes = children.iter_mut().map(|child| child.submit(world, Vec::new())).collect();
    h.commit(&streams(writes)).unwrap();
    let living = |h: &Harness, parent: &Made, limit| -> Vec<TaskId> {
        let mut found = h.reader.live_children(OURS, parent.id(), limit).unwrap();
        found.sort_unstable();
        found
    };
    let ids: Vec<_> = children.iter().map(Made::id).collect();
    assert_eq!(living(&h, &parent, 9), ids[..4]);
    assert_eq!(living(&h, &parent, 3).len(), 3);
    assert_eq!(living(&h, &other, 9), ids[4..]);
    assert_eq!(h.reader.live_children(THEIRS, parent.id(), 9).unwrap(), []);
    for (child, state) in children.iter_mut().zip([State::Completed, State::Failed, State::Cancelled]) {
        h.commit(&streams(vec![child.end(world, state, Vec::new())])).unwrap();
    }
    children[3].task.state = State::Cancelling;
    h.commit(&streams(vec![children[3].note(world, Vec::new())])).unwrap();
    assert_eq!(living(&h, &parent, 9), ids[3..4]);
    assert_eq!(living(&h, &children[0], 9), []);
}

/// Queues stand still, and go on.
pub fn paused_queues_are_known(mut h: Harness) {
    let pause = |queue: &str, paused| Row::QueuePaused { queue: queue.to_owned(), paused };
    let paused = |h: &Harness| {
        let mut found = h.reader.paused_queues().unwrap();
        found.sort();
        found
    };
    h.commit(&rows(vec![
        pause("low", true),
        pause("high", true),
        pause("default", false),
        pause("low", true),
    ]))
    .unwrap();
    assert_eq!(paused(&h), ["high", "low"]);
    h.commit(&rows(vec![pause("high", false), pause("high", false)])).unwrap();
    assert_eq!(paused(&h), ["low"]);
    assert_eq!(paused(&h.reopen()), ["low"]);
}
