//! Events: what they read back as, the feed, and the three ways in which they go.

use super::fixtures::{Log, Made, OURS, THEIRS, World, custom, json, key_hash, rows, streams};
use super::harness::{Harness, wait_for};
use crate::port::{Order, Part, TaskFilter};
use crate::rows::{DependencyRow, OutboxRow, Positioned};
use crate::work::Row;
use everloop_journal::chain::{self, Verifier};
use everloop_types::event::{AuditSegment, Event};
use everloop_types::id::{TenantId, WorkerId};
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use std::time::Duration;

fn read(h: &Harness, made: &Made, after: u64, limit: usize) -> Vec<Event> {
    h.reader.events(made.task.tenant, made.log.name, after, limit).unwrap()
}

/// A task with `notes` events after its first one.
fn noted(h: &mut Harness, world: &mut World, tenant: TenantId, notes: usize) -> Made {
    let mut made = world.task(tenant);
    h.commit(&streams(vec![made.submit(world, Vec::new())])).unwrap();
    for i in 0..notes {
        made.append(world, custom(&format!("{{\"i\":{i}}}")));
    }
    if notes > 0 {
        let write = made.write(Vec::new());
        h.commit(&streams(vec![write])).unwrap();
    }
    made
}

/// Pages of events, single ones, and what lies beyond the end.
pub fn events_come_in_pages(mut h: Harness) {
    let world = &mut World::new();
    let made = noted(&mut h, world, OURS, 6);
    let all = &made.log.events;
    assert_eq!(read(&h, &made, 0, 100), *all);
    assert_eq!(read(&h, &made, 0, 3), all[..3]);
    assert_eq!(read(&h, &made, 3, 3), all[3..6]);
    assert_eq!(read(&h, &made, 6, 3), all[6..]);
    assert_eq!(read(&h, &made, 7, 3), []);
    assert_eq!(read(&h, &made, 1 << 40, 3), []);
    assert_eq!(read(&h, &made, 0, 0), []);
    for event in all {
        let found = h.reader.event(OURS, made.log.name, event.seq).unwrap();
        assert_eq!(found.as_ref(), Some(event));
    }
    assert_eq!(h.reader.event(OURS, made.log.name, 0).unwrap(), None);
    assert_eq!(h.reader.event(OURS, made.log.name, 8).unwrap(), None);
    assert_eq!(h.reader.anchor(OURS, made.log.name).unwrap(), None);
}

/// Data comes back byte for byte: every kind of character, and as much as one event may hold.
pub fn payload_comes_back_byte_for_byte(mut h: Harness) {
    let world = &mut World::new();
    let mut made = noted(&mut h, world, OURS, 0);
    // One character of every block of 64 that has any, surrogates apart; controls are escaped in canonical JSON.
    let every: String = (0x20_u32..0x11_0000).step_by(61).filter_map(char::from_u32).collect();
    let every = serde_json::to_string(&every).unwrap();
    let filler = "é\u{1F980}x".repeat(limits::EVENT_DATA_BYTES / 7 + 1);
    let mut end = limits::EVENT_DATA_BYTES - 2;
    while !filler.is_char_boundary(end) {
        end -= 1;
    }
    let big = format!("\"{}\"", &filler[..end]);
    assert!(big.len() > limits::EVENT_DATA_BYTES - 4);
    for data in [every.as_str(), &big, "null", "\"\\u0000\"", "18446744073709551615", "{\"\":{}}", "1e+21"] {
        made.append(world, custom(data));
        let write = made.write(Vec::new());
        h.commit(&streams(vec![write])).unwrap();
        let found = h.reader.event(OURS, made.log.name, made.log.head.seq).unwrap().unwrap();
        assert!(found.payload.as_ref().is_some_and(|payload| payload.data.as_str() == data), "{:.40}", data);
        assert_eq!(Some(&found), made.log.events.last());
    }
    let h = h.reopen();
    assert_eq!(read(&h, &made, 0, 100), made.log.events);
}

/// What was stored verifies as a chain, digests and end included.
pub fn stored_chain_verifies(mut h: Harness) {
    let world = &mut World::new();
    let mut made = noted(&mut h, world, OURS, 20);
    made.digest(world);
    let start = made.start(world, WorkerId([1; 16]));
    h.commit(&streams(vec![start])).unwrap();
    h.commit(&streams(vec![made.end(world, State::Failed, vec![Row::LeaseDelete(made.id())])])).unwrap();
    let h = h.reopen();
    let mut verifier = Verifier::new(OURS, made.log.name);
    for event in read(&h, &made, 0, 1_000) {
        verifier.check(&event).unwrap();
    }
    assert!(verifier.is_terminal());
    assert_eq!(Some(verifier.head()), h.reader.head(OURS, made.log.name).unwrap());
    let json: Vec<_> = read(&h, &made, 0, 1_000).iter().map(chain::to_json).collect();
    assert_eq!(json, made.log.events.iter().map(chain::to_json).collect::<Vec<_>>());
}

