//! Commits: what is compared, what is written together, and in which order.

use super::fixtures::{OURS, THEIRS, World, custom, key_hash, rows, streams};
use super::harness::{Harness, wait_for};
use crate::error::StoreError;
use crate::port::{Order, Part, TaskFilter};
use crate::work::{Committed, Row, StreamWrite, TaskWrite, Wanted, WriteSet};
use everloop_types::event::{Event, EventBody};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::state::State;
use everloop_types::stream::StreamName;

/// Everything that the reader shows of a task's stream.
fn events(h: &Harness, tenant: TenantId, task: TaskId) -> Vec<Event> {
    h.reader.events(tenant, StreamName::Task(task), 0, 1_000).unwrap()
}

/// What a submitted task reads back as, by every way to it, at once after the commit.
pub fn submitted_task_reads_back(mut h: Harness) {
    let world = &mut World::new();
    let mut made = world.task(OURS);
    let key = made.key("digest-1");
    let rows = vec![Row::KeyNew(key.clone()), Row::QueuePut(made.queue_row())];
    let write = made.submit(world, rows);
    let committed =
        h.commit(&WriteSet { streams: vec![write], lanes: vec![made.lane()], rows: Vec::new() }).unwrap();
    assert_eq!(committed.moved, []);
    assert!(committed.last_pos.is_some());

    let row = h.reader.task(OURS, made.id()).unwrap().unwrap();
    assert_eq!((row.task, row.head), (made.task.clone(), made.log.head));
    assert_eq!((row.data_subject, row.signature), (None, None));
    assert_eq!(events(&h, OURS, made.id()), made.log.events);
    assert_eq!(h.reader.key(&key.hash).unwrap(), Some(key));
    assert_eq!(h.reader.head(OURS, made.log.name).unwrap(), Some(made.log.head));
    assert_eq!(h.reader.lanes().unwrap(), [(made.lane().id(), made.lane())]);
    assert_eq!(h.reader.depths().unwrap().len(), 1);
}

/// What one tenant has written, another one can't find by any way.
pub fn tenants_do_not_see_each_other(mut h: Harness) {
    let world = &mut World::new();
    let (mut ours, mut theirs) = (world.task(OURS), world.task(THEIRS));
    let writes = streams(vec![ours.submit(world, Vec::new()), theirs.submit(world, Vec::new())]);
    h.commit(&writes).unwrap();
    let all = TaskFilter::default();
    for (tenant, own, foreign) in [(OURS, &ours, &theirs), (THEIRS, &theirs, &ours)] {
        let listed = h.reader.tasks(tenant, &all, Order::Newest, Part::default(), 10).unwrap();
        assert_eq!(listed.iter().map(|row| row.task.id).collect::<Vec<_>>(), [own.id()]);
        assert_eq!(h.reader.tasks_count(tenant, &all, 10).unwrap(), 1);
        assert_eq!(h.reader.state_counts(tenant).unwrap().len(), 1);
        assert_eq!(h.reader.task(tenant, foreign.id()).unwrap(), None);
        assert_eq!(events(&h, tenant, foreign.id()), []);
        assert_eq!(h.reader.event(tenant, foreign.log.name, 1).unwrap(), None);
        assert_eq!(h.reader.head(tenant, foreign.log.name).unwrap(), None);
        wait_for(|| h.reader.feed(tenant, 0, 10).unwrap().len() == 1);
        assert!(h.reader.feed(tenant, 0, 10).unwrap().iter().all(|at| at.event.tenant == tenant));
    }
}

/// A write to another tenant's stream comes back, and touches nothing.
pub fn foreign_stream_comes_back(mut h: Harness) {
    let world = &mut World::new();
    let mut theirs = world.task(THEIRS);
    h.commit(&streams(vec![theirs.submit(world, Vec::new())])).unwrap();
    let before = h.reader.task(THEIRS, theirs.id()).unwrap();
    for fresh in [true, false] {
        let mut forged = world.task(OURS);
        forged.task.id = theirs.id();
        forged.log = super::fixtures::Log::new(OURS, theirs.log.name);
        if !fresh {
            forged.submit(world, Vec::new());
        }
        let write = forged.note(world, vec![Row::TimerPut(forged.timer(world.now))]);
        assert_eq!(h.commit(&streams(vec![write])).unwrap().moved, [theirs.log.name]);
    }
    assert_eq!(h.reader.task(THEIRS, theirs.id()).unwrap(), before);
    assert_eq!(h.reader.next_timer().unwrap(), None);
}

