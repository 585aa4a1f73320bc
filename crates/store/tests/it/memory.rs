//! The suite and the differential test over the in-memory engine, and its faults.

use everloop_store::error::StoreError;
use everloop_store::memory::{Fault, MemoryStore};
use everloop_store::port::{InstallationRead, WriteStore};
use everloop_store::rows::{Installation, TenantRow};
use everloop_store::suite::Harness;
use everloop_store::suite::differential::{differential, seed_or};
use everloop_store::work::{Row, WriteSet};
use everloop_types::id::{InstallationId, TenantId};
use everloop_types::time::Timestamp;
use std::sync::Arc;

fn new_store() -> MemoryStore {
    MemoryStore::new(Installation {
        id: InstallationId([1; 16]),
        epoch: 0,
        created_at: Timestamp::from_micros(1_700_000_000_000_000),
    })
}

fn harness(name: &'static str, store: MemoryStore, cut: bool) -> Harness {
    let (other, again) = (store.clone(), store.clone());
    Harness {
        name,
        writer: Box::new(store.writer()),
        reader: store.reader(),
        blob: store.blob(),
        own_clock: false,
        another: Some(Arc::new(move || Box::new(other.writer()))),
        reopen: Box::new(move || {
            if cut {
                again.crash();
            }
            harness(name, again, cut)
        }),
    }
}

/// Reopening is a power cut: what was committed has to be durable.
fn open() -> Harness {
    harness("memory", new_store(), true)
}

everloop_store::store_suite!(memory, open);

#[test]
fn memory_shows_the_same_with_and_without_power_cuts() {
    for seed in 1..=4 {
        let engines = vec![open(), harness("memory without cuts", new_store(), false)];
        differential(engines, seed_or(seed), 400);
    }
}

fn tenant(n: u8) -> WriteSet {
    let created_at = Timestamp::from_micros(0);
    let row = TenantRow { id: TenantId([n; 16]), name: n.to_string(), secret: [n; 32], created_at };
    WriteSet { rows: vec![Row::TenantPut(row)], ..WriteSet::default() }
}

/// Tenants that are there, by their number.
fn there(store: &MemoryStore) -> Vec<u8> {
    store.reader().tenants().unwrap().iter().map(|row| row.id.0[0]).collect()
}

#[test]
fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
    let store = new_store();
    let mut writer = store.writer();
    writer.commit(&tenant(1)).unwrap();
    store.hold_syncs(true);
    writer.commit(&tenant(2)).unwrap();
    store.sync();
    writer.commit(&tenant(3)).unwrap();
    assert_eq!(there(&store), [1, 2, 3]);
    store.crash();
    assert_eq!(there(&store), [1, 2]);
    store.hold_syncs(false);
    writer.commit(&tenant(4)).unwrap();
    store.crash();
    assert_eq!(there(&store), [1, 2, 4]);
}

#[test]
fn planned_faults_come_once_and_in_order() {
    let store = new_store();
    let mut writer = store.writer();
    for fault in
        [Fault::Full, Fault::Unavailable, Fault::Unknown { applied: false }, Fault::Unknown { applied: true }]
    {
        store.fail_next(fault);
    }
    assert!(matches!(writer.commit(&tenant(1)), Err(StoreError::Full(_))));
    assert!(matches!(writer.commit(&tenant(2)), Err(StoreError::Unavailable(_))));
    assert!(matches!(writer.commit(&tenant(3)), Err(StoreError::Unknown(_))));
    assert!(matches!(writer.commit(&tenant(4)), Err(StoreError::Unknown(_))));
    writer.commit(&tenant(5)).unwrap();
    assert_eq!(there(&store), [4, 5]);
}

#[test]
fn after_a_failed_fsync_nothing_is_written_until_the_power_was_cut() {
    for (kept, after) in [(false, vec![1, 3]), (true, vec![1, 2, 3])] {
        let store = new_store();
        let mut writer = store.writer();
        writer.commit(&tenant(1)).unwrap();
        store.fail_next(Fault::Failed { kept });
        assert!(matches!(writer.commit(&tenant(2)), Err(StoreError::Failed(_))));
        assert!(matches!(store.writer().commit(&tenant(9)), Err(StoreError::Failed(_))));
        assert_eq!(there(&store), [1]);
        store.crash();
        writer.commit(&tenant(3)).unwrap();
        assert_eq!(there(&store), after);
    }
}

#[test]
fn a_database_that_is_switched_off_answers_nothing() {
    let store = new_store();
    store.set_available(false);
    assert!(matches!(store.reader().ping(), Err(StoreError::Unavailable(_))));
    assert!(matches!(store.writer().commit(&tenant(1)), Err(StoreError::Unavailable(_))));
    store.set_available(true);
    store.reader().ping().unwrap();
    assert_eq!(there(&store), Vec::<u8>::new());
}