fn feed(h: &Harness, tenant: TenantId, expected: usize) -> Vec<Positioned> {
    wait_for(|| h.reader.feed(tenant, 0, 1_000).unwrap().len() >= expected);
    h.reader.feed(tenant, 0, 1_000).unwrap()
}

/// The feed has every event of a tenant's streams in the order of commits, in pages, and its positions stay.
pub fn feed_has_every_event_in_order(mut h: Harness) {
    let world = &mut World::new();
    assert_eq!((h.reader.last_position(OURS).unwrap(), h.reader.feed(OURS, 0, 9).unwrap()), (0, vec![]));
    let (mut a, mut b) = (noted(&mut h, world, OURS, 2), noted(&mut h, world, OURS, 0));
    let mut foreign = noted(&mut h, world, THEIRS, 2);
    let mut audit = Log::new(OURS, StreamName::Audit(OURS, 1));
    audit.append(world, AuditSegment { hash: None, previous: None });
    let writes = vec![b.note(world, Vec::new()), audit.write(), foreign.note(world, Vec::new())];
    h.commit(&streams(writes)).unwrap();
    let first = feed(&h, OURS, 6);
    let last_pos = h.commit(&streams(vec![a.note(world, Vec::new())])).unwrap().last_pos;
    let all = feed(&h, OURS, 7);
    assert_eq!(all[..6], first, "positions stay as they were");
    assert!(all.is_sorted_by(|x, y| x.pos < y.pos) && all[0].pos > 0);
    assert_eq!(all.last().map(|at| at.pos), last_pos);
    wait_for(|| h.reader.last_position(OURS).ok() == last_pos);
    for log in [&a.log, &b.log, &audit] {
        let of: Vec<_> = all.iter().map(|at| &at.event).filter(|event| event.stream == log.name).collect();
        assert_eq!(of, log.events.iter().collect::<Vec<_>>());
    }
    // In pages of two.
    let (mut paged, mut after) = (Vec::new(), 0);
    loop {
        let page = h.reader.feed(OURS, after, 2).unwrap();
        let Some(last) = page.last() else { break };
        after = last.pos;
        paged.extend(page);
        assert!(paged.len() <= all.len(), "pages that go on for ever");
    }
    assert_eq!(paged, all);
    assert_eq!(feed(&h, THEIRS, 4).len(), 4);
    assert!(h.reader.last_position(THEIRS).unwrap() < after);
    let h = h.reopen();
    assert_eq!(feed(&h, OURS, 7), all);
}

/// Segments of the audit stream, the last one by number.
pub fn last_audit_segment_is_known(mut h: Harness) {
    let world = &mut World::new();
    assert_eq!(h.reader.audit_segment(OURS).unwrap(), None);
    for (tenant, segments) in [(OURS, [1, 2]), (THEIRS, [9, 10])] {
        for segment in segments {
            let mut log = Log::new(tenant, StreamName::Audit(tenant, segment));
            log.append(world, AuditSegment { hash: None, previous: None });
            h.commit(&streams(vec![log.write()])).unwrap();
            assert_eq!(h.reader.audit_segment(tenant).unwrap(), Some(segment));
            assert_eq!(h.reader.events(tenant, log.name, 0, 9).unwrap(), log.events);
            assert_eq!(h.reader.head(tenant, log.name).unwrap(), Some(log.head));
        }
    }
    assert_eq!(h.reader.audit_segment(OURS).unwrap(), Some(2));
}

