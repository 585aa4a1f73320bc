//! Migrations on both engines.

use crate::engines::{Database, birth, folder, try_run};
use everloop_store::error::StoreError;
use everloop_store_sql::migrate::{self, Target};
use everloop_store_sql::{SqliteOptions, open_postgres, open_sqlite};
use everloop_types::time::Timestamp;
use rusqlite::Connection;
use std::path::Path;

const NOW: Timestamp = Timestamp::MIN;

/// Everything that describes a schema of SQLite.
fn sqlite_schema(path: &Path) -> Vec<String> {
    let raw = Connection::open(path).unwrap();
    let mut statement = raw
        .prepare("SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1")
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Everything that describes a schema of PostgreSQL.
fn postgres_schema(database: &Database) -> Vec<String> {
    let mut all = Vec::new();
    for sql in [
        "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' \
         || coalesce(column_default, '') || ' ' || coalesce(collation_name, '') \
         FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT pg_get_constraintdef(c.oid) || ' on ' || c.conrelid::regclass FROM pg_constraint c \
         JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = 'public' ORDER BY 1",
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE n.nspname = 'public' ORDER BY 1",
        "SELECT relname || ' ' || coalesce(reloptions::text, '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = 'public' ORDER BY 1",
    ] {
        all.extend(try_run(&database.url, sql).unwrap());
    }
    all
}

fn up_down_up(target: Target<'_>, schema: &dyn Fn() -> Vec<String>) {
    let applied =
        |target| migrate::status(target).unwrap().iter().filter(|step| step.applied_at.is_some()).count();
    assert_eq!(applied(target), 0);
    let done = migrate::up(target, None, NOW).unwrap();
    assert_eq!((done.first(), applied(target)), (Some(&1), done.len()));
    let first = schema();
    assert!(first.len() > 25, "{first:?}");
    assert_eq!(migrate::up(target, None, NOW).unwrap(), [0; 0], "the second time does nothing");
    assert_eq!(schema(), first);
    let back: Vec<u32> = done.iter().rev().copied().collect();
    assert_eq!(migrate::down(target, 99).unwrap(), back);
    assert_eq!(applied(target), 0);
    assert!(schema().len() < 10, "{:?}", schema());
    // One by one, as an operator would.
    for number in &done {
        assert_eq!(migrate::up(target, Some(*number), NOW).unwrap(), [*number]);
    }
    assert_eq!(schema(), first);
    for number in back {
        assert_eq!(migrate::down(target, 1).unwrap(), [number]);
    }
    migrate::up(target, None, NOW).unwrap();
    assert_eq!(schema(), first);
}

#[test]
fn sqlite_up_down_up_leaves_the_same_schema() {
    let folder = folder();
    let options = SqliteOptions::new(folder.path().join("everloop.db"));
    up_down_up(Target::Sqlite(&options), &|| sqlite_schema(&options.path));
}

#[test]
fn postgres_up_down_up_leaves_the_same_schema() {
    let database = Database::create();
    up_down_up(Target::Postgres(&database.options()), &|| postgres_schema(&database));
}

/// Opens and gives what was refused.
fn refused(result: Result<everloop_store_sql::Opened, StoreError>) -> String {
    match result.map(|_| ()) {
        Err(StoreError::Refused { what, remedy }) => {
            assert!(!remedy.is_empty());
            what
        }
        other => panic!("not refused: {other:?}"),
    }
}

const NEWER: &str = "INSERT INTO schema_migration VALUES (99, 'later', 'x', 98, 0)";
const NEWER_COMPATIBLE: &str = "UPDATE schema_migration SET min_reader = 1 WHERE number = 99";
const ALTERED: &str = "UPDATE schema_migration SET checksum = 'x' WHERE number = 1";

#[test]
fn sqlite_schemas_that_are_not_ours_are_refused() {
    let folder = folder();
    let open = |name: &str| open_sqlite(&SqliteOptions::new(folder.path().join(name)), &birth());
    let raw =
        |name: &str, sql| Connection::open(folder.path().join(name)).unwrap().execute_batch(sql).unwrap();
    raw("foreign.db", "CREATE TABLE theirs (x)");
    let before = std::fs::read(folder.path().join("foreign.db")).unwrap();
    assert!(refused(open("foreign.db")).contains("theirs"));
    assert_eq!(std::fs::read(folder.path().join("foreign.db")).unwrap(), before, "it was touched");
    std::fs::write(
        folder.path().join("text.db"),
        "this is no database, but a text that is long enough to be one".repeat(20),
    )
    .unwrap();
    assert!(refused(open("text.db")).contains("not a database"));
    drop(open("ours.db").unwrap());
    raw("ours.db", NEWER);
    assert!(refused(open("ours.db")).contains("98"));
    raw("ours.db", NEWER_COMPATIBLE);
    drop(open("ours.db").unwrap());
    raw("ours.db", ALTERED);
    assert!(refused(open("ours.db")).contains("another form"));
    let mut options = SqliteOptions::new(folder.path().join("empty.db"));
    options.migrate = false;
    assert!(refused(open_sqlite(&options, &birth())).contains("lacks migration 1"));
}

#[test]
fn postgres_schemas_that_are_not_ours_are_refused() {
    let database = Database::create();
    let open = || open_postgres(&database.options(), &birth());
    let mut options = database.options();
    options.migrate = false;
    assert!(refused(open_postgres(&options, &birth())).contains("lacks migration 1"));
    database.run("CREATE TABLE theirs (x int)");
    assert!(refused(open()).contains("theirs"));
    database.run("DROP TABLE theirs");
    drop(open().unwrap());
    database.run(NEWER);
    assert!(refused(open()).contains("98"));
    database.run(NEWER_COMPATIBLE);
    drop(open().unwrap());
    database.run(ALTERED);
    assert!(refused(open()).contains("another form"));
}

/// Two servers start on an empty database at the same time.
#[test]
fn postgres_servers_that_start_together_make_one_installation() {
    let database = Database::create();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let open = |n: u8| {
            let mut birth = birth();
            birth.installation.id.0 = [n; 16];
            open_postgres(&database.options(), &birth).unwrap().installation.id
        };
        let running: Vec<_> = (1..4).map(|n| scope.spawn(move || open(n))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(ids, [ids[0]; 3]);
}
