//! Working sets.

use super::fixtures::{OURS, THEIRS, World, key_hash, streams};
use super::harness::Harness;
use crate::rows::{DependencyRow, QueueRow};
use crate::work::{ReadyQuery, Relations, Row, Wanted, WantedTask};
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{Concurrency, DependsOn, TaskSpec};
use everloop_types::time::Timestamp;

/// A database without anything gives an empty set, and the caller's time unless it has its own.
pub fn missing_things_are_absent(mut h: Harness) {
    let world = &mut World::new();
    let wanted = Wanted {
        tasks: vec![WantedTask { tenant: OURS, task: TaskId([1; 16]), relations: true }],
        keys: vec![key_hash(OURS, "k")],
        ready: vec![ReadyQuery { lane: world.task(OURS).lane().id(), per_tenant: 10, full: Vec::new() }],
        streams: vec![(OURS, StreamName::Audit(OURS, 1))],
        blobs: vec![(OURS, "0f".repeat(32))],
    };
    let own_clock = h.own_clock;
    let now = Timestamp::from_micros(1_234_567_890_123_456);
    for wanted in [wanted, Wanted::default()] {
        let set = h.writer.load(&wanted, now).unwrap();
        assert!(
            set.tasks.is_empty()
                && set.keys.is_empty()
                && set.ready.is_empty()
                && set.streams.is_empty()
                && set.blobs.is_empty()
        );
        if own_clock {
            assert!(set.now > now, "{}", set.now);
        } else {
            assert_eq!(set.now, now);
        }
    }
}

/// Tasks come with head and lease, whatever is asked twice once, and another tenant's not at all.
pub fn tasks_come_with_head_and_lease(mut h: Harness) {
    let world = &mut World::new();
    let (mut a, mut b) = (world.task(OURS), world.task(THEIRS));
    let key = a.key("k");
    let a_rows = vec![Row::KeyNew(key.clone()), Row::QueuePut(a.queue_row())];
    h.commit(&streams(vec![a.submit(world, a_rows), b.submit(world, Vec::new())])).unwrap();
    let mut start = a.start(world, WorkerId([1; 16]));
    let lease = start
        .rows
        .iter_mut()
        .find_map(|row| if let Row::LeasePut(lease) = row { Some(lease) } else { None })
        .unwrap();
    lease.incarnation = Some(everloop_types::id::IncarnationId([3; 16]));
    lease.batch = u32::MAX;
    lease.token.epoch = u32::MAX;
    lease.concurrency = Some([0xff; 16]);
    let lease = lease.clone();
    h.commit(&streams(vec![start])).unwrap();

    let want = |tenant, task| WantedTask { tenant, task, relations: false };
    let audit = (OURS, StreamName::Audit(OURS, 1));
    let wanted = Wanted {
        tasks: vec![
            want(OURS, a.id()),
            WantedTask { relations: true, ..want(OURS, a.id()) },
            want(OURS, a.id()),
            want(THEIRS, a.id()),
            want(OURS, b.id()),
        ],
        keys: vec![key.hash, key_hash(THEIRS, "k"), key.hash],
        ready: Vec::new(),
        streams: vec![audit, audit],
        ..Wanted::default()
    };
    let set = h.load(&wanted).unwrap();
    assert_eq!(set.tasks.keys().copied().collect::<Vec<_>>(), [a.id()]);
    let loaded = &set.tasks[&a.id()];
    assert_eq!((&*loaded.task, loaded.head, &loaded.lease), (&a.task, a.log.head, &Some(lease)));
    assert_eq!(loaded.relations, Relations::default());
    assert_eq!(set.keys.values().collect::<Vec<_>>(), [&key]);
}

/// Heads of streams that are no task's, each its tenant's.
pub fn heads_of_other_streams(mut h: Harness) {
    let world = &mut World::new();
    let name = StreamName::Audit(OURS, 3);
    let mut audit = super::fixtures::Log::new(OURS, name);
    audit.append(world, everloop_types::event::AuditSegment { hash: None, previous: None });
    h.commit(&streams(vec![audit.write()])).unwrap();
    audit.append(world, super::fixtures::custom("{}"));
    h.commit(&streams(vec![audit.write()])).unwrap();
    let wanted = Wanted { streams: vec![(OURS, name), (THEIRS, name)], ..Wanted::default() };
    let set = h.load(&wanted).unwrap();
    assert_eq!(set.streams.into_iter().collect::<Vec<_>>(), [(name, audit.head)]);
    let foreign = Wanted { streams: vec![(THEIRS, name)], ..Wanted::default() };
    assert!(h.load(&foreign).unwrap().streams.is_empty());
}

/// Prerequisites, dependents and living children are found when they are asked for.
pub fn relations_are_found_when_asked_for(mut h: Harness) {
    let world = &mut World::new();
    let (mut a, mut b, mut c) = (world.task(OURS), world.task(OURS), world.task(OURS));
    let mut child = world.child(&a);
    let on = |prerequisite, dependent, on| DependencyRow { tenant: OURS, prerequisite, dependent, on };
    let rows = [on(a.id(), c.id(), DependsOn::Completed), on(b.id(), c.id(), DependsOn::Ended)];
    let writes = [&mut a, &mut b].map(|made| made.submit(world, Vec::new()));
    h.commit(&streams(writes.to_vec())).unwrap();
    let put = rows.map(Row::DependencyPut).to_vec();
    h.commit(&streams(vec![c.submit(world, put), child.submit(world, Vec::new())])).unwrap();

    let ids = [a.id(), b.id(), c.id(), child.id()];
    let look = |h: &mut Harness, relations| {
        // Asked for by one command and not by another: they are loaded.
        let tasks = [false, relations, false]
            .into_iter()
            .flat_map(|relations| ids.map(|task| WantedTask { tenant: OURS, task, relations }))
            .collect();
        let set = h.load(&Wanted { tasks, ..Wanted::default() }).unwrap();
        ids.map(|id| {
            let mut found = set.tasks[&id].relations.clone();
            found.prerequisites.sort_by_key(|row| row.prerequisite);
            (found.prerequisites, found.has_dependents, found.has_live_children)
        })
    };
    let none = (Vec::new(), false, false);
    assert_eq!(look(&mut h, false), [none.clone(), none.clone(), none.clone(), none.clone()]);
    assert_eq!(
        look(&mut h, true),
        [(Vec::new(), true, true), (Vec::new(), true, false), (rows.to_vec(), false, false), none.clone()]
    );
    let met = vec![Row::DependencyDelete { prerequisite: a.id(), dependent: c.id() }];
    let end = child.end(world, State::Cancelled, Vec::new());
    h.commit(&streams(vec![c.note(world, met), end])).unwrap();
    assert_eq!(
        look(&mut h, true),
        [none.clone(), (Vec::new(), true, false), (rows[1..].to_vec(), false, false), none]
    );
}