/// Erased payloads are gone with their salts; envelopes, numbers and the chain stay. Only the named ones of that tenant.
pub fn erased_payloads_leave_their_hashes(mut h: Harness) {
    let world = &mut World::new();
    let (made, other) = (noted(&mut h, world, OURS, 5), noted(&mut h, world, OURS, 5));
    let erase = |tenant, seqs: &[u64]| {
        rows(vec![Row::PayloadsErase { tenant, stream: made.log.name, seqs: seqs.to_vec() }])
    };
    h.commit(&erase(THEIRS, &[1, 2, 3])).unwrap();
    assert_eq!(read(&h, &made, 0, 10), made.log.events);
    h.commit(&erase(OURS, &[2, 4, 99])).unwrap();
    h.commit(&erase(OURS, &[4])).unwrap();
    let mut expected = made.log.events.clone();
    for seq in [2, 4] {
        expected[seq - 1].payload = None;
    }
    assert_eq!(read(&h, &made, 0, 10), expected);
    assert_eq!(read(&h, &other, 0, 10), other.log.events);
    let mut verifier = Verifier::new(OURS, made.log.name);
    for event in read(&h, &made, 0, 10) {
        verifier.check(&event).unwrap();
    }
    assert_eq!(verifier.missing(), [2, 4]);
    let kind = made.log.events[1].kind.clone();
    let left = |tenant, kind: &str, after, limit| {
        h.reader.payloads(tenant, made.log.name, kind, after, limit).unwrap()
    };
    let there = made.log.events.iter().filter(|e| e.kind == kind && ![2, 4].contains(&e.seq));
    let expected: Vec<u64> = there.map(|event| event.seq).collect();
    assert!(expected.len() > 1);
    assert_eq!(left(OURS, &kind, 0, 99), expected);
    assert_eq!(left(OURS, &kind, expected[0], 1), expected[1..2]);
    assert_eq!((left(OURS, "no.such", 0, 99), left(THEIRS, &kind, 0, 99)), (vec![], vec![]));
    assert_eq!(h.reader.task(OURS, made.id()).unwrap().unwrap().head, made.log.head);
    assert_eq!(feed(&h, OURS, 12).iter().filter(|at| at.event.payload.is_none()).count(), 2);
}

/// A trimmed stream begins behind its anchor; its head, record and the rest of its chain stay.
pub fn trimmed_stream_begins_behind_its_anchor(mut h: Harness) {
    let world = &mut World::new();
    let (mut made, other) = (noted(&mut h, world, OURS, 5), noted(&mut h, world, OURS, 5));
    h.commit(&streams(vec![made.end(world, State::Completed, Vec::new())])).unwrap();
    let trim = |tenant, upto_seq: u64, anchor: &str| {
        rows(vec![Row::StreamTrim { tenant, stream: made.log.name, upto_seq, anchor: anchor.to_owned() }])
    };
    h.commit(&trim(THEIRS, 3, "forged")).unwrap();
    assert_eq!(read(&h, &made, 0, 10), made.log.events);
    for (upto, anchor) in [(3, "a.b.c"), (5, "d.e.f")] {
        h.commit(&trim(OURS, upto as u64, anchor)).unwrap();
        assert_eq!(h.reader.anchor(OURS, made.log.name).unwrap(), Some((upto as u64, anchor.to_owned())));
        assert_eq!(h.reader.anchor(THEIRS, made.log.name).unwrap(), None);
        assert_eq!(read(&h, &made, 0, 10), made.log.events[upto..]);
        assert_eq!(h.reader.event(OURS, made.log.name, upto as u64).unwrap(), None);
        let hash = made.log.events[upto - 1].hash;
        let mut verifier = Verifier::after_anchor(OURS, made.log.name, upto as u64, hash);
        for event in read(&h, &made, 0, 10) {
            verifier.check(&event).unwrap();
        }
        assert!(verifier.is_terminal());
    }
    let row = h.reader.task(OURS, made.id()).unwrap().unwrap();
    assert_eq!((row.task, row.head), (made.task.clone(), made.log.head));
    assert_eq!(read(&h, &other, 0, 10), other.log.events);
    let h = h.reopen();
    assert_eq!(h.reader.anchor(OURS, made.log.name).unwrap(), Some((5, "d.e.f".to_owned())));
    let feed = feed(&h, OURS, 8);
    assert_eq!(feed.len(), 8, "what is gone is gone from the feed too");
}

