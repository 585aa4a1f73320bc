//! What the database itself refuses.

use crate::engines::{Database, birth, folder, postgres_in, sqlite_in, try_run};
use crate::sample::{TENANT, grow, id, rows, set};
use everloop_store::suite::Harness;
use everloop_store::work::Row;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use std::sync::Arc;

const TAMPERING: &[&str] = &[
    "DELETE FROM event",
    "DELETE FROM event WHERE seq = 2",
    "UPDATE event SET type = 'task.failed' WHERE seq = 2",
    "UPDATE event SET seq = 9 WHERE seq = 2",
    "UPDATE event SET data = salt WHERE seq = 2",
    "UPDATE event SET data = NULL, salt = NULL, codec = NULL WHERE seq = 2",
    "UPDATE event SET data = NULL, salt = NULL, codec = NULL, data_hash = salt WHERE seq = 2",
    "UPDATE event SET data = NULL, salt = NULL, codec = NULL, data_hash = hash, actor = salt WHERE seq = 2",
    "UPDATE event SET data_hash = hash",
];

fn fill(h: &mut Harness) {
    h.commit(&set(vec![grow(1, 0, 3, State::Completed, Vec::new())])).unwrap();
}

fn unchanged(h: &Harness) {
    assert_eq!(h.reader.events(TENANT, StreamName::Task(id(1)), 0, 10).unwrap().len(), 3);
}

#[test]
fn sqlite_events_withstand_raw_sql() {
    let folder = folder();
    let mut h = sqlite_in(Arc::clone(&folder));
    fill(&mut h);
    let raw = rusqlite::Connection::open(folder.path().join("everloop.db")).unwrap();
    for sql in TAMPERING {
        let error = raw.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("events are never") || error.contains("CHECK constraint"), "{sql}: {error}");
    }
    unchanged(&h);
    drop(raw);
    // The store's own removals go through, and leave no permission behind.
    h.commit(&rows(vec![Row::StreamTrim {
        tenant: TENANT,
        stream: StreamName::Task(id(1)),
        upto_seq: 2,
        anchor: "a".into(),
    }]))
    .unwrap();
    let raw = rusqlite::Connection::open(folder.path().join("everloop.db")).unwrap();
    assert_eq!(raw.query_row("SELECT count(*) FROM event_removal", [], |row| row.get(0)), Ok(0));
    raw.execute("DELETE FROM event", []).unwrap_err();
}

#[test]
fn postgres_events_withstand_raw_sql() {
    let database = Arc::new(Database::create());
    let mut h = postgres_in(Arc::clone(&database), folder());
    fill(&mut h);
    for sql in TAMPERING.iter().chain(&["TRUNCATE event", "TRUNCATE event CASCADE"]) {
        let error = try_run(&database.url, sql).unwrap_err();
        let message = error.as_db_error().unwrap().message();
        assert!(message.contains("events are never"), "{sql}: {message}");
    }
    unchanged(&h);
    h.commit(&rows(vec![Row::StreamTrim {
        tenant: TENANT,
        stream: StreamName::Task(id(1)),
        upto_seq: 2,
        anchor: "a".into(),
    }]))
    .unwrap();
    assert_eq!(try_run(&database.url, "SELECT count(*) FROM event_removal").unwrap(), ["0"]);
    try_run(&database.url, "DELETE FROM event").unwrap_err();
}

/// The last stream is deleted and the file closed: its positions are not given out again.
#[test]
fn positions_are_never_reused() {
    for mut h in [sqlite_in(folder()), postgres_in(Arc::new(Database::create()), folder())] {
        let first =
            h.commit(&set(vec![grow(1, 0, 3, State::Completed, Vec::new())])).unwrap().last_pos.unwrap();
        let at = birth().installation.created_at;
        h.commit(&rows(vec![Row::StreamDelete { tenant: TENANT, task: id(1), at }])).unwrap();
        let mut h = h.reopen();
        let second =
            h.commit(&set(vec![grow(2, 0, 1, State::Running, Vec::new())])).unwrap().last_pos.unwrap();
        assert!(second > first, "{}: {second} after {first}", h.name);
    }
}
