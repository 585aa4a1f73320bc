//! Migrations on a PostgreSQL database, and what a new one begins with.

use super::connect::{Purpose, connect};
use super::session::{self, PostgresRow};
use crate::migrate::{Applied, Migration, Migrator};
use crate::open::{Birth, PostgresOptions};
use crate::statement::Engine;
use crate::value::{Row as _, Value, number, time};
use everloop_store::error::StoreError;
use everloop_types::time::Timestamp;

/// Keeps two servers from migrating at the same time.
const LOCK: &str = "BEGIN; SELECT pg_advisory_xact_lock(7310574918264553)";

/// A database that is being migrated.
pub(crate) struct Session {
    inner: session::Session,
}

impl Session {
    /// Connects and checks that the database is ours.
    ///
    /// # Errors
    /// If it can't be reached or is not ours.
    pub(crate) fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let mut session = Self { inner: connect(&options.url, Purpose::Write)? };
        crate::migrate::check(&mut session)?;
        Ok(session)
    }

    /// The connection, for the writer.
    pub(super) fn into_inner(self) -> session::Session {
        self.inner
    }

    /// Writes the installation and its tenants into a new database, and sees that positions go on behind the events.
    pub(super) fn be_born(&mut self, birth: &Birth) -> Result<(), StoreError> {
        self.begin()?;
        let result = self.write_birth(birth);
        self.end(result.is_ok())?;
        result
    }

    fn write_birth(&mut self, birth: &Birth) -> Result<(), StoreError> {
        let installation = &birth.installation;
        let sql = "INSERT INTO installation (one, id, epoch, created_at, position_base) VALUES (1, $1, $2, $3, 0) \
            ON CONFLICT DO NOTHING RETURNING one";
        let params = [
            Value::Bytes(&installation.id.0),
            Value::Int(installation.epoch.into()),
            Value::Int(installation.created_at.as_micros()),
        ];
        if !self.inner.read(sql, &params)?.is_empty() {
            for tenant in &birth.tenants {
                let sql = "INSERT INTO tenant (id, name, secret, created_at) VALUES ($1, $2, $3, $4)";
                let params = [
                    Value::Bytes(&tenant.id.0),
                    Value::Text(&tenant.name),
                    Value::Bytes(&tenant.secret),
                    Value::Int(tenant.created_at.as_micros()),
                ];
                self.inner.read(sql, &params)?;
            }
        }
        // Ids of transactions only grow, unless a dump was read into a younger server.
        self.inner.batch(
            "UPDATE installation SET position_base = (SELECT max(pos) FROM event) >> 20 \
            WHERE (SELECT max(pos) FROM event) >> 20 >= position_base + pg_current_xact_id()::text::bigint",
        )
    }
}

impl Migrator for Session {
    const ENGINE: Engine = Engine::Postgres;

    fn begin(&mut self) -> Result<(), StoreError> {
        self.batch(LOCK)
    }

    fn end(&mut self, commit: bool) -> Result<(), StoreError> {
        self.batch(if commit { "COMMIT" } else { "ROLLBACK" })
    }

    fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.inner.batch(sql)
    }

    fn tables(&mut self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1";
        self.inner.read(sql, &[])?.iter().map(|row| PostgresRow(row).text(0).map(str::to_owned)).collect()
    }

    fn applied(&mut self) -> Result<Vec<Applied>, StoreError> {
        let sql =
            "SELECT number, name, checksum, min_reader, applied_at FROM schema_migration ORDER BY number";
        let read = |row: &tokio_postgres::Row| {
            let row = &PostgresRow(row);
            Ok(Applied {
                number: number(row, 0)?,
                name: row.text(1)?.to_owned(),
                checksum: row.text(2)?.to_owned(),
                min_reader: number(row, 3)?,
                applied_at: time(row, 4)?,
            })
        };
        self.inner.read(sql, &[])?.iter().map(read).collect()
    }

    fn note(&mut self, migration: &Migration, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO schema_migration (number, name, checksum, min_reader, applied_at) VALUES ($1, $2, $3, $4, $5)";
        let checksum = migration.checksum(Self::ENGINE);
        let params = [
            Value::Int(migration.number.into()),
            Value::Text(migration.name),
            Value::Text(&checksum),
            Value::Int(migration.min_reader.into()),
            Value::Int(now.as_micros()),
        ];
        self.inner.read(sql, &params).map(drop)
    }

    fn forget(&mut self, number: u32) -> Result<(), StoreError> {
        self.inner
            .read("DELETE FROM schema_migration WHERE number = $1", &[Value::Int(number.into())])
            .map(drop)
    }
}
