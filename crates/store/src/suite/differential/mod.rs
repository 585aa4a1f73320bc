//! The same random operations on several engines, in lock-step: whatever one shows, all have to show.
//!
//! A run goes on until every kind of operation has succeeded at least once, so that a generator that has gone blunt fails
//! instead of passing. The seed is printed when it fails; `EVERLOOP_SEED` repeats it.

pub mod faults;
mod generate;
mod rows;
mod snapshot;

use super::harness::Harness;
use crate::error::StoreError;
use crate::work::Committed;
use everloop_types::stream::StreamName;
use generate::{Model, Planned};
use snapshot::{Follower, compare};
use std::collections::BTreeMap;

/// What a kind of operation is called, in the message about one that never succeeded.
type Name = &'static str;

/// Operations on streams and whole sets; [`rows::NAMES`] are those on rows.
const NAMES: &[Name] = &[
    "submit",
    "grow",
    "end",
    "compare",
    "audit",
    "lane",
    "empty set",
    "head moved",
    "key taken",
    "row without task",
    "malformed set",
    "several streams",
    "reopen",
];

/// The seed in `EVERLOOP_SEED`, or this one.
pub fn seed_or(default: u64) -> u64 {
    std::env::var("EVERLOOP_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Says which seed a failed run had.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "it is how a failed test is repeated")]
            {
                eprintln!("the differential test failed: EVERLOOP_SEED={} repeats it", self.0);
            }
        }
    }
}

/// Applies at least so many random operations to engines that were opened empty, and compares what they answer and show.
pub fn differential(mut engines: Vec<Harness>, seed: u64, operations: usize) {
    assert!(engines.len() > 1, "one engine differs from nothing");
    let _seed = Seed(seed);
    let mut model = Model::new(seed);
    let mut follower = Follower::new(engines.len());
    let mut succeeded: BTreeMap<Name, usize> = BTreeMap::new();
    for n in 0.. {
        let missing: Vec<_> =
            NAMES.iter().chain(rows::NAMES).filter(|name| !succeeded.contains_key(*name)).collect();
        if n >= operations && missing.is_empty() {
            break;
        }
        assert!(n < operations.max(100) * 10, "after {n} operations these never succeeded: {missing:?}");
        if model.world.dice.chance(2) {
            engines = engines.into_iter().map(Harness::reopen).collect();
            *succeeded.entry("reopen").or_default() += 1;
        }
        let planned = model.plan(&mut engines[0]);
        let outcomes: Vec<_> = engines.iter_mut().map(|h| (h.name, h.commit(&planned.writes))).collect();
        let first = agreed(&planned, &outcomes);
        for name in planned.succeeded(first) {
            *succeeded.entry(name).or_default() += 1;
        }
        model.settle(planned, first);
        follower.follow(&engines);
        compare(&engines, "rows", snapshot::rows);
        let wanted = model.wanted();
        let loaded: Vec<_> = engines.iter_mut().map(|h| (h.name, snapshot::loaded(h, &wanted))).collect();
        snapshot::equal(&loaded, "load");
        let tasks = model.some_tasks(if n % 25 == 24 { usize::MAX } else { 4 });
        compare(&engines, "tasks", |h| snapshot::tasks(h, &tasks));
        if n % 25 == 24 {
            // On PostgreSQL a connection of its own.
            compare(&engines, "snapshots", snapshot::whole);
        }
        let query = model.query();
        compare(&engines, "lists", |h| snapshot::lists(h, &query));
    }
    let tasks = model.some_tasks(usize::MAX);
    compare(&engines, "snapshots at the end", snapshot::whole);
    compare(&engines, "tasks at the end", |h| snapshot::tasks(h, &tasks));
}

/// What all engines answered, positions apart.
fn agreed<'a>(
    planned: &Planned,
    outcomes: &'a [(Name, Result<Committed, StoreError>)],
) -> &'a Result<Committed, StoreError> {
    let plain = |outcome: &Result<Committed, StoreError>| match outcome {
        Ok(committed) => {
            let mut moved: Vec<StreamName> = committed.moved.clone();
            moved.sort();
            let rows_written = planned.counts_exactly.then_some(committed.rows_written);
            format!("moved {moved:?}, rows {rows_written:?}, any events: {}", committed.last_pos.is_some())
        }
        Err(StoreError::Bug(_)) => "refused as a bug".to_owned(),
        Err(other) => format!("failed: {other}"),
    };
    let (name, first) = &outcomes[0];
    for (other_name, other) in &outcomes[1..] {
        assert_eq!(
            plain(first),
            plain(other),
            "{name} and {other_name} differ on {:#?}\n{name}: {first:?}\n{other_name}: {other:?}",
            planned.writes
        );
    }
    first
}