/// A moved head: the stream comes back with all that is its own, the others are written.
pub fn moved_head_comes_back_alone(mut h: Harness) {
    let world = &mut World::new();
    let (mut a, mut b) = (world.task(OURS), world.task(OURS));
    h.commit(&streams(vec![a.submit(world, Vec::new()), b.submit(world, Vec::new())])).unwrap();
    // Another server goes ahead.
    let mut stale = a.clone();
    h.commit(&streams(vec![a.note(world, Vec::new())])).unwrap();
    stale.task.state = State::Running;
    let mut lost = world.task(OURS);
    let stale_rows = vec![
        Row::KeyNew(stale.key("never")),
        Row::TimerPut(stale.timer(world.now)),
        Row::LeasePut(stale.lease(world, WorkerId([1; 16]))),
        Row::QueuePut(stale.queue_row()),
        Row::OutboxPut(crate::rows::OutboxRow { tenant: OURS, task: stale.id() }),
        Row::QueuePaused { queue: "never".to_owned(), paused: true },
    ];
    let again = lost.submit(world, Vec::new());
    let mut unheard = lost.clone();
    let gap = unheard.note(world, Vec::new());
    let writes = WriteSet {
        streams: vec![
            stale.note(world, stale_rows),
            b.note(world, vec![Row::TimerPut(b.timer(world.now))]),
            gap,
        ],
        lanes: Vec::new(),
        rows: vec![Row::QueuePaused { queue: "low".to_owned(), paused: true }],
    };
    let committed = h.commit(&writes).unwrap();
    assert_eq!(sorted(committed.moved), sorted(vec![a.log.name, lost.log.name]));
    assert_eq!(h.reader.task(OURS, a.id()).unwrap().unwrap().task, a.task);
    assert_eq!(events(&h, OURS, a.id()), a.log.events);
    assert_eq!(events(&h, OURS, b.id()), b.log.events);
    assert_eq!(h.reader.task(OURS, lost.id()).unwrap(), None);
    assert_eq!(
        h.reader.timers_due(world.now, 10).unwrap().iter().map(|row| row.task).collect::<Vec<_>>(),
        [b.id()]
    );
    assert_eq!((h.reader.leases().unwrap(), h.reader.depths().unwrap()), (vec![], vec![]));
    assert_eq!(h.reader.outbox(10).unwrap(), []);
    assert_eq!(h.reader.key(&key_hash(OURS, "never")).unwrap(), None);
    assert_eq!(h.reader.paused_queues().unwrap(), ["low"]);
    // A stream that exists is not new, and one that came back can be written when it was decided again.
    let committed = h.commit(&streams(vec![again.clone()])).unwrap();
    assert_eq!(committed.moved, []);
    assert_eq!(h.commit(&streams(vec![again])).unwrap().moved, [lost.log.name]);
}

/// A taken key: its stream comes back, with its other keys; the other streams stay.
pub fn taken_key_comes_back_alone(mut h: Harness) {
    let world = &mut World::new();
    let (mut a, mut b, mut c) = (world.task(OURS), world.task(OURS), world.task(OURS));
    let key = Row::KeyNew(a.key("k"));
    h.commit(&streams(vec![a.submit(world, vec![key])])).unwrap();
    let b_rows = vec![Row::KeyNew(b.key("other")), Row::KeyNew(b.key("k")), Row::QueuePut(b.queue_row())];
    let c_rows = vec![Row::KeyNew(c.key("c"))];
    let writes = streams(vec![b.submit(world, b_rows), c.submit(world, c_rows)]);
    assert_eq!(h.commit(&writes).unwrap().moved, [b.log.name]);
    assert_eq!(h.reader.key(&key_hash(OURS, "k")).unwrap(), Some(a.key("k")));
    assert_eq!(h.reader.key(&key_hash(OURS, "other")).unwrap(), None);
    assert_eq!(h.reader.key(&key_hash(OURS, "c")).unwrap(), Some(c.key("c")));
    assert_eq!(h.reader.task(OURS, b.id()).unwrap(), None);
    assert_eq!(h.reader.depths().unwrap(), []);
    assert_eq!(events(&h, OURS, c.id()), c.log.events);
}

