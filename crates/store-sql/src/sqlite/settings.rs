//! Settings of a connection, set and read back.

use super::Shared;
use super::error::classify;
use everloop_store::error::StoreError;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Before 3.51.3 two connections could corrupt a database through its log (<https://sqlite.org/wal.html>, "WAL-reset bug").
const OLDEST_VERSION: i32 = 3_051_003;
/// Fixed at creation: fewer pages per commit than with 4 KiB.
const PAGE_SIZE: i64 = 8192;
/// Statements kept prepared; there are fewer than these, apart from lists.
const CACHED_STATEMENTS: usize = 192;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(50);

/// Refuses a library that is too old.
pub(super) fn check_version() -> Result<(), StoreError> {
    let found = rusqlite::version_number();
    if found >= OLDEST_VERSION {
        return Ok(());
    }
    Err(StoreError::Refused {
        what: format!("SQLite {} can damage a database; 3.51.3 is needed", rusqlite::version()),
        remedy: "use the binary as it was built: it contains a newer SQLite".into(),
    })
}

fn open(shared: &Shared, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    patient(shared.held.connect(&shared.path, flags).map_err(classify)?)
}

fn patient(connection: Connection) -> Result<Connection, StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT).map_err(classify)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}

/// Waits for readers for a moment only: one that takes a backup reads for as long as that lasts.
pub(super) fn hurried<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.busy_timeout(MOMENT).map_err(classify)?;
    let done = work(connection);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(classify)?;
    done
}

/// A connection that may write, without any setting yet.
pub(super) fn open_bare(shared: &Shared) -> Result<Connection, StoreError> {
    open(shared, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// A connection that may write.
pub(super) fn open_writing(shared: &Shared) -> Result<Connection, StoreError> {
    let connection = open_bare(shared)?;
    configure(&connection)?;
    Ok(connection)
}

/// A connection that reads only.
pub(super) fn open_reading(shared: &Shared) -> Result<Connection, StoreError> {
    reading(open(shared, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

/// A connection that reads only, to a file that another process may have.
pub(super) fn open_looking(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    reading(patient(Connection::open_with_flags(path, flags).map_err(classify)?)?)
}

fn reading(connection: Connection) -> Result<Connection, StoreError> {
    for (name, value) in [("query_only", 1), ("cache_size", -4096), ("temp_store", 2), ("mmap_size", 0)] {
        connection.pragma_update(None, name, value).map_err(classify)?;
    }
    Ok(connection)
}

/// Settings of a new file that can't be changed later.
pub(super) fn create(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "page_size", PAGE_SIZE).map_err(classify)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(classify)
}

/// Switches to the write-ahead log. The statement is run to its end: it answers "wal" before it has written that into the file,
/// and so does a look at the setting, even if the writing then fails.
fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Sets what a writing connection needs, and reads back what durability hangs on.
pub(super) fn configure(connection: &Connection) -> Result<(), StoreError> {
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        connection.pragma_update(None, name, value).map_err(classify)
    };
    use_log(connection).map_err(classify)?;
    set("synchronous", &"FULL")?;
    set("fullfsync", &1)?;
    set("foreign_keys", &1)?;
    set("secure_delete", &1)?;
    set("temp_store", &"MEMORY")?;
    set("cache_size", &-16_384)?;
    set("mmap_size", &0)?;
    set("wal_autocheckpoint", &0)?;
    set("journal_size_limit", &(64 * 1024 * 1024))?;
    set("trusted_schema", &0)?;
    for (name, wanted) in [
        ("journal_mode", Value::Text("wal".into())),
        ("synchronous", Value::Integer(2)),
        ("foreign_keys", Value::Integer(1)),
        ("secure_delete", Value::Integer(1)),
        ("wal_autocheckpoint", Value::Integer(0)),
        ("auto_vacuum", Value::Integer(2)),
        ("page_size", Value::Integer(PAGE_SIZE)),
    ] {
        let found: Value = connection.pragma_query_value(None, name, |row| row.get(0)).map_err(classify)?;
        if found != wanted {
            return Err(StoreError::Refused {
                what: format!("the SQLite setting {name} is {found:?} and must be {wanted:?}"),
                remedy: "put the database on a local file system; if it was made by another program, choose another folder"
                    .into(),
            });
        }
    }
    Ok(())
}
