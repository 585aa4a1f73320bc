//! One run: a phase in which things go wrong, then one in which everything has to come to its end.

use super::machine::Machine;
use super::medium::Medium;
use super::net::Remote;
use super::oracle::{TENANT, Violation};
use super::plan::Plan;
use super::world::World;
use super::{chaos, client, follower, server};
use everloop_types::state::State;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a run came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<Violation>,
    /// A digest of everything that happened, in its order: the same for the same seed.
    pub(crate) trace: u64,
    pub(crate) time: Duration,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) asked: BTreeMap<&'static str, u64>,
}

/// Runs a plan over a medium.
pub(crate) fn run(plan: Plan, medium: Box<dyn Medium>, print: bool) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let world = World::new(plan, medium, print);
        play(&world).await;
        let oracle = world.oracle();
        let mut counts = world.counts();
        let (acts, again) = oracle.effects_counted();
        counts.insert("effects", acts);
        counts.insert("effects of steps that were cut off, again", again);
        counts.insert("events", oracle.tasks.values().map(|told| told.events.len() as u64).sum());
        let lost = oracle.tasks.values().map(|told| u64::from(told.task.lost_total)).sum();
        counts.insert("attempts lost", lost);
        for (what, count) in world.medium().counts() {
            *counts.entry(what).or_default() += count;
        }
        let mut trace = DefaultHasher::new();
        world.trace().hash(&mut trace);
        for (id, told) in &oracle.tasks {
            (id, told.events.last().map(|last| (last.seq, last.hash))).hash(&mut trace);
        }
        Outcome {
            violations: oracle.violations.clone(),
            trace: trace.finish(),
            time: world.start.elapsed(),
            counts,
            asked: oracle.asked.clone(),
        }
    })
}

struct Cast {
    workers: JoinSet<()>,
    clients: JoinSet<()>,
    followers: JoinSet<()>,
    chaos: JoinSet<()>,
    keeper: JoinSet<()>,
    stop: watch::Sender<bool>,
}

fn start(world: &Arc<World>) -> Cast {
    let plan = &world.plan;
    let (stop, stopped) = watch::channel(false);
    let mut cast = Cast {
        workers: JoinSet::new(),
        clients: JoinSet::new(),
        followers: JoinSet::new(),
        chaos: JoinSet::new(),
        keeper: JoinSet::new(),
        stop,
    };
    cast.keeper.spawn(server::keep(world.clone(), stopped.clone()));
    let mut machines = Vec::new();
    for n in 0..plan.remote {
        let name = format!("worker-{n}");
        let dice = world.dice(&name);
        let skew = i64::try_from(dice.within(plan.faults.skew * 2).as_micros()).unwrap();
        let skew = skew - i64::try_from(plan.faults.skew.as_micros()).unwrap();
        let machine = Arc::new(Machine::new(&name, world.start, skew));
        let source =
            Remote { world: world.clone(), machine: machine.clone(), dice, known_as: Mutex::default() };
        cast.workers.spawn(server::employ(world.clone(), machine.clone(), Arc::new(source), stopped.clone()));
        machines.push(machine);
    }
    for n in 0..plan.clients {
        cast.clients.spawn(client::run(world.clone(), n));
    }
    for n in 0..plan.followers {
        cast.followers.spawn(follower::run(world.clone(), n));
    }
    for n in 0..plan.feeds {
        cast.followers.spawn(follower::feed(world.clone(), n));
    }
    if !plan.quiet() {
        cast.chaos.spawn(chaos::run(world.clone(), machines));
    }
    cast
}

