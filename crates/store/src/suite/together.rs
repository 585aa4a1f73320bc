//! Writers and readers at the same time.

use super::fixtures::{Made, OURS, World, key_hash, streams};
use super::harness::{Harness, wait_for};
use crate::port::WriteStore;
use crate::work::Row;
use everloop_types::event::Event;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

const ROUNDS: usize = 60;

/// Commits of one writer: each grows its own streams and says what they hold.
fn write(writer: &mut dyn WriteStore, seed: u64) -> Vec<Made> {
    let world = &mut World::seeded(seed);
    let mut made: Vec<_> = (0..4).map(|_| world.task(OURS)).collect();
    let submits = made.iter_mut().map(|one| one.submit(world, Vec::new())).collect();
    assert_eq!(writer.commit(&streams(submits)).unwrap().moved, []);
    for round in 0..ROUNDS {
        let at = round % made.len();
        let note = made[at].note(world, Vec::new());
        assert_eq!(writer.commit(&streams(vec![note])).unwrap().moved, []);
    }
    made
}

/// A follower of the feed that reads while it is written sees every event once, in order, and none behind where it stands.
pub fn follower_of_the_feed_misses_nothing(h: Harness) {
    let Harness { mut writer, reader, another, reopen, .. } = h;
    let done = AtomicBool::new(false);
    let (made, seen) = std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let (mut seen, mut after) = (Vec::<Event>::new(), 0);
            loop {
                // Asked before reading: what was written until then is read below.
                let last = done.load(Ordering::SeqCst);
                let page = reader.feed(OURS, after, 7).unwrap();
                if let Some(at) = page.last() {
                    assert!(page.is_sorted_by(|x, y| x.pos < y.pos) && page[0].pos > after);
                    assert!(reader.last_position(OURS).unwrap() >= at.pos);
                    after = at.pos;
                    seen.extend(page.into_iter().map(|at| at.event));
                } else if last {
                    break;
                } else {
                    std::thread::yield_now();
                }
            }
            seen
        });
        let others: Vec<_> = another
            .iter()
            .flat_map(|another| (0..3).map(move |_| another()))
            .zip(2..)
            .map(|(mut writer, seed)| scope.spawn(move || write(&mut *writer, seed)))
            .collect();
        let mut made = write(&mut *writer, 1);
        made.extend(others.into_iter().flat_map(|other| other.join().unwrap()));
        let all: usize = made.iter().map(|one: &Made| one.log.events.len()).sum();
        wait_for(|| reader.feed(OURS, 0, 100_000).unwrap().len() == all);
        done.store(true, Ordering::SeqCst);
        (made, follower.join().unwrap())
    });
    let mut by_stream: BTreeMap<_, Vec<Event>> = BTreeMap::new();
    for event in seen {
        by_stream.entry(event.stream).or_default().push(event);
    }
    assert_eq!(by_stream.len(), made.len());
    for one in &made {
        assert_eq!(by_stream.get(&one.log.name), Some(&one.log.events));
    }
    drop(reopen);
}

/// Of several writers on one head or one key, exactly one gets through; none is lost and none doubled.
pub fn one_of_many_writers_gets_through(mut h: Harness) {
    let Some(another) = h.another.clone() else {
        // An engine with one writer has no such race.
        return;
    };
    let world = &mut World::new();
    let mut shared = world.task(OURS);
    h.commit(&streams(vec![shared.submit(world, Vec::new())])).unwrap();
    for round in 0..20 {
        let key = format!("round-{round}");
        let candidates: Vec<_> = (0..4)
            .map(|_| {
                let mut next = shared.clone();
                let mut fresh = world.task(OURS);
                let rows = vec![Row::KeyNew(fresh.key(&key))];
                let writes = streams(vec![next.note(world, Vec::new()), fresh.submit(world, rows)]);
                (another(), writes, next, fresh)
            })
            .collect();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = candidates
                .into_iter()
                .map(|(mut writer, writes, next, fresh)| {
                    scope.spawn(move || (writer.commit(&writes).unwrap().moved, next, fresh))
                })
                .collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let grown: Vec<_> =
            outcomes.iter().filter(|(moved, next, _)| !moved.contains(&next.log.name)).collect();
        let named: Vec<_> =
            outcomes.iter().filter(|(moved, _, fresh)| !moved.contains(&fresh.log.name)).collect();
        assert_eq!((grown.len(), named.len()), (1, 1), "{}", h.name);
        let owner = named[0].2.id();
        assert_eq!(h.reader.key(&key_hash(OURS, &key)).unwrap().map(|key| key.task), Some(owner));
        for (_, _, fresh) in &outcomes {
            assert_eq!(h.reader.task(OURS, fresh.id()).unwrap().is_some(), fresh.id() == owner);
        }
        let winner = grown[0].1.clone();
        assert_eq!(h.reader.events(OURS, shared.log.name, 0, 100).unwrap(), winner.log.events);
        shared = winner;
    }
}