/// Two streams with the same new key in one set: the first one has it.
pub fn first_of_two_new_keys_stays(mut h: Harness) {
    let world = &mut World::new();
    let (mut moved, mut a, mut b) = (world.task(OURS), world.task(OURS), world.task(OURS));
    h.commit(&streams(vec![moved.submit(world, Vec::new())])).unwrap();
    let mut stale = moved.clone();
    h.commit(&streams(vec![moved.note(world, Vec::new())])).unwrap();
    // One whose head has moved does not count, though it comes first.
    let stale_key = vec![Row::KeyNew(stale.key("k"))];
    let a_key = vec![Row::KeyNew(a.key("k"))];
    let b_key = vec![Row::KeyNew(b.key("k"))];
    let writes = streams(vec![stale.note(world, stale_key), a.submit(world, a_key), b.submit(world, b_key)]);
    let committed = h.commit(&writes).unwrap();
    assert_eq!(sorted(committed.moved), sorted(vec![moved.log.name, b.log.name]));
    assert_eq!(h.reader.key(&key_hash(OURS, "k")).unwrap().map(|key| key.task), Some(a.id()));
    assert_eq!(h.reader.task(OURS, b.id()).unwrap(), None);
}

/// A stream without events is compared all the same: rows that are right under one head only.
pub fn stream_without_events_is_compared(mut h: Harness) {
    let world = &mut World::new();
    let mut a = world.task(OURS);
    h.commit(&streams(vec![a.submit(world, Vec::new())])).unwrap();
    let mut renewal = a.write(vec![Row::TimerPut(a.timer(world.now))]);
    // Only events change a record.
    let mut task = a.task.clone();
    task.state = State::Cancelling;
    renewal.task = Some(TaskWrite { task: task.into(), data_subject: None, signature: None });
    assert_eq!(h.commit(&streams(vec![renewal.clone()])).unwrap().moved, []);
    assert_eq!(h.reader.next_timer().unwrap(), Some(world.now));
    assert_eq!(h.reader.task(OURS, a.id()).unwrap().unwrap().task, a.task);
    let before = world.now;
    h.commit(&streams(vec![a.note(world, Vec::new())])).unwrap();
    renewal.rows = vec![Row::TimerDelete(a.id())];
    assert_eq!(h.commit(&streams(vec![renewal])).unwrap().moved, [a.log.name]);
    assert_eq!(h.reader.next_timer().unwrap(), Some(before));
    assert_eq!(h.reader.task(OURS, a.id()).unwrap().unwrap().head, a.log.head);
}

/// Rows of a set act one after the other, the rows of the set after those of the streams.
pub fn rows_act_in_order(mut h: Harness) {
    let world = &mut World::new();
    let (mut a, mut b) = (world.task(OURS), world.task(OURS));
    let (early, late) = (world.tick(), world.tick());
    let a_rows = vec![
        Row::QueuePut(a.queue_row()),
        Row::TimerPut(a.timer(early)),
        Row::QueueDelete(a.queue_row()),
        Row::TimerPut(a.timer(late)),
        Row::LeasePut(a.lease(world, WorkerId([1; 16]))),
    ];
    let b_rows = vec![
        Row::QueueDelete(b.queue_row()),
        Row::QueuePut(b.queue_row()),
        Row::TimerPut(b.timer(early)),
        Row::TimerDelete(b.id()),
        // Of a task whose stream comes later in the set, or earlier.
        Row::DependencyPut(crate::rows::DependencyRow {
            tenant: OURS,
            prerequisite: a.id(),
            dependent: b.id(),
            on: Default::default(),
        }),
    ];
    let writes = WriteSet {
        streams: vec![b.submit(world, b_rows), a.submit(world, a_rows)],
        lanes: vec![a.lane(), a.lane()],
        rows: vec![Row::LeaseDelete(a.id())],
    };
    h.commit(&writes).unwrap();
    let ready = crate::work::ReadyQuery { lane: a.lane().id(), per_tenant: 9, full: Vec::new() };
    let loaded = h.load(&Wanted { ready: vec![ready], ..Wanted::default() }).unwrap();
    assert_eq!(loaded.ready, [b.queue_row()]);
    assert_eq!(h.reader.timers_due(late, 9).unwrap(), [a.timer(late)]);
    assert_eq!(h.reader.leases().unwrap(), []);
    assert_eq!(h.reader.dependents(a.id(), 9).unwrap().len(), 1);
}

/// An empty set is nothing, and no error.
pub fn empty_set_is_nothing(mut h: Harness) {
    assert_eq!(h.commit(&WriteSet::default()).unwrap(), Committed::default());
    h.writer.idle().unwrap();
}