async fn play(world: &Arc<World>) {
    let mut cast = start(world);
    let plan = &world.plan;
    let phase = plan.faults.phase;
    while world.start.elapsed() < phase && world.oracle().violations.is_empty() {
        tokio::time::sleep(Duration::from_secs(5).min(phase - world.start.elapsed())).await;
    }
    if !plan.quiet() {
        world.heal();
    }
    // Every job may sleep, be tried again, and be forked; nothing of it may take longer than that.
    let patience =
        Duration::from_secs(6 * 3600) + (plan.sleep * 8 + Duration::from_secs(3600)) * plan.jobs_each;
    let done = until_done(world, &mut cast.clients, patience).await;
    // Children that were left go on after their parents.
    let ended = done && quiet_down(world, Duration::from_secs(3 * 3600) + plan.sleep * 4).await;
    world.stop();
    let followed = ended && until_done(world, &mut cast.followers, Duration::from_secs(600)).await;
    let failed = !world.oracle().violations.is_empty();
    if !failed {
        let late = [(done, "clients"), (ended, "tasks"), (followed, "followers")];
        for (_, who) in late.into_iter().filter(|(done, _)| !done).take(1) {
            let stories: Vec<_> = {
                let oracle = world.oracle();
                let live = oracle.tasks.iter().filter(|(_, told)| !told.task.state.is_terminal());
                live.map(|(id, _)| oracle.story(*id)).collect()
            };
            let text = format!("{who} did not come to their end; live:\n{}", stories.join("\n"));
            world.rule("everything ends after it has healed", Err(text));
        }
        if followed {
            let stored = world.stored();
            let read = world.oracle().ended(&*stored);
            world.rule("the store can be read in the end", read.map_err(|error| error.to_string()));
            memory_is_bounded(world);
        }
    }
    cast.chaos.shutdown().await;
    cast.clients.shutdown().await;
    cast.followers.shutdown().await;
    world.end_background();
    cast.stop.send_replace(true);
    let workers = async { while cast.workers.join_next().await.is_some() {} };
    let gone = tokio::time::timeout(Duration::from_secs(300), workers).await.is_ok();
    if !failed {
        let verdict = if gone { Ok(()) } else { Err("a worker did not stop in five minutes".to_owned()) };
        world.rule("workers stop when they are told to", verdict);
    }
    cast.workers.shutdown().await;
    let keeper = async { while cast.keeper.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(60), keeper).await;
    cast.keeper.shutdown().await;
}

async fn until_done(world: &World, crowd: &mut JoinSet<()>, patience: Duration) -> bool {
    let all = async {
        loop {
            if !world.oracle().violations.is_empty() {
                return false;
            }
            let joined = tokio::time::timeout(Duration::from_secs(5), crowd.join_next()).await;
            match joined {
                Ok(None) => return true,
                Ok(Some(Err(error))) => world.rule("nothing panics", Err(error.to_string())),
                Ok(Some(Ok(()))) | Err(_) => {}
            }
        }
    };
    tokio::time::timeout(patience, all).await.unwrap_or(false)
}

async fn quiet_down(world: &World, patience: Duration) -> bool {
    let all = async {
        loop {
            let stored = world.stored();
            let lives = {
                let oracle = world.oracle();
                if !oracle.violations.is_empty() {
                    return false;
                }
                let live = |state: State| !state.is_terminal();
                oracle.tasks.iter().any(|(id, told)| live(told.task.state) && !oracle.deleted.contains(id))
            };
            if !lives && stored.outbox(1).is_ok_and(|outbox| outbox.is_empty()) {
                return true;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::time::timeout(patience, all).await.unwrap_or(false)
}

/// With nobody there and nothing to do, nothing is kept.
fn memory_is_bounded(world: &World) {
    let Some(server) = world.server() else { return };
    let kept = server.engine.tails().figures(TENANT);
    let nothing = [kept.followers, kept.waiters, kept.feeds, kept.streams, kept.events, kept.bytes];
    let verdict =
        if nothing == [0; 6] { Ok(()) } else { Err(format!("nobody follows, and {kept:?} is kept")) };
    world.rule("memory is bounded: live tails", verdict);
    let kept = server.engine.counters().kept.load(Ordering::Relaxed);
    let verdict = if kept == 0 {
        Ok(())
    } else {
        Err(format!("{kept} entries about tasks are kept, and all have ended"))
    };
    world.rule("memory is bounded: the pipeline", verdict);
}
