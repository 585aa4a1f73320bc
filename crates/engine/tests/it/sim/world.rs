//! Everything that the parts of a run share.

use super::dice::Dice;
use super::machine::Machine;
use super::medium::Medium;
use super::oracle::Oracle;
use super::plan::Plan;
use super::server::Server;
use everloop_store::port::ReadStore;
use everloop_types::id::TaskId;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) start: Instant,
    /// The machine that servers run on, one after the other.
    pub(crate) host: Arc<Machine>,
    medium: Mutex<Box<dyn Medium>>,
    oracle: Mutex<Oracle>,
    server: Mutex<Option<Arc<Server>>>,
    faulty: AtomicBool,
    stopping: AtomicBool,
    /// Machines that can't reach the server until then.
    cut: Mutex<BTreeMap<String, Instant>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    trace: Mutex<Trace>,
    /// Tasks that somebody may follow.
    pub(crate) known: Mutex<Vec<TaskId>>,
    background: Mutex<JoinSet<()>>,
}

struct Trace {
    hasher: DefaultHasher,
    print: bool,
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(plan: Plan, medium: Box<dyn Medium>, print: bool) -> Arc<Self> {
        let start = Instant::now();
        Arc::new(Self {
            start,
            host: Arc::new(Machine::new("host", start, 0)),
            medium: Mutex::new(medium),
            oracle: Mutex::new(Oracle::new(plan.quiet())),
            server: Mutex::default(),
            faulty: AtomicBool::new(!plan.quiet()),
            stopping: AtomicBool::new(false),
            cut: Mutex::default(),
            counts: Mutex::default(),
            trace: Mutex::new(Trace { hasher: DefaultHasher::new(), print }),
            known: Mutex::default(),
            background: Mutex::default(),
            plan,
        })
    }

    pub(crate) fn dice(&self, who: &str) -> Dice {
        Dice::new(self.plan.seed, who)
    }

    pub(crate) fn medium(&self) -> MutexGuard<'_, Box<dyn Medium>> {
        lock(&self.medium)
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        lock(&self.oracle)
    }

    /// What is stored now, past all faults.
    pub(crate) fn stored(&self) -> Arc<dyn ReadStore> {
        self.medium().inspect()
    }

    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        lock(&self.server).clone()
    }

    pub(crate) fn set_server(&self, server: Option<Arc<Server>>) {
        *lock(&self.server) = server;
    }

    /// Whether things still go wrong.
    pub(crate) fn faulty(&self) -> bool {
        self.faulty.load(Ordering::SeqCst)
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.faulty.store(false, Ordering::SeqCst);
        lock(&self.cut).clear();
        self.medium().set_available(true);
        self.say("world", "everything heals");
    }

    /// Whether followers come to their end.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }

    /// Writes a line of the trace. What followers say does not count: they change nothing, and tokio wakes those of one stream
    /// in an order of its own.
    pub(crate) fn say(&self, who: &str, what: impl std::fmt::Display) {
        let at = self.start.elapsed();
        let line = format!("{:>12.3} {who}: {what}", at.as_secs_f64());
        let mut trace = lock(&self.trace);
        if !who.starts_with("follower") && !who.starts_with("feed") {
            line.hash(&mut trace.hasher);
        }
        if trace.print {
            eprintln!("{line}");
        }
    }

    pub(crate) fn trace(&self) -> u64 {
        lock(&self.trace).hasher.finish()
    }

    /// A fault happens.
    pub(crate) fn fault(&self, what: &'static str, who: &str) {
        self.count(what);
        self.say(who, what);
    }

    pub(crate) fn cut(&self, machine: &str, length: Duration) {
        lock(&self.cut).insert(machine.to_owned(), Instant::now() + length);
    }

    pub(crate) fn is_cut(&self, machine: &str) -> bool {
        lock(&self.cut).get(machine).is_some_and(|until| *until > Instant::now())
    }

    /// Something that nobody waits for.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut background = lock(&self.background);
        while background.try_join_next().is_some() {}
        background.spawn(work);
    }

    pub(crate) fn end_background(&self) {
        lock(&self.background).abort_all();
    }

    /// A rule of the world itself, told in words.
    pub(crate) fn rule(&self, rule: &'static str, verdict: Result<(), String>) {
        self.oracle().rule(rule, verdict);
    }
}
