//! The handle that every face holds.

use crate::kinds::Offered;
use everloop_engine::engine::Engine;
use everloop_engine::source::EngineSource;
use everloop_journal::digest::TenantSecret;
use everloop_store::rows::TenantRow;
use everloop_store::work::Row;
use everloop_types::error::{Code, Refusal};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::time::Timestamp;
use everloop_worker::executor::Registry;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// How the server is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On one machine, for whoever can use it.
    Dev,
    /// For callers that show a key.
    Serve,
}

impl Mode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Serve => "serve",
        }
    }
}

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the server is run.
    pub mode: Mode,
    /// SHA-256 of each API key that is good.
    pub key_hashes: Vec<[u8; 32]>,
    /// Kinds that only callers with a key may submit, with the reason.
    pub guarded_kinds: BTreeSet<String>,
    /// Tasks that are looked at for one page of a list whose conditions no index answers.
    pub looked_at: u32,
    /// Workers elsewhere replay a task again after each of its steps.
    pub replay_always: bool,
    /// Which engine keeps the data: `sqlite`, `postgres`, `memory`.
    pub store: String,
    /// Version of the program.
    pub version: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Dev,
            key_hashes: Vec::new(),
            guarded_kinds: BTreeSet::from(["shell".to_owned()]),
            looked_at: everloop_types::limits::LOOKED_AT_ITEMS,
            replay_always: false,
            store: "memory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What a control is built from.
pub struct Parts {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The executors that this server runs itself.
    pub executors: Registry,
    /// What can be chosen.
    pub options: Options,
}

/// Every use-case. Cloning is cheap.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    remote: EngineSource,
    executors: Registry,
    options: Options,
    secrets: RwLock<HashMap<TenantId, TenantSecret>>,
    offered: RwLock<Offered>,
    started_at: Timestamp,
    stopping: AtomicBool,
}

impl Control {
    /// Reads the tenants, and makes the default one if the database is new.
    ///
    /// # Errors
    /// If the database can't be read or written.
    pub async fn open(parts: Parts) -> Result<Self, Refusal> {
        let started_at = parts.engine.now();
        let control = Self(Arc::new(Inner {
            remote: EngineSource::remote(parts.engine.clone()),
            engine: parts.engine,
            executors: parts.executors,
            options: parts.options,
            secrets: RwLock::default(),
            offered: RwLock::default(),
            started_at,
            stopping: AtomicBool::new(false),
        }));
        control.read_secrets().await?;
        if control.known_secret(TenantId::DEFAULT).is_none() {
            let mut secret = [0; 32];
            control.engine().random().fill(&mut secret);
            let row = TenantRow {
                id: TenantId::DEFAULT,
                name: "default".to_owned(),
                secret,
                created_at: control.engine().now(),
            };
            control.engine().ask(everloop_engine::pipeline::op::Op::Rows(vec![Row::TenantPut(row)])).await?;
            control.read_secrets().await?;
        }
        Ok(control)
    }

    async fn read_secrets(&self) -> Result<(), Refusal> {
        let tenants = self.engine().read(|store| store.tenants()).await?;
        let read = tenants.into_iter().map(|tenant| (tenant.id, TenantSecret::new(tenant.secret)));
        *self.0.secrets.write().unwrap_or_else(PoisonError::into_inner) = read.collect();
        Ok(())
    }

    fn known_secret(&self, tenant: TenantId) -> Option<TenantSecret> {
        self.0.secrets.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    pub(crate) async fn secret(&self, tenant: TenantId) -> Result<TenantSecret, Refusal> {
        if let Some(secret) = self.known_secret(tenant) {
            return Ok(secret);
        }
        self.read_secrets().await?;
        self.known_secret(tenant).ok_or_else(|| Refusal::not_found(format!("tenant {tenant}")))
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    pub(crate) fn remote(&self) -> &EngineSource {
        &self.0.remote
    }

    pub(crate) fn executors(&self) -> &Registry {
        &self.0.executors
    }

    pub(crate) fn offered(&self) -> &RwLock<Offered> {
        &self.0.offered
    }

    /// What was chosen.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// When the server started.
    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.engine().now()
    }

    /// The monotonic clock.
    pub fn monotonic(&self) -> std::time::Duration {
        self.engine().clock().monotonic()
    }

    /// A new id of any kind.
    pub fn new_id(&self) -> [u8; 16] {
        self.engine().new_id()
    }

    /// From now on `/health` says that the server stops.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server stops.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }

    /// Reads what a path names: an id, or `key:` and a key.
    ///
    /// # Errors
    /// `not_found` for a key that stands for nothing, `task_deleted` for one whose task was deleted.
    pub async fn resolve(&self, tenant: TenantId, name: &str) -> Result<TaskId, Refusal> {
        if let Some(key) = name.strip_prefix("key:") {
            let hash = everloop_journal::digest::key_hash(tenant, "key", key);
            let row = self.engine().read(move |store| store.key(&hash)).await?;
            return match row.filter(|row| row.tenant == tenant) {
                Some(row) if row.deleted_at.is_some() => Err(Refusal::new(
                    Code::TaskDeleted,
                    format!("the key stood for task {}, which was deleted", row.task),
                )),
                Some(row) => Ok(row.task),
                None => Err(Refusal::not_found(format!("task with the key {key:?}"))),
            };
        }
        name.parse().map_err(|_| {
            let shown: String = name.chars().take(64).collect();
            Refusal::not_found(format!("task {shown:?}"))
                .hint("name a task by its id, task_…, or by its key: key:digest-1")
        })
    }
}
