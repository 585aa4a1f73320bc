//! One run of a server, and who starts the next one.

use super::disk::Watched;
use super::executor::Sim;
use super::machine::{Machine, Slowed};
use super::net::Remote;
use super::world::World;
use everloop_control::{Control, Options as ControlOptions, Parts as ControlParts};
use everloop_engine::engine::{Engine, Parts};
use everloop_engine::housekeep::Retention;
use everloop_engine::reads::Latency;
use everloop_engine::source::EngineSource;
use everloop_journal::keys::SigningKey;
use everloop_worker::executor::Registry;
use everloop_worker::run::{Options, Worker};
use everloop_worker::source::WorkSource;
use futures_util::FutureExt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Whether a server lives.
#[derive(Default)]
pub(crate) struct Life {
    dead: AtomicBool,
    failed: AtomicBool,
    changed: Notify,
}

impl Life {
    pub(crate) fn alive(&self) -> bool {
        !self.dead.load(Ordering::SeqCst)
    }

    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Its disk has failed: it writes no more, and has to be started again.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    async fn until(&self, happened: &AtomicBool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if happened.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }

    /// What this comes to, unless the server dies before.
    pub(crate) async fn through<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.until(&self.dead) => None,
            done = work => Some(done),
        }
    }
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) life: Arc<Life>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) control: Control,
    /// What workers elsewhere talk to.
    pub(crate) remote: EngineSource,
}

struct Started {
    server: Arc<Server>,
    tasks: JoinSet<()>,
    /// Tells the embedded workers to stop.
    stop: watch::Sender<bool>,
}

fn slowly<F: Future<Output = ()> + Send + 'static>(
    world: &Arc<World>,
    who: &str,
    inner: F,
) -> impl Future<Output = ()> + Send + 'static {
    let (world, dice) = (world.clone(), world.dice(who));
    Slowed::new(inner, move || {
        let faults = &world.plan.faults;
        if world.faulty() && dice.per_mille(faults.slow) {
            world.count("turns of the writer or the reconciler that were delayed");
            return dice.within(faults.slow_for);
        }
        Duration::ZERO
    })
}

/// How late the answers to reads come. Those of one instant are equally late: which of several followers reads first is not
/// the seed's to say.
fn late_answers(world: &Arc<World>, number: u32) -> Latency {
    let world = world.clone();
    Arc::new(move || {
        let faults = &world.plan.faults;
        let dice = world.dice(&format!("reads {number} at {:?}", world.start.elapsed()));
        if world.faulty() && dice.per_mille(faults.late) {
            world.count("reads whose answer came late");
            return dice.within(faults.late_by);
        }
        Duration::ZERO
    })
}

/// Starts a server, if it can be started.
async fn start(world: &Arc<World>, number: u32) -> Result<Started, String> {
    let life = Arc::new(Life::default());
    let opened = world.medium().open().map_err(|error| error.to_string())?;
    let stored = world.stored();
    world.oracle().reopened(&*stored).map_err(|error| error.to_string())?;
    let writer = Watched {
        inner: opened.writer,
        reader: stored,
        world: world.clone(),
        life: life.clone(),
        dice: world.dice(&format!("disk {number}")),
        full: None,
    };
    let seed = world.dice(&format!("engine {number}")).bytes();
    let parts = Parts {
        writer: Box::new(writer),
        reader: opened.reader,
        clock: world.host.clone(),
        random: Arc::new(everloop_testkit::random::Seeded::new(seed)),
        key: Arc::new(SigningKey::from_seed(&[9; 32])),
        digest_every: world.plan.digest_every,
        blobs: opened.blobs,
        reserve: None,
        retention: Retention { logs: Some(world.plan.logs), ..Retention::default() },
    };
    let (engine, loops) =
        Engine::inline(parts, late_answers(world, number)).map_err(|error| error.to_string())?;
    let mut tasks = JoinSet::new();
    tasks.spawn(slowly(world, &format!("writer {number}"), loops.writer));
    life.through(loops.recovery).await.ok_or("killed while it started")?;
    let parts = ControlParts {
        engine: engine.clone(),
        executors: Registry::default(),
        options: ControlOptions::default(),
    };
    let control = life.through(Control::open(parts)).await.ok_or("killed while it started")?;
    let control = control.map_err(|refusal| refusal.to_string())?;
    tasks.spawn(slowly(world, &format!("reconciler {number}"), loops.reconciler));
    let (stop, stopped) = watch::channel(false);
    for n in 0..world.plan.embedded {
        let source = Arc::new(EngineSource::embedded(engine.clone()));
        let name = format!("embedded {number}.{n}");
        let work = work(world, &world.host, source, Some(life.clone()), &name, stopped.clone());
        tasks.spawn(work);
    }
    let remote = EngineSource::remote(engine.clone());
    Ok(Started { server: Arc::new(Server { life, engine, control, remote }), tasks, stop })
}