/// A deleted stream goes with its task and every row of it. Its keys stay, marked, until they are swept.
pub fn deleted_stream_goes_with_all_its_rows(mut h: Harness) {
    let world = &mut World::new();
    let (mut made, mut other) = (world.task(OURS), world.task(OURS));
    let blob = world.blob(OURS);
    let dependency = |prerequisite, dependent| {
        Row::DependencyPut(DependencyRow { tenant: OURS, prerequisite, dependent, on: Default::default() })
    };
    let other_rows = vec![Row::KeyNew(other.key("other")), Row::TimerPut(other.timer(world.now))];
    h.commit(&streams(vec![other.submit(world, other_rows)])).unwrap();
    let all_rows = vec![
        Row::KeyNew(made.key("k")),
        Row::KeyNew(made.key("header")),
        Row::BlobPut(blob.clone()),
        Row::BlobUse { blob: blob.id.clone(), tenant: OURS, task: made.id() },
        Row::QueuePut(made.queue_row()),
        Row::LeasePut(made.lease(world, WorkerId([1; 16]))),
        Row::TimerPut(made.timer(world.now)),
        Row::OutboxPut(OutboxRow { tenant: OURS, task: made.id() }),
        dependency(made.id(), other.id()),
        dependency(other.id(), made.id()),
    ];
    h.commit(&streams(vec![made.submit(world, all_rows)])).unwrap();
    let at = world.tick();
    let delete = |tenant| Row::StreamDelete { tenant, task: made.id(), at };
    h.commit(&rows(vec![delete(THEIRS)])).unwrap();
    assert!(h.reader.task(OURS, made.id()).unwrap().is_some());
    // As in the product: a row of the audit event that says so.
    let mut audit = Log::new(OURS, StreamName::Audit(OURS, 1));
    audit.append(world, AuditSegment { hash: None, previous: None });
    let mut write = audit.write();
    write.rows = vec![delete(OURS)];
    h.commit(&streams(vec![write])).unwrap();
    h.commit(&rows(vec![delete(OURS)])).unwrap();

    assert_eq!(h.reader.task(OURS, made.id()).unwrap(), None);
    assert_eq!(read(&h, &made, 0, 9), []);
    assert_eq!(h.reader.head(OURS, made.log.name).unwrap(), None);
    assert_eq!((h.reader.depths().unwrap(), h.reader.leases().unwrap()), (vec![], vec![]));
    assert_eq!(h.reader.outbox(9).unwrap(), []);
    assert_eq!(
        h.reader.timers_due(at, 9).unwrap().iter().map(|row| row.task).collect::<Vec<_>>(),
        [other.id()]
    );
    assert_eq!(h.reader.dependents(made.id(), 9).unwrap(), []);
    assert_eq!(h.reader.dependents(other.id(), 9).unwrap(), []);
    assert_eq!(h.reader.blobs_unused(Timestamp::MAX, 9).unwrap(), [blob]);
    assert_eq!(feed(&h, OURS, 2).len(), 2);
    assert_eq!(
        h.reader.tasks(OURS, &TaskFilter::default(), Order::Newest, Part::default(), 9).unwrap().len(),
        1
    );
    let deleted = |key: &str| h.reader.key(&key_hash(OURS, key)).unwrap().and_then(|key| key.deleted_at);
    assert_eq!((deleted("k"), deleted("header"), deleted("other")), (Some(at), Some(at), None));

    // A deleted key is taken until it is swept; a sweep takes what was deleted before its time, and nothing else.
    let submit = |h: &mut Harness, world: &mut World| {
        let mut next = world.task(OURS);
        let key = vec![Row::KeyNew(next.key("k"))];
        h.commit(&streams(vec![next.submit(world, key)])).unwrap().moved.len()
    };
    let sweep = |deleted_before| rows(vec![Row::KeysSweep { deleted_before }]);
    assert_eq!(submit(&mut h, world), 1);
    h.commit(&sweep(at)).unwrap();
    assert_eq!(submit(&mut h, world), 1);
    h.commit(&sweep(at.plus(Duration::from_micros(1)))).unwrap();
    assert_eq!(submit(&mut h, world), 0);
    assert!(h.reader.key(&key_hash(OURS, "header")).unwrap().is_none());
    assert!(h.reader.key(&key_hash(OURS, "other")).unwrap().is_some());
}

/// Actor and trace are kept as they are, and a custom type is one.
pub fn envelopes_keep_every_field(mut h: Harness) {
    let world = &mut World::new();
    let mut made = noted(&mut h, world, OURS, 0);
    for (actor, trace, ts) in [
        ("usr_00000000000000000000000000", None, world.now),
        ("system", Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), world.now),
        ("wkr_00000000000000000000000000", Some(""), Timestamp::MAX),
    ] {
        let draft = chain::Draft {
            tenant: OURS,
            stream: made.log.name,
            ts,
            kind: "custom.a_b.1".into(),
            body_v: 1,
            actor: actor.to_owned(),
            trace: trace.map(str::to_owned),
            salt: [0xff; 16],
            data: json("{}"),
        };
        made.log.push(chain::link(&made.log.head, draft));
    }
    let write = made.write(Vec::new());
    h.commit(&streams(vec![write])).unwrap();
    assert_eq!(read(&h, &made, 0, 9), made.log.events);
    let h = h.reopen();
    assert_eq!(read(&h, &made, 0, 9), made.log.events);
    assert_eq!(h.reader.head(OURS, made.log.name).unwrap().map(|head| head.ts), Some(Timestamp::MAX));
}
