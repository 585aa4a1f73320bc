//! How everything is: queues, figures, health.

use crate::caller::Caller;
use crate::check::Checks;
use crate::control::Control;
use crate::kinds::is_online;
use everloop_engine::live::Figures;
use everloop_engine::pipeline::op::Op;
use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_store::rows::StateCount;
use everloop_store::work::Row;
use everloop_types::error::Refusal;
use everloop_types::id::TenantId;
use everloop_types::names::QUEUES;
use everloop_types::state::State;
use everloop_types::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A queue.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Whether it stands still.
    pub paused: bool,
    /// Tasks that can be claimed.
    pub queued: u64,
    /// Tasks by state.
    pub states: BTreeMap<State, u64>,
    /// Since when the oldest task that can be claimed has been waiting.
    pub oldest_since: Option<Timestamp>,
    /// Workers that serve it and were heard from.
    pub workers: u32,
}

impl Queue {
    /// Tasks that workers hold.
    pub fn in_flight(&self) -> u64 {
        self.states.iter().filter(|(state, _)| state.is_leased()).map(|(_, tasks)| tasks).sum()
    }
}

/// Figures.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Tasks by queue and state.
    pub counts: Vec<StateCount>,
    /// Workers that were heard from.
    pub workers: u32,
    /// How long ago the worker was heard from that was silent for longest, of those that are online.
    pub heartbeat_age: Duration,
    /// Followers of streams, and how far behind they are.
    pub live: Figures,
    /// The position of the last event, in the order of the database.
    pub position: i64,
    /// Commits of this server.
    pub commits: u64,
    /// Events that it wrote.
    pub events: u64,
    /// Rows that it wrote, events included.
    pub rows: u64,
    /// Commands that wait.
    pub waiting: u64,
}

/// What was looked at, and what was wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// The database: what is wrong with it.
    pub database: Option<String>,
    /// The pipeline: what is wrong with it.
    pub pipeline: Option<String>,
    /// Whether the server stops.
    pub stopping: bool,
}

impl Health {
    /// Whether everything works.
    pub fn is_ok(&self) -> bool {
        self.database.is_none() && self.pipeline.is_none() && !self.stopping
    }
}

/// What this server is.
#[derive(Clone, Debug)]
pub struct About {
    /// The database.
    pub installation: String,
    /// How many times it was restored.
    pub epoch: u32,
    /// This run of the server.
    pub incarnation: String,
    /// The key that signs receipts.
    pub signing_key: String,
}

fn read_queues(store: &dyn ReadStore, tenant: TenantId, now: Timestamp) -> Result<Vec<Queue>, StoreError> {
    let mut queues: BTreeMap<String, Queue> = BTreeMap::new();
    for name in QUEUES {
        queues.entry(name.to_owned()).or_default();
    }
    for count in store.state_counts(tenant)? {
        *queues.entry(count.queue).or_default().states.entry(count.state).or_default() += count.tasks;
    }
    for name in store.paused_queues()? {
        queues.entry(name).or_default().paused = true;
    }
    let lanes: HashMap<_, _> = store.lanes()?.into_iter().collect();
    for depth in store.depths()?.into_iter().filter(|depth| depth.tenant == tenant) {
        let Some(lane) = lanes.get(&depth.lane) else { continue };
        let queue = queues.entry(lane.queue.clone()).or_default();
        queue.queued += depth.tasks;
        queue.oldest_since = Some(queue.oldest_since.map_or(depth.oldest, |oldest| oldest.min(depth.oldest)));
    }
    for worker in store.workers()?.iter().filter(|worker| is_online(worker, now)) {
        for name in &worker.spec.queues {
            queues.entry(name.clone()).or_default().workers += 1;
        }
    }
    Ok(queues.into_iter().map(|(name, queue)| Queue { name, ..queue }).collect())
}

impl Control {
    /// Every queue that exists or was ever used.
    ///
    /// # Errors
    /// If the database can't be read.
    pub async fn queues(&self, caller: &Caller) -> Result<Vec<Queue>, Refusal> {
        let (tenant, now) = (caller.tenant, self.now());
        self.engine().read(move |store| read_queues(store, tenant, now)).await
    }

    /// One queue; one that was never used is empty.
    ///
    /// # Errors
    /// If it is no name.
    pub async fn queue(&self, caller: &Caller, name: &str) -> Result<Queue, Refusal> {
        let mut checks = Checks::default();
        checks.name(name, "queue");
        checks.done()?;
        let found = self.queues(caller).await?.into_iter().find(|queue| queue.name == name);
        Ok(found.unwrap_or_else(|| Queue { name: name.to_owned(), ..Queue::default() }))
    }

    /// Lets a queue stand still, or go on: nothing of it is claimed meanwhile.
    ///
    /// # Errors
    /// If it is no name.
    pub async fn queue_pause(&self, caller: &Caller, name: &str, paused: bool) -> Result<Queue, Refusal> {
        self.queue(caller, name).await?;
        self.engine().ask(Op::Rows(vec![Row::QueuePaused { queue: name.to_owned(), paused }])).await?;
        self.queue(caller, name).await
    }

    /// Figures about a caller's tasks and this server.
    ///
    /// # Errors
    /// If the database can't be read.
    pub async fn stats(&self, caller: &Caller) -> Result<Stats, Refusal> {
        let (tenant, now) = (caller.tenant, self.now());
        let (counts, ages, position) = self
            .engine()
            .read(move |store| {
                let workers = store.workers()?;
                let online = workers.iter().filter(|worker| is_online(worker, now));
                let ages: Vec<_> = online.map(|worker| now.since(worker.last_heartbeat_at)).collect();
                Ok((store.state_counts(tenant)?, ages, store.last_position(tenant)?))
            })
            .await?;
        let counters = self.engine().counters();
        Ok(Stats {
            counts,
            workers: u32::try_from(ages.len()).unwrap_or(u32::MAX),
            heartbeat_age: ages.into_iter().max().unwrap_or_default(),
            live: self.engine().tails().figures(tenant),
            position,
            commits: counters.commits.load(Ordering::Relaxed),
            events: counters.events.load(Ordering::Relaxed),
            rows: counters.rows.load(Ordering::Relaxed),
            waiting: counters.waiting.load(Ordering::Relaxed),
        })
    }

    /// What this server is.
    pub fn about(&self) -> About {
        let installation = self.engine().installation();
        About {
            installation: installation.id.to_string(),
            epoch: installation.epoch,
            incarnation: self.engine().incarnation().to_string(),
            signing_key: self.engine().signing_key().kid().to_owned(),
        }
    }

    /// Asks the database and the pipeline.
    pub async fn health(&self) -> Health {
        let ping = self.engine().read(|store| store.ping());
        let database = match tokio::time::timeout(Duration::from_secs(2), ping).await {
            Ok(Ok(())) => None,
            Ok(Err(refusal)) => Some(refusal.detail),
            Err(_) => Some("the database did not answer within 2 seconds".to_owned()),
        };
        let pipeline = (!self.engine().is_ready())
            .then(|| "the last commit failed, or too many commands wait: see the server's log".to_owned());
        Health { database, pipeline, stopping: self.is_stopping() }
    }
}