/// A worker, on a machine, until it is told to stop.
pub(crate) fn work(
    world: &Arc<World>,
    machine: &Arc<Machine>,
    source: Arc<dyn WorkSource>,
    life: Option<Arc<Life>>,
    name: &str,
    stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let executor = Sim { world: world.clone(), machine: machine.clone(), life, dice: world.dice(name) };
    let worker = Worker {
        source,
        registry: Registry::default().with(Arc::new(executor)),
        clock: machine.clone(),
        options: Options {
            name: name.to_owned(),
            max_concurrent_tasks: world.plan.slots,
            ..Options::default()
        },
    };
    let (frozen, world, name) = (machine.clone(), world.clone(), name.to_owned());
    let run = Slowed::new(worker.run(stopped), move || frozen.frozen_for());
    async move {
        if let Err(error) = run.await {
            world.say(&name, format_args!("stops: {error}"));
        }
    }
}

/// A worker elsewhere. Now and then it leaves in order, and another one takes its place.
pub(crate) async fn employ(
    world: Arc<World>,
    machine: Arc<Machine>,
    source: Arc<Remote>,
    mut stopped: watch::Receiver<bool>,
) {
    let dice = world.dice(&format!("{} leaves", machine.name));
    for n in 0.. {
        let name = if n == 0 { machine.name.clone() } else { format!("{}.{n}", machine.name) };
        let (stop, leaves) = watch::channel(false);
        let mut working = std::pin::pin!(work(&world, &machine, source.clone(), None, &name, leaves));
        let leaving = async {
            if n >= world.plan.leaves {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(dice.about(world.plan.stays)).await;
            world.fault("workers that left in order", &machine.name);
        };
        tokio::select! {
            biased;
            () = &mut working => return,
            () = leaving => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        stop.send_replace(true);
        working.await;
        if *stopped.borrow() {
            return;
        }
        source.leave().await;
        tokio::time::sleep(dice.within(Duration::from_secs(5))).await;
    }
}

/// What the first of the loops that panics says.
async fn panicked(loops: &mut JoinSet<()>) -> String {
    while let Some(ended) = loops.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            return error.to_string();
        }
    }
    std::future::pending().await
}

/// Starts servers, and ends them, until it is told to stop.
pub(crate) async fn keep(world: Arc<World>, mut stop: watch::Receiver<bool>) {
    let dice = world.dice("keeper");
    let faults = world.plan.faults.clone();
    for number in 1.. {
        world.say("host", format_args!("server {number} starts"));
        let mut started = match start(&world, number).await {
            Ok(started) => started,
            Err(why) => {
                world.say("host", format_args!("server {number} does not start: {why}"));
                world.count("servers that did not come up");
                tokio::time::sleep(Duration::from_secs(1)).await;
                world.medium().crash();
                continue;
            }
        };
        world.say("host", format_args!("server {number} answers"));
        world.count("servers");
        let server = started.server.clone();
        world.set_server(Some(server.clone()));
        let life = server.life.clone();
        let planned = async {
            match faults.crash {
                Some(mean) => tokio::time::sleep(dice.about(mean)).await,
                None => std::future::pending().await,
            }
            if !world.faulty() {
                std::future::pending::<()>().await;
            }
        };
        let orderly = tokio::select! {
            biased;
            () = life.until(&life.dead) => false,
            () = life.until(&life.failed) => {
                tokio::time::sleep(dice.within(Duration::from_secs(20))).await;
                false
            }
            () = async { drop(stop.wait_for(|stop| *stop).await) } => true,
            what = panicked(&mut started.tasks) => {
                world.rule("nothing panics", Err(what));
                false
            }
            () = planned => {
                let orderly = dice.per_mille(300);
                world.fault(if orderly { "servers stopped" } else { "servers killed" }, "host");
                orderly
            }
        };
        if orderly {
            started.stop.send_replace(true);
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
        life.die();
        world.set_server(None);
        let verdict = panicked(&mut started.tasks).now_or_never().map_or(Ok(()), Err);
        world.rule("nothing panics", verdict);
        started.tasks.shutdown().await;
        drop((server, started));
        // Whoever was connected notices, and lets go.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if *stop.borrow() {
            return;
        }
        world.medium().crash();
        if world.faulty() {
            tokio::time::sleep(dice.within(faults.down)).await;
        }
    }
}