/// A full batch: 256 tasks of several events each, in one commit.
pub fn large_set_is_written_whole(mut h: Harness) {
    let world = &mut World::new();
    let mut made: Vec<_> = (0..256).map(|_| world.task(OURS)).collect();
    let writes: Vec<_> = made
        .iter_mut()
        .enumerate()
        .map(|(i, one)| {
            one.append(world, EventBody::Submitted(Box::new(one.task.spec.clone())));
            one.append(world, custom(&format!("{{\"i\":{i}}}"))).append(world, custom("[]"));
            let key = one.key(&i.to_string());
            one.write(vec![
                Row::KeyNew(key),
                Row::QueuePut(one.queue_row()),
                Row::TimerPut(one.timer(world.now)),
            ])
        })
        .collect();
    let lanes = vec![made[0].lane()];
    let committed = h.commit(&WriteSet { streams: writes, lanes, rows: Vec::new() }).unwrap();
    assert_eq!(committed.moved, []);
    assert_eq!(h.reader.tasks_count(OURS, &TaskFilter::default(), 10_000).unwrap(), 256);
    assert_eq!(h.reader.depths().unwrap()[0].tasks, 256);
    assert_eq!(h.reader.timers_due(world.now, 1_000).unwrap().len(), 256);
    for one in &made {
        assert_eq!(events(&h, OURS, one.id()), one.log.events);
    }
}

/// Each event, record and row counts one: what the row budget is held to.
pub fn rows_written_counts_events_records_and_rows(mut h: Harness) {
    let world = &mut World::new();
    let mut a = world.task(OURS);
    let a_rows = vec![Row::KeyNew(a.key("k")), Row::QueuePut(a.queue_row())];
    let submit = a.submit(world, a_rows);
    assert_eq!(h.commit(&streams(vec![submit])).unwrap().rows_written, 4);
    // The event, the record, the queue row that goes and the lease that comes.
    let start = a.start(world, WorkerId([1; 16]));
    assert_eq!(h.commit(&streams(vec![start])).unwrap().rows_written, 4);
    let lease = a.lease(world, WorkerId([1; 16]));
    assert_eq!(h.commit(&rows(vec![Row::LeasePut(lease)])).unwrap().rows_written, 1);
    // What is not there is not written.
    let nothing = vec![Row::TimerDelete(a.id()), Row::QueueDelete(a.queue_row()), Row::OutboxDelete(a.id())];
    assert_eq!(h.commit(&rows(nothing)).unwrap().rows_written, 0);
    a.append(world, custom("1")).append(world, custom("2"));
    let end = a.end(world, State::Completed, vec![Row::LeaseDelete(a.id())]);
    assert_eq!(h.commit(&streams(vec![end])).unwrap().rows_written, 5);
}

/// Rows that need a task, or a blob, which is not there: the whole set is refused.
pub fn rows_without_their_task_are_refused(mut h: Harness) {
    let world = &mut World::new();
    let (mut here, nowhere) = (world.task(OURS), world.task(OURS));
    let blob = world.blob(OURS);
    h.commit(&streams(vec![here.submit(world, Vec::new())])).unwrap();
    h.commit(&rows(vec![Row::BlobPut(blob.clone())])).unwrap();
    let dependency = |prerequisite, dependent| {
        let on = Default::default();
        Row::DependencyPut(crate::rows::DependencyRow { tenant: OURS, prerequisite, dependent, on })
    };
    let used = |blob: &str, task| Row::BlobUse { blob: blob.to_owned(), tenant: OURS, task };
    for row in [
        Row::QueuePut(nowhere.queue_row()),
        Row::LeasePut(nowhere.lease(world, WorkerId([1; 16]))),
        Row::TimerPut(nowhere.timer(world.now)),
        Row::OutboxPut(crate::rows::OutboxRow { tenant: OURS, task: nowhere.id() }),
        dependency(here.id(), nowhere.id()),
        dependency(nowhere.id(), here.id()),
        used(&blob.id, nowhere.id()),
        used("no such blob", here.id()),
    ] {
        let mut other = world.task(OURS);
        let mut next = here.clone();
        let writes = WriteSet {
            streams: vec![other.submit(world, Vec::new()), next.note(world, vec![row.clone()])],
            lanes: Vec::new(),
            rows: vec![Row::QueuePaused { queue: "low".to_owned(), paused: true }],
        };
        let refused = h.commit(&writes);
        assert!(matches!(refused, Err(StoreError::Bug(_))), "{}: {row:?}: {refused:?}", h.name);
        assert_eq!(h.reader.task(OURS, other.id()).unwrap(), None, "{row:?}");
        assert_eq!(events(&h, OURS, here.id()), here.log.events, "{row:?}");
    }
    assert_eq!(h.reader.paused_queues().unwrap(), Vec::<String>::new());
    // And the store goes on.
    assert_eq!(h.commit(&streams(vec![here.note(world, Vec::new())])).unwrap().moved, []);
}

