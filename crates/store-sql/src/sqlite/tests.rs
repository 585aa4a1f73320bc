//! What only a look from the inside shows: plans, a full file, the classes of errors.

use super::error::classify;
use super::run::Run;
use super::{migrate::Session, sql};
use crate::open::SqliteOptions;
use crate::read;
use crate::statement::Statement;
use everloop_store::error::StoreError;
use everloop_store::port::Order;
use everloop_types::time::Timestamp;
use rusqlite::{Connection, params};
use tempfile::TempDir;

fn session(folder: &TempDir) -> Session {
    let mut session = Session::open(&SqliteOptions::new(folder.path().join("everloop.db"))).unwrap();
    crate::migrate::run_up(&mut session, None, Timestamp::MIN).unwrap();
    session
}

fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    let rows = statement
        .query_map(rusqlite::params_from_iter(vec![1; count]), |row| row.get::<_, String>(3))
        .unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn hot_statements_search_and_never_scan() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    let scanning = [
        // Whole tables on purpose, or once in a while.
        "LANES",
        "DEPTHS",
        "LEASES",
        "OUTBOX",
        "PAUSED_QUEUES",
        "WORKERS",
        "INSTALLATION",
        "TENANTS",
        "SIGNING_KEYS",
        "BLOBS_UNUSED",
        "PING",
        "LAST_POS_KEEP",
        "NEXT_TIMER",
        "LAST_POSITION",
        "INSTALLATION_PUT",
        "ALL_JOBS",
    ];
    let explained = |statement: &&&Statement| {
        !scanning.contains(&statement.name)
            && ["SELECT", "UPDATE", "DELETE"].iter().any(|verb| statement.sql.starts_with(verb))
            && !["TASKS", "TASKS_COUNT"].contains(&statement.name)
    };
    for statement in sql::ALL.iter().chain(read::sql::ALL).filter(explained) {
        let plan = plan(&session.connection, statement.sql).replace("SCAN CONSTANT ROW", "");
        assert!(plan.contains("SEARCH") && !plan.contains("SCAN"), "{}: {plan}", statement.name);
        let sorts = plan.contains("TEMP B-TREE");
        assert_eq!(sorts, statement.name == "SIGNING_KEYS", "{}: {plan}", statement.name);
    }
    assert_eq!(plan(&session.connection, sql::READY.sql), "SEARCH q USING PRIMARY KEY (lane=? AND tenant=?)");
    // However many children have ended, whoever waits for the live ones does not look at them.
    for statement in [&sql::LOAD_TIES, &read::sql::LIVE_CHILDREN] {
        let plan = plan(&session.connection, statement.sql);
        assert!(plan.contains("task_live_child (parent=? AND tenant=?"), "{}: {plan}", statement.name);
    }
    let timers = plan(&session.connection, read::sql::TIMERS_DUE.sql);
    assert_eq!(timers, "SEARCH timer USING COVERING INDEX timer_at (at<?)");
    for (filter, index) in read::lists() {
        for order in [Order::Newest, Order::Oldest] {
            let plan = plan(&session.connection, &read::tasks_text(read::Dialect::SQLITE, &filter, order));
            let index = if index == "task_pkey" { "sqlite_autoindex_task_1" } else { index };
            assert!(plan.contains(&format!("USING INDEX {index} ")), "{filter:?}: {plan}");
            // What is sorted is the few tasks that the lists of a union gave.
            let sorts = plan.contains("TEMP B-TREE");
            assert_eq!(sorts, plan.contains("UNION"), "{filter:?}: {plan}");
        }
    }
}

/// A file that may not grow stands for a disk that is full.
#[test]
fn full_disk_is_told_apart_and_leaves_the_transaction_undone() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    session.connection.pragma_update(None, "max_page_count", 60).unwrap();
    let mut run = Run::new(&session.connection);
    run.execute(&sql::BEGIN_WRITE, []).unwrap();
    let error = (0..100)
        .find_map(|n: u8| run.execute(&sql::WORKER_PUT, params![[n; 16], vec![n; 50_000]]).err())
        .unwrap();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    drop(run);
    if !session.connection.is_autocommit() {
        session.connection.execute_batch("ROLLBACK").unwrap();
    }
    let count: i64 =
        session.connection.query_row("SELECT count(*) FROM worker", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 0);
}

#[test]
fn errors_are_sorted_by_what_they_leave_behind() {
    use rusqlite::ffi;
    let class = |code: i32| match classify(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)) {
        StoreError::Full(_) => "full",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Unknown(_) => "unknown",
        StoreError::Failed(_) => "failed",
        StoreError::Corrupt { .. } => "corrupt",
        StoreError::Refused { .. } => "refused",
        StoreError::Bug(_) => "bug",
    };
    for (code, expected) in [
        (ffi::SQLITE_FULL, "full"),
        (ffi::SQLITE_IOERR_FSYNC, "failed"),
        (ffi::SQLITE_IOERR_DIR_FSYNC, "failed"),
        (ffi::SQLITE_IOERR_WRITE, "unavailable"),
        (ffi::SQLITE_BUSY, "unavailable"),
        (ffi::SQLITE_CORRUPT, "corrupt"),
        (ffi::SQLITE_NOTADB, "corrupt"),
        (ffi::SQLITE_CONSTRAINT_UNIQUE, "bug"),
        (ffi::SQLITE_ERROR, "bug"),
    ] {
        assert_eq!(class(code), expected, "{code}");
    }
}

/// After a failed fsync nothing is written any more, though reads go on.
#[test]
fn failed_sync_ends_all_writing() {
    use everloop_store::port::WriteStore;
    use everloop_store::work::WriteSet;
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder);
    let shared = std::sync::Arc::clone(&session.shared);
    let mut writer =
        super::writer::Writer::new(session.connection, 0, session.shared, Default::default()).unwrap();
    writer.commit(&WriteSet::default()).unwrap();
    shared.failed.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(writer.commit(&WriteSet::default()), Err(StoreError::Failed(_))));
    assert!(matches!(writer.idle(), Err(StoreError::Failed(_))));
    writer.load(&Default::default(), Timestamp::MIN).unwrap();
}
