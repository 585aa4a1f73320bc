//! Migrations on an SQLite file.

use super::error::classify;
use super::{Shared, open, settings};
use crate::migrate::{Applied, Migration, Migrator};
use crate::open::SqliteOptions;
use crate::statement::Engine;
use crate::value::corrupt;
use everloop_store::error::StoreError;
use everloop_types::time::Timestamp;
use rusqlite::{Connection, params};
use std::sync::Arc;

/// A file that is being migrated.
pub(crate) struct Session {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared>,
}

impl Session {
    /// Takes the file and checks that it is ours, before any of its settings changes.
    ///
    /// # Errors
    /// If another process has it or it is not ours.
    pub(crate) fn open(options: &SqliteOptions) -> Result<Self, StoreError> {
        let shared = open::take(options)?;
        let connection = settings::open_bare(&shared)?;
        let mut session = Self { connection, shared };
        let tables = session.tables().map_err(|error| match error {
            StoreError::Corrupt { what } => StoreError::Refused {
                what: format!("{} is not a database of Everloop: {what}", options.path.display()),
                remedy: "choose another file or folder".into(),
            },
            other => other,
        })?;
        if tables.is_empty() {
            settings::create(&session.connection)?;
        } else {
            crate::migrate::check(&mut session)?;
        }
        settings::configure(&session.connection)?;
        Ok(session)
    }
}

impl Migrator for Session {
    const ENGINE: Engine = Engine::Sqlite;

    fn begin(&mut self) -> Result<(), StoreError> {
        self.batch("BEGIN EXCLUSIVE")
    }

    fn end(&mut self, commit: bool) -> Result<(), StoreError> {
        self.batch(if commit { "COMMIT" } else { "ROLLBACK" })
    }

    fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(classify)
    }

    fn tables(&mut self) -> Result<Vec<String>, StoreError> {
        let mut statement = self
            .connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'")
            .map_err(classify)?;
        statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(classify)
    }

    fn applied(&mut self) -> Result<Vec<Applied>, StoreError> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT number, name, checksum, min_reader, applied_at FROM schema_migration ORDER BY number",
            )
            .map_err(|error| corrupt(error.to_string()))?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Applied {
                number: row.get(0)?,
                name: row.get(1)?,
                checksum: row.get(2)?,
                min_reader: row.get(3)?,
                applied_at: Timestamp::from_micros(row.get(4)?),
            })
        };
        statement.query_map([], read).and_then(Iterator::collect).map_err(classify)
    }

    fn note(&mut self, migration: &Migration, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO schema_migration (number, name, checksum, min_reader, applied_at) VALUES (?, ?, ?, ?, ?)";
        let checksum = migration.checksum(Self::ENGINE);
        let params =
            params![migration.number, migration.name, checksum, migration.min_reader, now.as_micros()];
        self.connection.execute(sql, params).map(drop).map_err(classify)
    }

    fn forget(&mut self, number: u32) -> Result<(), StoreError> {
        self.connection
            .execute("DELETE FROM schema_migration WHERE number = ?", [number])
            .map(drop)
            .map_err(classify)
    }
}
