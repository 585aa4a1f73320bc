//! Databases for tests.

use everloop_store::port::WriteStore;
use everloop_store::rows::Installation;
use everloop_store::suite::Harness;
use everloop_store_sql::blob_files::BlobFiles;
use everloop_store_sql::{Birth, PostgresOptions, SqliteOptions};
use everloop_types::id::InstallationId;
use everloop_types::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// What the suite wants of a new database: an installation and nothing else.
pub(crate) fn birth() -> Birth {
    let created_at = Timestamp::from_micros(1_700_000_000_000_000);
    Birth {
        installation: Installation { id: InstallationId([7; 16]), epoch: 0, created_at },
        tenants: Vec::new(),
    }
}

pub(crate) fn folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

pub(crate) fn open_sqlite() -> Harness {
    sqlite_in(folder())
}

pub(crate) fn sqlite_in(folder: Arc<TempDir>) -> Harness {
    let options = SqliteOptions::new(folder.path().join("everloop.db"));
    let opened = everloop_store_sql::open_sqlite(&options, &birth()).unwrap();
    Harness {
        name: "sqlite",
        writer: opened.writer,
        reader: opened.reader,
        blob: Arc::new(BlobFiles::new(folder.path())),
        own_clock: false,
        another: None,
        reopen: Box::new(move || sqlite_in(folder)),
    }
}

/// A database of its own on the server for tests, dropped at the end.
pub(crate) struct Database {
    name: String,
    pub(crate) url: String,
}

impl Database {
    pub(crate) fn create() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run(&server(), &format!("CREATE DATABASE {name}"));
        let (base, _) =
            server().rsplit_once('/').map(|(base, name)| (base.to_owned(), name.to_owned())).unwrap();
        Self { url: format!("{base}/{name}"), name }
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions::new(&self.url)
    }

    /// Runs raw SQL.
    pub(crate) fn run(&self, sql: &str) {
        run(&self.url, sql);
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        run(&server(), &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn server() -> String {
    std::env::var("EVERLOOP_TEST_POSTGRES_URL").expect(
        "EVERLOOP_TEST_POSTGRES_URL names no server: run the tests with `cargo xtask test`, \
         or these with `cargo xtask postgres -- cargo test -p everloop-store-sql`",
    )
}

fn run(url: &str, sql: &str) {
    try_run(url, sql).unwrap();
}

/// Runs raw SQL, and gives the first column of its rows as text.
pub(crate) fn try_run(url: &str, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        drop(runtime.spawn(connection));
        let messages = client.simple_query(sql).await?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .collect())
    })
}

pub(crate) fn open_postgres() -> Harness {
    postgres_in(Arc::new(Database::create()), folder())
}

pub(crate) fn postgres_in(database: Arc<Database>, folder: Arc<TempDir>) -> Harness {
    let opened = everloop_store_sql::open_postgres(&database.options(), &birth()).unwrap();
    let options = database.options();
    let another = move || -> Box<dyn WriteStore> {
        everloop_store_sql::open_postgres(&options, &birth()).unwrap().writer
    };
    Harness {
        name: "postgres",
        writer: opened.writer,
        reader: opened.reader,
        blob: Arc::new(BlobFiles::new(folder.path())),
        own_clock: true,
        another: Some(Arc::new(another)),
        reopen: Box::new(move || postgres_in(database, folder)),
    }
}
