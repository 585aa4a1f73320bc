//! Migrations: one numbering, a text for each engine, each with its way back.
//!
//! The table `schema_migration` says what was applied. A database with tables and without that one is not ours; one that a
//! newer Everloop has changed is read as long as its `min_reader` allows it.

use crate::open::{PostgresOptions, SqliteOptions};
use crate::statement::Engine;
use everloop_journal::digest;
use everloop_store::error::StoreError;
use everloop_types::time::Timestamp;
use std::fmt::Write;

/// A step of the schema.
pub(crate) struct Migration {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    /// The oldest schema whose programs can work with the one after this step.
    pub(crate) min_reader: u32,
    sqlite: Texts,
    postgres: Texts,
}

struct Texts {
    up: &'static str,
    down: &'static str,
}

macro_rules! texts {
    ($folder:literal, $engine:literal) => {
        Texts {
            up: include_str!(concat!("../migrations/", $folder, "/up.", $engine, ".sql")),
            down: include_str!(concat!("../migrations/", $folder, "/down.", $engine, ".sql")),
        }
    };
}

/// All of them.
static MIGRATIONS: &[Migration] = &[Migration {
    number: 1,
    name: "core",
    min_reader: 1,
    sqlite: texts!("0001_core", "sqlite"),
    postgres: texts!("0001_core", "postgres"),
}];

/// The schema that this program is written for.
pub(crate) fn latest() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

/// What `schema_migration` is. The same words do for both engines.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migration (number BIGINT PRIMARY KEY, name TEXT NOT NULL, \
    checksum TEXT NOT NULL, min_reader BIGINT NOT NULL, applied_at BIGINT NOT NULL)";

