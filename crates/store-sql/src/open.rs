//! Opening a database.

use crate::sqlite::Reserve;
use everloop_store::error::StoreError;
use everloop_store::port::{ReadStore, WriteStore};
use everloop_store::rows::{Installation, TenantRow};
use everloop_types::id::{IdGenerator, InstallationId, TenantId};
use everloop_types::random::Random;
use everloop_types::time::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;

/// Which SQLite file, and how.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file. It and its folder are made if they are not there.
    pub path: PathBuf,
    /// Where this server listens, if that is known: what another process is told that finds the file in use.
    pub url: Option<String>,
    /// Connections that read at the same time.
    pub readers: usize,
    /// Whether missing migrations are applied; else a database that lacks one is refused.
    pub migrate: bool,
    /// What the file lies on.
    pub medium: Medium,
    /// How the log is moved into the file.
    pub checkpoints: CheckpointOptions,
}

/// What an SQLite file lies on.
#[derive(Clone, Debug, Default)]
pub enum Medium {
    /// The file system.
    #[default]
    Files,
    /// A simulated disk.
    #[cfg(feature = "faults")]
    Simulated(crate::faults::Disk),
}

/// When SQLite's log is moved into the database, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointOptions {
    /// Whether a thread does it beside the writer; else the writer does, after a commit.
    pub thread: bool,
    /// Pages in the log from which on it is moved.
    pub start_pages: i32,
    /// Pages in the log from which on the writer waits for the thread, until the log is empty.
    pub bound_pages: i32,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        Self { thread: true, start_pages: 1_000, bound_pages: 16_000 }
    }
}

impl SqliteOptions {
    /// A file with the usual settings.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            url: None,
            readers: 3,
            migrate: true,
            medium: Medium::default(),
            checkpoints: CheckpointOptions::default(),
        }
    }
}

/// Which PostgreSQL database, and how.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user@host:port/database`.
    pub url: String,
    /// Connections that read at the same time.
    pub readers: usize,
    /// Whether missing migrations are applied; else a database that lacks one is refused.
    pub migrate: bool,
}

impl PostgresOptions {
    /// A database with the usual settings.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), readers: 4, migrate: true }
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The url may hold a password.
        f.debug_struct("PostgresOptions").field("readers", &self.readers).finish_non_exhaustive()
    }
}

/// What a database begins with, should it be new.
#[derive(Clone, Debug)]
pub struct Birth {
    /// The installation.
    pub installation: Installation,
    /// Its tenants.
    pub tenants: Vec<TenantRow>,
}

impl Birth {
    /// An installation with the tenant `default`.
    pub fn new(now: Timestamp, random: &dyn Random) -> Self {
        let id = InstallationId(IdGenerator::default().next(now, random));
        let mut secret = [0; 32];
        random.fill(&mut secret);
        Self {
            installation: Installation { id, epoch: 0, created_at: now },
            tenants: vec![TenantRow {
                id: TenantId::DEFAULT,
                name: "default".into(),
                secret,
                created_at: now,
            }],
        }
    }
}

/// An open database.
pub struct Opened {
    /// The writer, for one thread.
    pub writer: Box<dyn WriteStore>,
    /// The readers.
    pub reader: Arc<dyn ReadStore>,
    /// The installation, as it was found or made.
    pub installation: Installation,
    /// Space beside the file that can be given up when the disk is full; none for a server's database.
    pub reserve: Option<Reserve>,
}

/// Opens an SQLite file, or makes it.
///
/// # Errors
/// `Refused` if another process has it, it is not ours, its folder can't be written or a setting can't be had.
pub fn open_sqlite(options: &SqliteOptions, birth: &Birth) -> Result<Opened, StoreError> {
    crate::sqlite::open(options, birth)
}

/// Opens an SQLite file to read it, beside whoever writes it.
///
/// # Errors
/// `Refused` if it is not there, not ours, or of a schema that this program can't read.
pub fn look_sqlite(options: &SqliteOptions) -> Result<Arc<dyn ReadStore>, StoreError> {
    crate::sqlite::look(options)
}

/// Opens a PostgreSQL database, and makes its tables if it is empty.
///
/// # Errors
/// `Refused` if the server is too old, does not keep what it commits, or the database is not ours.
pub fn open_postgres(options: &PostgresOptions, birth: &Birth) -> Result<Opened, StoreError> {
    crate::postgres::open(options, birth)
}