/// Write sets that no rule may make are refused before anything is written.
pub fn malformed_sets_are_refused(mut h: Harness) {
    let world = &mut World::new();
    let mut a = world.task(OURS);
    h.commit(&streams(vec![a.submit(world, Vec::new())])).unwrap();
    a.append(world, custom("1"));
    let good = a.append(world, custom("2")).write(Vec::new());
    let bad = |change: fn(&mut StreamWrite)| {
        let mut write = good.clone();
        change(&mut write);
        streams(vec![write])
    };
    let other_record = |write: &mut StreamWrite| {
        if let Some(record) = &mut write.task {
            std::sync::Arc::make_mut(&mut record.task).id = TaskId([9; 16]);
        }
    };
    for (what, writes) in [
        ("twice", streams(vec![good.clone(), good.clone()])),
        ("a gap", bad(|write| drop(write.events.remove(0)))),
        ("backwards", bad(|write| write.events.swap(0, 1))),
        ("an old event", bad(|write| write.expected = 0)),
        ("a wrong head", bad(|write| write.head.seq += 1)),
        ("a wrong hash", bad(|write| write.head.hash = [0; 32])),
        ("another tenant's", bad(|write| write.tenant = THEIRS)),
        ("another stream's", bad(|write| write.stream = StreamName::Task(TaskId([9; 16])))),
        ("no record", bad(|write| write.task = None)),
        ("another record", bad(other_record)),
        ("no events, yet another head", bad(|write| write.events.clear())),
        ("a key without a stream", rows(vec![Row::KeyNew(a.key("k"))])),
        ("a key twice", {
            let mut write = good.clone();
            write.rows = vec![Row::KeyNew(a.key("k")), Row::KeyNew(a.key("k"))];
            streams(vec![write])
        }),
    ] {
        let refused = h.commit(&writes);
        assert!(matches!(refused, Err(StoreError::Bug(_))), "{}: {what}: {refused:?}", h.name);
        assert_eq!(h.reader.head(OURS, a.log.name).unwrap().map(|head| head.seq), Some(1), "{what}");
    }
    assert_eq!(h.commit(&streams(vec![good])).unwrap().moved, []);
    assert_eq!(events(&h, OURS, a.id()), a.log.events);
}

/// What was committed is there after a restart, and can be gone on with.
pub fn commits_survive_a_reopening(mut h: Harness) {
    let world = &mut World::new();
    let mut a = world.task(OURS);
    let key = a.key("k");
    let due = world.now;
    let a_rows = vec![Row::KeyNew(key.clone()), Row::QueuePut(a.queue_row()), Row::TimerPut(a.timer(due))];
    let write = a.submit(world, a_rows);
    h.commit(&WriteSet { streams: vec![write], lanes: vec![a.lane()], rows: Vec::new() }).unwrap();
    let lease = a.start(world, WorkerId([1; 16]));
    h.commit(&streams(vec![lease])).unwrap();
    let (row, leases) = (h.reader.task(OURS, a.id()).unwrap(), h.reader.leases().unwrap());
    wait_for(|| h.reader.feed(OURS, 0, 9).unwrap().len() == 2);
    let position = h.reader.last_position(OURS).unwrap();
    let mut h = h.reopen();
    assert_eq!((h.reader.task(OURS, a.id()).unwrap(), h.reader.leases().unwrap()), (row, leases));
    assert_eq!(events(&h, OURS, a.id()), a.log.events);
    assert_eq!(h.reader.key(&key.hash).unwrap(), Some(key));
    assert_eq!(h.reader.next_timer().unwrap(), Some(due));
    assert_eq!(h.reader.lanes().unwrap(), [(a.lane().id(), a.lane())]);
    let write = a.note(world, Vec::new());
    assert!(h.commit(&streams(vec![write])).unwrap().last_pos > Some(position));
    assert_eq!(events(&h, OURS, a.id()), a.log.events);
}

fn sorted(mut names: Vec<StreamName>) -> Vec<StreamName> {
    names.sort();
    names
}
