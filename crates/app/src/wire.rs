//! Puts the program together: the only place that names adapters.
#![expect(
    clippy::disallowed_methods,
    reason = "the program's own files, and the one task that is its worker"
)]

use anyhow::{Context as _, bail};
use everloop_client::Client;
use everloop_client::discover::KEY_FILE;
use everloop_client::host::{SystemClock, SystemRandom};
use everloop_control::archive::is_cut_short;
use everloop_control::{Control, Mode};
use everloop_engine::engine::{Engine, Threads};
use everloop_engine::housekeep::Retention;
use everloop_engine::pipeline::op::Op;
use everloop_engine::source::EngineSource;
use everloop_exec::mcp::Mcp;
pub(crate) use everloop_exec::mcp::Servers as McpServers;
use everloop_exec::shell::{Shell, ShellOptions, reap_leftovers};
use everloop_journal::keys::SigningKey;
use everloop_store::error::StoreError;
use everloop_store::port::{Blob, ReadStore, Reserve, WriteStore};
use everloop_store::rows::SigningKeyRow;
use everloop_store::work::Row;
use everloop_store_sql::migrate::{self, Status, Target};
use everloop_store_sql::{Birth, PostgresOptions, SqliteOptions};
use everloop_types::random::Random;
use everloop_types::time::Clock;
use everloop_worker::executor::Registry;
use everloop_worker::run::{Options as WorkerOptions, Worker};
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The file with the private key that signs receipts.
pub(crate) const SIGNING_KEY: &str = "signing-key.json";