impl Migration {
    fn texts(&self, engine: Engine) -> &Texts {
        match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        }
    }

    /// SHA-256 of the text, in hex.
    pub(crate) fn checksum(&self, engine: Engine) -> String {
        digest::sha256(self.texts(engine).up.as_bytes()).iter().fold(String::new(), |mut text, byte| {
            // A write to a string can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A row of `schema_migration`.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) checksum: String,
    pub(crate) min_reader: u32,
    pub(crate) applied_at: Timestamp,
}

/// An engine as migrations see it: a connection with a transaction that keeps other migrations out.
pub(crate) trait Migrator {
    const ENGINE: Engine;
    /// Begins the transaction.
    fn begin(&mut self) -> Result<(), StoreError>;
    /// Ends it.
    fn end(&mut self, commit: bool) -> Result<(), StoreError>;
    /// Runs statements.
    fn batch(&mut self, sql: &str) -> Result<(), StoreError>;
    /// Names of all tables.
    fn tables(&mut self) -> Result<Vec<String>, StoreError>;
    /// Rows of `schema_migration`, by number.
    fn applied(&mut self) -> Result<Vec<Applied>, StoreError>;
    /// Adds a row.
    fn note(&mut self, migration: &Migration, now: Timestamp) -> Result<(), StoreError>;
    /// Takes one away.
    fn forget(&mut self, number: u32) -> Result<(), StoreError>;
}

fn refused(what: String, remedy: &str) -> StoreError {
    StoreError::Refused { what, remedy: remedy.to_owned() }
}

/// What was applied, if the database is ours and can be worked with.
///
/// # Errors
/// `Refused` for a foreign, newer or altered schema.
pub(crate) fn check<M: Migrator>(database: &mut M) -> Result<Vec<Applied>, StoreError> {
    let tables = database.tables()?;
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    if !tables.iter().any(|name| name == "schema_migration") {
        return Err(refused(
            format!(
                "the database belongs to another program: it has a table {} and no schema_migration",
                tables[0]
            ),
            "name an empty database with --database-url, or another folder with --data-dir",
        ));
    }
    let applied = database.applied()?;
    for (place, row) in applied.iter().enumerate() {
        match MIGRATIONS.get(place) {
            Some(ours) if (row.number, row.name.as_str()) != (ours.number, ours.name) => {
                return Err(refused(
                    format!(
                        "migration {} of the database is {}, ours is {} {}",
                        row.number, row.name, ours.number, ours.name
                    ),
                    "use the Everloop that made this database, or restore a backup",
                ));
            }
            Some(ours) if row.checksum != ours.checksum(M::ENGINE) => {
                return Err(refused(
                    format!(
                        "migration {} {} was applied in another form than this program knows",
                        row.number, row.name
                    ),
                    "use the Everloop that made this database, or restore a backup",
                ));
            }
            None if row.min_reader > latest() => {
                return Err(refused(
                    format!(
                        "the database has schema {}, which needs a program for schema {} or newer; this one is for {}",
                        row.number,
                        row.min_reader,
                        latest()
                    ),
                    "use a newer Everloop, or go back with that one's `everloop migrate down`",
                ));
            }
            Some(_) | None => {}
        }
    }
    Ok(applied)
}

/// Refuses a schema that lacks a step.
pub(crate) fn check_complete<M: Migrator>(database: &mut M) -> Result<(), StoreError> {
    let applied = check(database)?.len();
    match MIGRATIONS.get(applied) {
        None => Ok(()),
        Some(next) => Err(refused(
            format!("the database lacks migration {} {}", next.number, next.name),
            "run `everloop migrate up`, or let the server do so at its start",
        )),
    }
}

/// Refuses a schema that this program can't read, by the number of its steps and the oldest program that may read it.
pub(crate) fn check_readable(applied: u32, min_reader: u32) -> Result<(), StoreError> {
    if min_reader > latest() {
        return Err(refused(
            format!(
                "the database needs a program that knows migration {min_reader}; this one knows {}",
                latest()
            ),
            "use a newer Everloop",
        ));
    }
    match MIGRATIONS.get(applied as usize) {
        Some(next) => Err(refused(
            format!("the database lacks migration {} {}", next.number, next.name),
            "run `everloop migrate up`, or let the server do so at its start",
        )),
        None => Ok(()),
    }
}

/// Applies what is missing, up to a number. Says which were applied.
pub(crate) fn run_up<M: Migrator>(
    database: &mut M,
    to: Option<u32>,
    now: Timestamp,
) -> Result<Vec<u32>, StoreError> {
    within(database, |database| {
        let applied = check(database)?.len();
        let to = to.unwrap_or(u32::MAX);
        let mut done = Vec::new();
        for migration in MIGRATIONS.iter().skip(applied).take_while(|migration| migration.number <= to) {
            database.batch(TABLE)?;
            database.batch(migration.texts(M::ENGINE).up)?;
            database.note(migration, now)?;
            done.push(migration.number);
        }
        Ok(done)
    })
}

/// Takes back the last `steps` migrations. Says which were taken back.
pub(crate) fn run_down<M: Migrator>(database: &mut M, steps: u32) -> Result<Vec<u32>, StoreError> {
    within(database, |database| {
        let mut done = Vec::new();
        for row in check(database)?.iter().rev().take(steps as usize) {
            let Some(ours) = MIGRATIONS.iter().find(|migration| migration.number == row.number) else {
                return Err(refused(
                    format!("migration {} {} is not known to this program", row.number, row.name),
                    "take it back with the Everloop that applied it",
                ));
            };
            database.batch(ours.texts(M::ENGINE).down)?;
            database.forget(row.number)?;
            done.push(row.number);
        }
        Ok(done)
    })
}

fn within<M: Migrator, T>(
    database: &mut M,
    work: impl FnOnce(&mut M) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    database.begin()?;
    match work(database) {
        Ok(value) => {
            database.end(true)?;
            Ok(value)
        }
        Err(error) => {
            if let Err(rollback) = database.end(false) {
                tracing::warn!(error = %rollback, "a migration could not be rolled back");
            }
            Err(error)
        }
    }
}

/// Which database.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A file.
    Sqlite(&'a SqliteOptions),
    /// A server's.
    Postgres(&'a PostgresOptions),
}

/// A migration and whether it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// When it was applied, if it was.
    pub applied_at: Option<Timestamp>,
}

fn run_status<M: Migrator>(database: &mut M) -> Result<Vec<Status>, StoreError> {
    let applied = check(database)?;
    let missing = MIGRATIONS.iter().skip(applied.len()).map(|migration| Status {
        number: migration.number,
        name: migration.name.to_owned(),
        applied_at: None,
    });
    let found = applied.iter().map(|row| Status {
        number: row.number,
        name: row.name.clone(),
        applied_at: Some(row.applied_at),
    });
    Ok(found.chain(missing).collect())
}

/// Every migration that the database or this program knows.
///
/// # Errors
/// If the database can't be read or is not ours.
pub fn status(target: Target<'_>) -> Result<Vec<Status>, StoreError> {
    match target {
        Target::Sqlite(options) => run_status(&mut crate::sqlite::migrate::Session::open(options)?),
        Target::Postgres(options) => run_status(&mut crate::postgres::migrate::Session::open(options)?),
    }
}

/// Applies what is missing, up to a number or all of it. Says which were applied: none the second time.
///
/// # Errors
/// If the database can't be written or is not ours; then nothing was applied.
pub fn up(target: Target<'_>, to: Option<u32>, now: Timestamp) -> Result<Vec<u32>, StoreError> {
    match target {
        Target::Sqlite(options) => run_up(&mut crate::sqlite::migrate::Session::open(options)?, to, now),
        Target::Postgres(options) => run_up(&mut crate::postgres::migrate::Session::open(options)?, to, now),
    }
}

/// Takes back the last `steps` migrations, **with what their tables hold**. Says which were taken back.
///
/// # Errors
/// If the database can't be written or is not ours; then nothing was taken back.
pub fn down(target: Target<'_>, steps: u32) -> Result<Vec<u32>, StoreError> {
    match target {
        Target::Sqlite(options) => run_down(&mut crate::sqlite::migrate::Session::open(options)?, steps),
        Target::Postgres(options) => run_down(&mut crate::postgres::migrate::Session::open(options)?, steps),
    }
}
