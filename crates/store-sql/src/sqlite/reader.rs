//! Readers: a small pool of connections that can't write.

use super::error::classify;
use super::run::SqliteRow;
use super::{Shared, settings, sql};
use crate::read::{Database, Dialect, Reader, Take};
use crate::statement::{Engine, Statement};
use crate::value::Value;
use everloop_store::error::StoreError;
use everloop_store::port::{InstallationRead, Read, Snapshot, SnapshotRead};
use rusqlite::{Connection, params_from_iter};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The pool. Fields are dropped in this order.
pub(super) struct Readers {
    pool: Mutex<Pool>,
    returned: Condvar,
    shared: Arc<Shared>,
}

struct Pool {
    idle: Vec<Connection>,
    /// Connections that may still be opened.
    left: usize,
}

impl Readers {
    pub(super) fn new(shared: Arc<Shared>, connections: usize) -> Self {
        let pool = Pool { idle: Vec::new(), left: connections.max(1) };
        Self { pool: Mutex::new(pool), returned: Condvar::new(), shared }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Lent<'_>, StoreError> {
        let mut pool = self.lock();
        loop {
            if let Some(connection) = pool.idle.pop() {
                return Ok(Lent { readers: self, connection: Some(connection) });
            }
            if pool.left > 0 {
                pool.left -= 1;
                drop(pool);
                // Gives the place back if opening fails.
                let mut lent = Lent { readers: self, connection: None };
                lent.connection = Some(settings::open_reading(&self.shared)?);
                return Ok(lent);
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A connection that goes back when it is dropped.
struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.lock();
        match self.connection.take() {
            Some(connection) => pool.idle.push(connection),
            None => pool.left += 1,
        }
        drop(pool);
        self.readers.returned.notify_one();
    }
}

/// A connection of its own within a transaction: one picture.
pub(super) struct Pinned {
    connection: Mutex<Connection>,
    _shared: Option<Arc<Shared>>,
}

impl Pinned {
    /// Takes a picture. What the file needs is held for as long as that.
    pub(super) fn take(
        connection: Connection,
        shared: Option<Arc<Shared>>,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        connection.execute_batch(sql::BEGIN_READ.sql).map_err(classify)?;
        let pinned = Reader(Self { connection: Mutex::new(connection), _shared: shared });
        // It is taken by the first read.
        pinned.installation()?;
        Ok(Box::new(pinned))
    }
}

impl SnapshotRead for Reader<Readers> {
    fn snapshot(&self) -> Read<Box<dyn Snapshot>> {
        let shared = Arc::clone(&self.0.shared);
        Pinned::take(settings::open_reading(&shared)?, Some(shared))
    }
}

impl Database for Pinned {
    const ENGINE: Engine = Engine::Sqlite;
    const DIALECT: Dialect = Dialect::SQLITE;
    const FEED: &'static Statement = Readers::FEED;
    const LAST_POSITION: &'static Statement = Readers::LAST_POSITION;

    fn each(&self, sql: &str, params: &[Value<'_>], take: Take<'_>) -> Result<(), StoreError> {
        each(&self.connection.lock().unwrap_or_else(PoisonError::into_inner), sql, params, take)
    }
}

pub(super) fn each(
    connection: &Connection,
    sql: &str,
    params: &[Value<'_>],
    take: Take<'_>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(classify)?;
    let mut rows = statement.query(params_from_iter(params)).map_err(classify)?;
    while let Some(row) = rows.next().map_err(classify)? {
        take(&SqliteRow(row))?;
    }
    Ok(())
}

impl Database for Readers {
    const ENGINE: Engine = Engine::Sqlite;
    const DIALECT: Dialect = Dialect::SQLITE;
    const FEED: &'static Statement = &sql::FEED;
    const LAST_POSITION: &'static Statement = &sql::LAST_POSITION;

    fn each(&self, sql: &str, params: &[Value<'_>], take: Take<'_>) -> Result<(), StoreError> {
        let lent = self.take()?;
        let Some(connection) = &lent.connection else {
            return Err(StoreError::Bug("a reader without a connection".into()));
        };
        each(connection, sql, params, take)
    }
}
