//! Reading a file that a server may be writing, from another process.

use super::reader::{Pinned, each};
use super::{settings, sql};
use crate::open::SqliteOptions;
use crate::read::{Database, Dialect, Reader, Take};
use crate::statement::{Engine, Statement};
use crate::value::Value;
use everloop_store::error::StoreError;
use everloop_store::port::{Read, ReadStore, Snapshot, SnapshotRead};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

struct Looking {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// Opens a file to read it, beside whoever writes it: no lock is taken and nothing is changed.
pub(crate) fn look(options: &SqliteOptions) -> Result<Arc<dyn ReadStore>, StoreError> {
    settings::check_version()?;
    let path = options.path.clone();
    if !path.exists() {
        return Err(StoreError::Refused {
            what: format!("there is no database at {}", path.display()),
            remedy: "name its folder with --data-dir, or its address with --database-url".into(),
        });
    }
    let connection = settings::open_looking(&path)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?));
    let found = connection.query_row("SELECT count(*), max(min_reader) FROM schema_migration", [], row);
    let (applied, min_reader) = found.map_err(|error| StoreError::Refused {
        what: format!("{} is not a database of Everloop: {error}", path.display()),
        remedy: "choose another file or folder".into(),
    })?;
    crate::migrate::check_readable(applied, min_reader)?;
    Ok(Arc::new(Reader(Looking { path, connection: Mutex::new(connection) })))
}

impl Database for Looking {
    const ENGINE: Engine = Engine::Sqlite;
    const DIALECT: Dialect = Dialect::SQLITE;
    const FEED: &'static Statement = &sql::FEED;
    const LAST_POSITION: &'static Statement = &sql::LAST_POSITION;

    fn each(&self, sql: &str, params: &[Value<'_>], take: Take<'_>) -> Result<(), StoreError> {
        each(&self.connection.lock().unwrap_or_else(PoisonError::into_inner), sql, params, take)
    }
}

impl SnapshotRead for Reader<Looking> {
    fn snapshot(&self) -> Read<Box<dyn Snapshot>> {
        Pinned::take(settings::open_looking(&self.0.path)?, None)
    }
}
