//! Random operations on all three engines, and whether every statement ran.

use crate::engines::{birth, folder, open_postgres, open_sqlite, sqlite_in};
use crate::sample::{TENANT, grow, id, rows, set};
use everloop_store::memory::MemoryStore;
use everloop_store::port::{Order, Part, TaskFilter};
use everloop_store::suite::Harness;
use everloop_store::suite::differential::{differential, seed_or};
use everloop_store::work::Row;
use everloop_store_sql::{Engine, statements_never_run};
use everloop_types::id::WorkerId;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use std::sync::Arc;

fn memory(store: MemoryStore) -> Harness {
    Harness {
        name: "memory",
        writer: Box::new(store.writer()),
        reader: store.reader(),
        blob: store.blob(),
        own_clock: false,
        another: None,
        reopen: Box::new(move || memory(store)),
    }
}

/// Every kind of operation, so every statement: in one test, because a test may be a process of its own.
#[test]
fn three_engines_agree_and_every_statement_runs() {
    let memory = memory(MemoryStore::new(birth().installation));
    differential(vec![memory, open_sqlite(), open_postgres()], seed_or(7), 400);
    every_read(open_sqlite());
    every_read(open_postgres());
    housekeeping();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        assert_eq!(statements_never_run(engine), [""; 0], "{engine:?}");
    }
}

/// What a random run may not ask for.
fn every_read(mut h: Harness) {
    h.reader.ping().unwrap();
    assert_eq!(h.reader.last_position(TENANT).unwrap(), 0);
    assert_eq!(h.reader.tasks_count(TENANT, &TaskFilter::default(), 10).unwrap(), 0);
    assert_eq!(h.reader.key(&[1; 16]).unwrap(), None);
    assert_eq!(h.reader.event(TENANT, StreamName::Task(id(1)), 1).unwrap(), None);
    assert_eq!(h.reader.worker(WorkerId([1; 16])).unwrap(), None);
    assert_eq!(h.reader.blob(TENANT, "00").unwrap(), None);
    assert_eq!(h.reader.job("none").unwrap(), None);
    assert_eq!(h.reader.payloads(TENANT, StreamName::Task(id(1)), "log", 0, 1).unwrap(), [0; 0]);
    let stream = StreamName::Audit(TENANT, 1);
    h.commit(&rows(vec![Row::StreamTrim { tenant: TENANT, stream, upto_seq: 1, anchor: String::new() }]))
        .unwrap();
    assert_eq!(
        h.reader.tasks(TENANT, &TaskFilter::default(), Order::Oldest, Part::default(), 1).unwrap(),
        []
    );
    for order in [Order::Oldest, Order::Newest] {
        assert_eq!(h.reader.task_behind(TENANT, order, None, 1).unwrap(), None);
    }
}

/// A log that has to be moved and a file that has to shrink.
fn housekeeping() {
    let folder = folder();
    let mut h = sqlite_in(Arc::clone(&folder));
    for n in 0..40 {
        let batch = (n * 100..(n + 1) * 100).map(|n| grow(n, 0, 4, State::Completed, Vec::new())).collect();
        assert_eq!(h.commit(&set(batch)).unwrap().moved, []);
    }
    let size = || std::fs::metadata(folder.path().join("everloop.db")).unwrap().len();
    let log = || std::fs::metadata(folder.path().join("everloop.db-wal")).unwrap().len();
    assert!(log() < 100_000_000, "the log is bounded");
    let at = crate::sample::task(0, State::Completed).updated_at;
    for n in 0..40 {
        let gone = |n| Row::StreamDelete { tenant: TENANT, task: id(n), at };
        h.commit(&rows((n * 100..(n + 1) * 100).map(gone).collect())).unwrap();
    }
    for _ in 0..1_000 {
        h.writer.idle().unwrap();
        std::thread::yield_now();
    }
    let h = h.reopen();
    assert!(size() < 12_000_000, "{} bytes are left", size());
    assert_eq!(h.reader.last_position(TENANT).unwrap(), 0);
}
