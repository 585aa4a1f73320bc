//! Readers: a few connections, opened when they are needed.

use super::connect::{Purpose, connect};
use super::session::{PostgresRow, Session};
use super::sql;
use crate::open::PostgresOptions;
use crate::read::{Database, Dialect, Reader, Take};
use crate::statement::{Engine, Statement};
use crate::value::Value;
use everloop_store::error::StoreError;
use everloop_store::port::{InstallationRead, Read, Snapshot, SnapshotRead};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio_postgres::Row;

pub(super) struct Readers {
    options: PostgresOptions,
    pool: Mutex<Pool>,
    returned: Condvar,
}

struct Pool {
    idle: Vec<Session>,
    /// Connections that may still be opened.
    left: usize,
}

impl Readers {
    pub(super) fn new(options: PostgresOptions) -> Self {
        let pool = Pool { idle: Vec::new(), left: options.readers.max(1) };
        Self { options, pool: Mutex::new(pool), returned: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the pool, with a connection if one was idle.
    fn take(&self) -> Lent<'_> {
        let mut pool = self.lock();
        loop {
            if let Some(session) = pool.idle.pop() {
                return Lent { readers: self, session: Some(session) };
            }
            if pool.left > 0 {
                pool.left -= 1;
                return Lent { readers: self, session: None };
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads; once more on a new connection if the old one was found lost.
    fn read(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let mut lent = self.take();
        let kept = lent.session.is_some();
        match lent.read(sql, params) {
            Err(StoreError::Unavailable(_))
                if kept && lent.session.as_ref().is_none_or(Session::is_broken) =>
            {
                lent.read(sql, params)
            }
            other => other,
        }
    }
}

/// A place in the pool that is given back when it is dropped.
struct Lent<'a> {
    readers: &'a Readers,
    session: Option<Session>,
}

impl Lent<'_> {
    fn read(&mut self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        if self.session.as_ref().is_some_and(Session::is_broken) {
            self.session = None;
        }
        let session = match &mut self.session {
            Some(session) => session,
            None => self.session.insert(connect(&self.readers.options.url, Purpose::Read)?),
        };
        session.read(sql, params)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let session = self.session.take().filter(|session| !session.is_broken());
        let mut pool = self.readers.lock();
        match session {
            Some(session) => pool.idle.push(session),
            None => pool.left += 1,
        }
        drop(pool);
        self.readers.returned.notify_one();
    }
}

/// A connection of its own within a transaction: one picture.
pub(super) struct Pinned(Mutex<Session>);

impl SnapshotRead for Reader<Readers> {
    fn snapshot(&self) -> Read<Box<dyn Snapshot>> {
        let mut session = connect(&self.0.options.url, Purpose::Snapshot)?;
        session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let pinned = Reader(Pinned(Mutex::new(session)));
        // The picture is taken by the first read.
        pinned.installation()?;
        Ok(Box::new(pinned))
    }
}

impl Database for Pinned {
    const ENGINE: Engine = Engine::Postgres;
    const DIALECT: Dialect = Dialect::POSTGRES;
    const FEED: &'static Statement = Readers::FEED;
    const LAST_POSITION: &'static Statement = Readers::LAST_POSITION;

    fn each(&self, sql: &str, params: &[Value<'_>], take: Take<'_>) -> Result<(), StoreError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner).read(sql, params)?;
        rows.iter().try_for_each(|row| take(&PostgresRow(row)))
    }
}

impl Database for Readers {
    const ENGINE: Engine = Engine::Postgres;
    const DIALECT: Dialect = Dialect::POSTGRES;
    const FEED: &'static Statement = &sql::FEED;
    const LAST_POSITION: &'static Statement = &sql::LAST_POSITION;

    fn each(&self, sql: &str, params: &[Value<'_>], take: Take<'_>) -> Result<(), StoreError> {
        self.read(sql, params)?.iter().try_for_each(|row| take(&PostgresRow(row)))
    }
}