/// How a server is run.
#[derive(Clone, Debug)]
pub(crate) struct ServeOptions {
    /// For whoever can use this machine, or for callers with a key.
    pub(crate) mode: Mode,
    /// Where its files are.
    pub(crate) data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`; a file in the data folder when not given.
    pub(crate) database_url: Option<String>,
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The file with the API key, when it is not the one in the data folder.
    pub(crate) api_key_file: Option<PathBuf>,
    /// Tasks that it runs itself at the same time; 0 for none.
    pub(crate) slots: u32,
    /// Executors beyond those that come with the program.
    pub(crate) extra: Registry,
    /// Workers elsewhere replay a task again after each of its steps.
    pub(crate) replay_always: bool,
    /// Programs that tasks may have started as MCP servers.
    pub(crate) mcp_servers: McpServers,
    /// Whether commands may be run without a sandbox in any mode.
    pub(crate) unsafe_no_sandbox: bool,
    /// Events between two digests of a stream.
    pub(crate) digest_every: u64,
    /// How long finished tasks are kept.
    pub(crate) retention: Retention,
    /// Whether there is a dashboard.
    pub(crate) ui: bool,
    /// What stands before every path; nothing when empty.
    pub(crate) base_path: String,
}

impl ServeOptions {
    /// The file with the API key: the one that was named, or that of the data folder.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.api_key_file.clone().unwrap_or_else(|| self.data_dir.join(KEY_FILE))
    }
}

/// What a server says once it can be used.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    /// Where it listens.
    pub(crate) url: String,
    /// Its data folder.
    pub(crate) data_dir: PathBuf,
    /// `sqlite` or `postgres`.
    pub(crate) store: &'static str,
}

/// Serves until the process is told to stop. `on_ready` is called once, when requests are taken.
///
/// # Errors
/// If the folder, the database, the key or the port can't be had; the message says what to do.
pub(crate) fn serve(options: &ServeOptions, on_ready: impl FnOnce(&Ready)) -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).saturating_sub(1).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(run(options, on_ready))
}

async fn run(options: &ServeOptions, on_ready: impl FnOnce(&Ready)) -> anyhow::Result<()> {
    if !options.listen.ip().is_loopback() && options.mode == Mode::Dev {
        bail!(
            "dev mode listens on this machine only, not on {}\n  hint: use `everloop serve`, which asks every caller for a key",
            options.listen
        );
    }
    make_folder(&options.data_dir)?;
    let clock = Arc::new(SystemClock::start());
    let random = Arc::new(SystemRandom::default());
    let listener =
        tokio::net::TcpListener::bind(options.listen).await.with_context(|| port_in_use(options))?;
    let address = listener.local_addr()?;
    let url = format!("http://{address}");
    // A store works for whoever waits on a thread, and not within the runtime.
    let store = tokio::task::block_in_place(|| {
        open_store(&options.data_dir, options.database_url.as_deref(), Some(&url), &*clock, &*random)
    })?;
    // The folder is this server's from here on: of several that are started at once, only one writes its keys.
    let api_key = api_key(options, &*random)?;
    let key = Arc::new(signing_key(&options.data_dir, &*random)?);
    // Whatever the last run of this server has left running goes before its leases do.
    let workspaces = options.data_dir.join("workspaces");
    make_folder(&workspaces)?;
    let reaped = {
        let workspaces = workspaces.clone();
        tokio::task::spawn_blocking(move || reap_leftovers(&workspaces)).await?
    };
    if reaped.commands > 0 {
        tracing::info!(
            commands = reaped.commands,
            "commands of the last run were still running and were ended"
        );
    }
    let database = store.name;
    let (engine, threads) = start_engine(options, store, clock.clone(), key).await?;
    let commands = options.mode == Mode::Dev || options.unsafe_no_sandbox;
    let shell = ShellOptions { allowed: commands, ..ShellOptions::new(workspaces)? };
    let executors = plain(&options.extra, &options.mcp_servers, &shell).with(Arc::new(Shell::new(shell)));
    let (stop, stopped) = watch::channel(false);
    let worker = (options.slots > 0).then(|| {
        let worker = Worker {
            source: Arc::new(EngineSource::embedded(engine.clone())),
            registry: executors.clone(),
            clock: clock.clone(),
            options: WorkerOptions {
                name: "embedded".to_owned(),
                max_concurrent_tasks: options.slots,
                ..WorkerOptions::default()
            },
        };
        tokio::spawn(worker.run(stopped.clone()))
    });
    let control = Control::open(everloop_control::Parts {
        engine: engine.clone(),
        executors: if options.slots > 0 { executors } else { Registry::default() },
        options: everloop_control::Options {
            mode: options.mode,
            key_hashes: vec![everloop_journal::digest::sha256(api_key.trim().as_bytes())],
            replay_always: options.replay_always,
            store: database.to_owned(),
            ..everloop_control::Options::default()
        },
    })
    .await?;
    // Whoever learns of this server may ask it to stop at once.
    let told = told_to_stop()?;
    announce(&options.data_dir, &url)?;
    on_ready(&Ready { url, data_dir: options.data_dir.clone(), store: database });
    let shutdown = async {
        told.await;
        stop.send_replace(true);
    };
    let faces = everloop_server::Options {
        ui: options.ui,
        base_path: options.base_path.clone(),
        ..everloop_server::Options::default()
    };
    let served = everloop_server::serve(listener, control, faces, shutdown).await;
    if let Some(worker) = worker {
        worker.await??;
    }
    withdraw(&options.data_dir);
    drop(engine);
    tokio::task::spawn_blocking(move || threads.join()).await?;
    served.map_err(Into::into)
}

/// An open database.
pub(crate) struct Stores {
    pub(crate) writer: Box<dyn WriteStore>,
    pub(crate) reader: Arc<dyn ReadStore>,
    pub(crate) blobs: Arc<dyn Blob>,
    /// Space beside it that can be given up.
    pub(crate) reserve: Option<Arc<dyn Reserve>>,
    /// Which engine.
    pub(crate) name: &'static str,
}

/// Which database a setting names.
enum Database {
    Sqlite(SqliteOptions),
    Postgres(PostgresOptions),
}

impl Database {
    /// A file in the data folder when none is named.
    fn named(data_dir: &Path, database_url: Option<&str>) -> anyhow::Result<Self> {
        match database_url {
            None => Ok(Self::Sqlite(SqliteOptions::new(data_dir.join("everloop.db")))),
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Postgres(PostgresOptions::new(url)))
            }
            Some(url) => match url.strip_prefix("sqlite:") {
                Some(path) => Ok(Self::Sqlite(SqliteOptions::new(path))),
                None => bail!(
                    "--database-url must begin with sqlite: or postgres://\n  hint: leave it out to use a file in the data folder"
                ),
            },
        }
    }
}

/// Opens a database to write it, and makes it if it is not there. `url` is what others are told who find it in use.
pub(crate) fn open_store(
    data_dir: &Path,
    database_url: Option<&str>,
    url: Option<&str>,
    clock: &dyn Clock,
    random: &dyn Random,
) -> anyhow::Result<Stores> {
    let birth = Birth::new(clock.now(), random);
    let (opened, name) = match Database::named(data_dir, database_url)? {
        Database::Sqlite(sqlite) => {
            let sqlite = SqliteOptions { url: url.map(str::to_owned), ..sqlite };
            (everloop_store_sql::open_sqlite(&sqlite, &birth), "sqlite")
        }
        Database::Postgres(postgres) => (everloop_store_sql::open_postgres(&postgres, &birth), "postgres"),
    };
    let opened = opened.map_err(said)?;
    is_whole(&*opened.reader)?;
    let reserve = opened.reserve.map(|reserve| Arc::new(reserve) as Arc<dyn Reserve>);
    Ok(Stores { writer: opened.writer, reader: opened.reader, blobs: blob_files(data_dir), reserve, name })
}

/// Opens a database to read it, beside a server that may be writing it.
pub(crate) fn look_store(
    data_dir: &Path,
    database_url: Option<&str>,
    clock: &dyn Clock,
    random: &dyn Random,
) -> anyhow::Result<(Arc<dyn ReadStore>, Arc<dyn Blob>)> {
    let reader = match Database::named(data_dir, database_url)? {
        Database::Sqlite(sqlite) => everloop_store_sql::look_sqlite(&sqlite),
        Database::Postgres(postgres) => {
            let options = PostgresOptions { migrate: false, ..postgres };
            let birth = Birth::new(clock.now(), random);
            everloop_store_sql::open_postgres(&options, &birth).map(|opened| opened.reader)
        }
    };
    let reader = reader.map_err(said)?;
    is_whole(&*reader)?;
    Ok((reader, blob_files(data_dir)))
}

fn is_whole(reader: &dyn ReadStore) -> anyhow::Result<()> {
    if is_cut_short(reader)? {
        bail!(
            "a restore into this database was cut short\n  hint: remove the database, and restore the backup again"
        );
    }
    Ok(())
}

fn blob_files(data_dir: &Path) -> Arc<dyn Blob> {
    Arc::new(everloop_store_sql::blob_files::BlobFiles::new(data_dir))
}

/// What to do about the schema of a database.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Migrate {
    /// Look.
    Status,
    /// Apply what is missing, up to a number or all.
    Up(Option<u32>),
    /// Take back so many.
    Down(u32),
}

/// Does it; gives every migration and whether it is applied now.
pub(crate) fn migrate(
    data_dir: &Path,
    database_url: Option<&str>,
    wish: Migrate,
) -> anyhow::Result<Vec<Status>> {
    let database = Database::named(data_dir, database_url)?;
    if let Database::Sqlite(sqlite) = &database
        && !sqlite.path.exists()
        && !matches!(wish, Migrate::Up(_))
    {
        bail!(
            "there is no database at {}\n  hint: name its folder with --data-dir, or its address with --database-url",
            sqlite.path.display()
        );
    }
    let target = || match &database {
        Database::Sqlite(sqlite) => Target::Sqlite(sqlite),
        Database::Postgres(postgres) => Target::Postgres(postgres),
    };
    match wish {
        Migrate::Status => {}
        Migrate::Up(to) => drop(migrate::up(target(), to, SystemClock::start().now()).map_err(said)?),
        Migrate::Down(steps) => drop(migrate::down(target(), steps).map_err(said)?),
    }
    migrate::status(target()).map_err(said)
}

/// A refusal of a database with its remedy, for people.
fn said(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Refused { what, remedy } => anyhow::anyhow!("{what}\n  hint: {remedy}"),
        error => anyhow::Error::new(error).context("the database could not be opened"),
    }
}

async fn start_engine(
    options: &ServeOptions,
    store: Stores,
    clock: Arc<SystemClock>,
    key: Arc<SigningKey>,
) -> anyhow::Result<(Arc<Engine>, Threads)> {
    let Stores { writer, reader, blobs, reserve, .. } = store;
    if let Some(reserve) = &reserve
        && let Err(error) = tokio::task::block_in_place(|| reserve.hold())
    {
        tracing::warn!(%error, "no space could be held back for a full disk");
    }
    let known = tokio::task::block_in_place(|| reader.signing_keys())?.iter().any(|row| row.kid == key.kid());
    let public =
        SigningKeyRow { kid: key.kid().to_owned(), public: *key.public().bytes(), created_at: clock.now() };
    let parts = everloop_engine::engine::Parts {
        writer,
        reader,
        clock,
        random: Arc::new(SystemRandom::default()),
        key,
        digest_every: options.digest_every,
        blobs,
        reserve,
        retention: options.retention,
    };
    let (engine, threads) = tokio::task::spawn_blocking(move || Engine::start(parts)).await??;
    if !known {
        engine.ask(Op::Rows(vec![Row::SigningKeyPut(public)])).await?;
    }
    Ok((engine, threads))
}

/// The executors that run no command of a caller's. What they start gets its folders as `shell` says.
fn plain(extra: &Registry, servers: &McpServers, shell: &ShellOptions) -> Registry {
    extra
        .clone()
        .with(Arc::new(everloop_exec::mock::Mock))
        .with(Arc::new(everloop_exec::http::Http::new()))
        .with(Arc::new(Mcp::new(servers.clone(), shell.clone())))
}

/// A worker for a server elsewhere. Where commands are not allowed it does not offer to run any: another worker may.
pub(crate) fn worker(
    client: Client,
    options: WorkerOptions,
    servers: McpServers,
    commands: bool,
) -> anyhow::Result<Worker> {
    let workspaces = std::env::temp_dir().join(format!("everloop-worker-{}", std::process::id()));
    let shell = ShellOptions { allowed: commands, ..ShellOptions::new(workspaces)? };
    let mut registry = plain(&Registry::default(), &servers, &shell);
    if commands {
        registry = registry.with(Arc::new(Shell::new(shell)));
    }
    let source = Arc::new(everloop_client::work::HttpSource::new(client));
    Ok(Worker { source, registry, clock: Arc::new(SystemClock::start()), options })
}

/// What ends when the process is told to stop. From the call on, no such word is missed.
///
/// # Errors
/// If signals can't be listened for.
pub(crate) fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn port_in_use(options: &ServeOptions) -> String {
    format!(
        "{} can't be listened on\n  hint: stop whoever listens there, or choose another with --listen 127.0.0.1:0",
        options.listen
    )
}

pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| {
        format!(
            "the data folder {} can't be made\n  hint: choose one that you can write with --data-dir",
            folder.display()
        )
    })
}

/// Writes a file so that it is there whole or not at all, readable by its owner only.
pub(crate) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = || -> std::io::Result<()> {
        let new = path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    written().with_context(|| {
        format!(
            "{} can't be written\n  hint: make its folder writable, or choose another with --data-dir",
            path.display()
        )
    })
}

fn api_key(options: &ServeOptions, random: &dyn Random) -> anyhow::Result<String> {
    if let Some(file) = &options.api_key_file {
        let key = fs::read_to_string(file).with_context(|| {
            format!("the API key can't be read from {}\n  hint: name a file that you can read with --api-key-file", file.display())
        })?;
        if !key.trim().starts_with("evl_") || key.trim().len() < 24 {
            bail!(
                "{} holds no API key: it must begin with evl_ and have at least 24 characters\n  hint: copy the one of a data folder, or leave --api-key-file out to get one made",
                file.display()
            );
        }
        return Ok(key.trim().to_owned());
    }
    let file = options.key_file();
    if let Ok(key) = fs::read_to_string(&file) {
        return Ok(key.trim().to_owned());
    }
    let mut secret = [0; 32];
    random.fill(&mut secret);
    let key = format!("evl_{}", everloop_journal::hex::encode(&secret));
    write_secret(&file, &format!("{key}\n"))?;
    Ok(key)
}

fn signing_key(data_dir: &Path, random: &dyn Random) -> anyhow::Result<SigningKey> {
    let file = data_dir.join(SIGNING_KEY);
    match fs::read_to_string(&file) {
        Ok(text) => SigningKey::from_text(&text).with_context(|| {
            format!("{} holds no signing key\n  hint: put back the file from a backup", file.display())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            random.fill(&mut seed);
            let key = SigningKey::from_seed(&seed);
            write_secret(&file, &key.to_text())?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
    }
}

/// Tells clients of this machine where the server is.
fn announce(data_dir: &Path, url: &str) -> anyhow::Result<()> {
    let pid = std::process::id();
    write_secret(&data_dir.join("server.json"), &format!("{{\"pid\":{pid},\"url\":\"{url}\"}}\n"))?;
    let listed = || -> std::io::Result<()> {
        let Some((entry, folder)) = listing(data_dir)? else { return Ok(()) };
        fs::create_dir_all(entry.parent().unwrap_or(Path::new(".")))?;
        fs::write(entry, format!("{}\n", folder.display()))
    };
    if let Err(error) = listed() {
        // Clients then have to be told where it is.
        tracing::debug!(%error, "the data folder could not be listed");
    }
    Ok(())
}

/// Takes back what [`announce`] said: no one must find a server that is gone.
fn withdraw(data_dir: &Path) {
    let entry = listing(data_dir).ok().flatten().map(|(entry, _)| entry);
    for file in entry.into_iter().chain([data_dir.join("server.json")]) {
        // A file that stays names a server that does not answer, and clients go on to the next.
        let _ = fs::remove_file(file);
    }
}

/// The file that lists a data folder, and the folder's full path.
fn listing(data_dir: &Path) -> std::io::Result<Option<(PathBuf, PathBuf)>> {
    let Some(state) = state_folder() else { return Ok(None) };
    let folder = fs::canonicalize(data_dir)?;
    let digest = everloop_journal::digest::sha256(folder.as_os_str().as_encoded_bytes());
    Ok(Some((state.join("servers").join(everloop_journal::hex::encode(&digest[..8])), folder)))
}

/// Where the data folders of this user's servers are listed: a file each, under `servers/`.
pub(crate) fn state_folder() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let state = given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("everloop"))
}