fn ready(h: &mut Harness, queries: Vec<ReadyQuery>) -> Vec<QueueRow> {
    let set = h.load(&Wanted { ready: queries, ..Wanted::default() }).unwrap();
    assert!(set.ready.iter().all(|row| set.tasks.contains_key(&row.task)), "a ready task was not loaded");
    set.ready
}

/// Of each tenant the first few: higher priority first, then the older task, whatever it waited.
pub fn ready_tasks_come_in_order_per_tenant(mut h: Harness) {
    let world = &mut World::new();
    let mut put = Vec::new();
    for tenant in [OURS, THEIRS] {
        for priority in [0, 100, -100, 0, 5, 0] {
            let mut spec = TaskSpec::new("mock");
            spec.policy.priority = priority;
            let mut made = world.task_of(tenant, spec);
            let mut row = made.queue_row();
            // The younger ones have waited longer.
            row.since = world.now.minus(std::time::Duration::from_secs(put.len() as u64 * 10));
            h.commit(&streams(vec![made.submit(world, vec![Row::QueuePut(row.clone())])])).unwrap();
            put.push(row);
        }
    }
    let mut other = world.task_of(OURS, TaskSpec::new("other"));
    let row = other.queue_row();
    h.commit(&streams(vec![other.submit(world, vec![Row::QueuePut(row.clone())])])).unwrap();

    let lane = put[0].lane;
    for per_tenant in [1, 4, 100] {
        for tenant in [OURS, THEIRS] {
            let mut expected: Vec<_> = put.iter().filter(|row| row.tenant == tenant).cloned().collect();
            expected.sort_by_key(|row| (-row.priority, row.task));
            expected.truncate(per_tenant as usize);
            let query = ReadyQuery { lane, per_tenant, full: Vec::new() };
            // The same lane twice is the same rows once.
            let found = ready(&mut h, vec![query.clone(), query]);
            let mut found: Vec<_> = found.into_iter().filter(|row| row.tenant == tenant).collect();
            found.sort_by_key(|row| (-row.priority, row.task));
            assert_eq!(found, expected);
        }
    }
    let both = [lane, row.lane].map(|lane| ReadyQuery { lane, per_tenant: 1, full: Vec::new() }).to_vec();
    assert_eq!(ready(&mut h, both).len(), 3);
    // All parts of the key are needed to take one out.
    let wrong = QueueRow { priority: 1, ..row.clone() };
    h.commit(&super::fixtures::rows(vec![Row::QueueDelete(wrong)])).unwrap();
    let first = vec![ReadyQuery { lane: row.lane, per_tenant: 1, full: Vec::new() }];
    assert_eq!(ready(&mut h, first.clone()), std::slice::from_ref(&row));
    let least = QueueRow { since: Timestamp::from_micros(0), concurrency: Some(([1; 16], 1)), ..row };
    h.commit(&super::fixtures::rows(vec![Row::QueueDelete(least)])).unwrap();
    assert_eq!(ready(&mut h, first), []);
}

/// Tasks whose concurrency key is at its cap are passed over, and do not count.
pub fn full_concurrency_keys_are_passed_over(mut h: Harness) {
    let world = &mut World::new();
    let mut rows = Vec::new();
    for key in [Some("full"), Some("full"), Some("free"), None, Some("full"), Some("free")] {
        let mut spec = TaskSpec::new("mock");
        spec.policy.concurrency = key.map(|key| Concurrency { key: key.to_owned(), limit: u32::MAX });
        let mut made = world.task_of(OURS, spec);
        rows.push(made.queue_row());
        h.commit(&streams(vec![made.submit(world, vec![Row::QueuePut(made.queue_row())])])).unwrap();
    }
    let full = vec![[0; 16], rows[0].concurrency.unwrap().0];
    let mut found = ready(&mut h, vec![ReadyQuery { lane: rows[0].lane, per_tenant: 2, full }]);
    found.sort_by_key(|row| row.task);
    assert_eq!(found, [rows[2].clone(), rows[3].clone()]);
    let full = rows.iter().filter_map(|row| Some(row.concurrency?.0)).collect();
    let found = ready(&mut h, vec![ReadyQuery { lane: rows[0].lane, per_tenant: 9, full }]);
    assert_eq!(found, [rows[3].clone()]);
    let mut found = ready(&mut h, vec![ReadyQuery { lane: rows[0].lane, per_tenant: 9, full: Vec::new() }]);
    found.sort_by_key(|row| row.task);
    assert_eq!(found, rows);
    assert_eq!(ready(&mut h, vec![ReadyQuery { lane: rows[0].lane, per_tenant: 0, full: Vec::new() }]), []);
}
