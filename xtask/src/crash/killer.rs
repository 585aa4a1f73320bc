//! The killer: starts, kills and starts again, tells the oracle when, and prints what came of it.

use super::dice::Dice;
use super::judge::{Judge, now, violation};
use super::options::{Engine, Options};
use super::oracle::{Orders, Report, Violation};
use super::rig::{Rig, Running};
use super::sqlite;
use crate::postgres;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a task that was cut off may stand still after the restart.
const STAND_STILL: Duration = Duration::from_secs(1);
/// One kill in so many hits a server that is still starting.
const EARLY: u64 = 6;
/// After one kill in so many the files are checked as they lie there.
const LOOKED_AT: u64 = 5;

/// Of so many violations of one name the whole text is printed.
const SHOWN: usize = 5;

/// What was injected, beside what the oracle counts.
#[derive(Default)]
struct Injected {
    kills: u64,
    early: u64,
    database_kills: u64,
    starts: Vec<Duration>,
    files_checked: u64,
    /// The whole run, without building the server.
    took: Duration,
}

/// A run. Gives whether every promise was kept; an error means that nobody knows.
pub(super) fn run(options: &Options) -> Result<bool> {
    let mut folder = tempfile::Builder::new().prefix("everloop-crash-").tempdir()?;
    folder.disable_cleanup(true);
    println!("{}", options.command());
    let result = in_folder(options, folder.path());
    let ended_well = match &result {
        Ok((injected, report)) => {
            print(options, injected, report);
            report.violations.is_empty()
        }
        Err(_) => false,
    };
    if ended_well && !options.keep {
        folder.disable_cleanup(false);
    } else {
        println!("ledger, log and data are kept in {}", folder.path().display());
    }
    result.map(|_| ended_well)
}

fn in_folder(options: &Options, folder: &Path) -> Result<(Injected, Report)> {
    let mut database = match options.engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(postgres::Guarded::start()?),
    };
    let rig = Rig::build(folder, database.as_ref().map(|database| database.url().to_owned()))?;
    let began = Instant::now();
    let mut injected = Injected::default();
    let mut found = Vec::new();
    let mut running = rig.start()?;
    rig.wait_until_ready(&mut running)?;
    let mut oracle = Judge::start(&Orders {
        seed: options.seed,
        clients: options.clients,
        lease_ms: None,
        data: rig.data.clone(),
        ledger: folder.join("ledger.jsonl"),
        effects_end_with_record: true,
        stand_still_ms: u64::try_from(STAND_STILL.as_millis()).unwrap_or(u64::MAX),
    })?;
    let mut dice = Dice::new(options.seed, "kills", 0);
    for at in 0..options.kills {
        let early = at > 0 && dice.one_in(EARLY);
        if !early && at > 0 {
            injected.starts.push(await_ready(&rig, &mut running, &mut oracle)?);
        }
        let due = (at + 1) * options.database_kills / options.kills.max(1);
        if let Some(database) = database.as_mut().filter(|_| injected.database_kills < due) {
            pass_time(&mut dice, options.between);
            oracle.tell("database-killed", now())?;
            database.crash()?;
            injected.database_kills += 1;
        }
        let (least, most) = options.between;
        pass_time(&mut dice, if early { (Duration::ZERO, least) } else { (least, most) });
        running.kill()?;
        oracle.tell("killed", now())?;
        injected.kills += 1;
        injected.early += u64::from(early);
        if options.lose_log {
            sqlite::lose_log(&rig.data)?;
        }
        if options.engine == Engine::Sqlite && at % LOOKED_AT == 0 {
            injected.files_checked += 1;
            let complaints = sqlite::complaints_of_copy(&rig.data, &folder.join("copy"))?;
            found.extend(complaints.into_iter().map(|what| violation("file-damaged", what)));
        }
        running = rig.start()?;
        oracle.tell("started", now())?;
    }
    injected.starts.push(await_ready(&rig, &mut running, &mut oracle)?);
    let mut report = oracle.finish()?;
    found.extend(running.stop().err().map(|error| violation("stop-failed", error.to_string())));
    if options.engine == Engine::Sqlite {
        injected.files_checked += 1;
        let complaints = sqlite::complaints(&rig.data.join(sqlite::FILE))?;
        found.extend(complaints.into_iter().map(|what| violation("file-damaged", what)));
    }
    let log = rig.log();
    let panics = log.lines().filter(|line| line.contains("panicked at"));
    found.extend(panics.map(|line| violation("server-panicked", line.to_owned())));
    report.violations.extend(found);
    injected.took = began.elapsed();
    Ok((injected, report))
}

/// Gives how long the process took until it answered.
fn await_ready(rig: &Rig, running: &mut Running, oracle: &mut Judge) -> Result<Duration> {
    rig.wait_until_ready(running)?;
    oracle.tell("ready", now())?;
    Ok(running.age())
}

/// The one thing that is waited for by the clock: the instant of a kill is drawn.
fn pass_time(dice: &mut Dice, (least, most): (Duration, Duration)) {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    sleep(Duration::from_micros(dice.between(micros(least), micros(most))));
}

fn print(options: &Options, injected: &Injected, report: &Report) {
    let figures = &report.figures;
    let states: Vec<String> =
        figures.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let slowest = injected.starts.iter().max().copied().unwrap_or_default();
    let (middle, longest) = figures.still_ms;
    println!("seed              {}", options.seed);
    println!("engine            {}", options.engine.as_str());
    println!("kills             {} ({} of them during the start)", injected.kills, injected.early);
    if options.engine == Engine::Postgres {
        println!("database kills    {}", injected.database_kills);
    }
    println!("tasks             {} ({}; {} poisoned)", figures.tasks, states.join(", "), figures.poisoned);
    println!("acknowledgements  {}, requests sent again {}", figures.acknowledgements, report.retries);
    println!("events            {}, steps recorded {}", figures.events, figures.steps);
    println!("effects outside   {} ({} again after a kill)", figures.effects, figures.effects_in_doubt);
    println!("attempts lost     {}", figures.lost_attempts);
    println!(
        "followers         {}, events sent to them {}, reconnects {}",
        figures.followers, figures.followed, report.reconnects
    );
    println!("starts            {} ms at most until the server answered", slowest.as_millis());
    println!(
        "tasks taken up    {}, going on {middle} ms (median) to {longest} ms after the start of the process",
        figures.taken_up
    );
    if options.engine == Engine::Sqlite {
        println!("file checked      {} times", injected.files_checked);
    }
    println!("took              {:.1} s", injected.took.as_secs_f64());
    println!("violations        {}", report.violations.len());
    print_violations(&report.violations);
}

/// Some of each name, and how many more there are.
pub(crate) fn print_violations(violations: &[Violation]) {
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    for violation in violations {
        let count = shown.entry(&violation.name).or_default();
        *count += 1;
        if *count <= SHOWN {
            println!("  {}: {}", violation.name, violation.what);
        }
    }
    for (name, count) in shown.into_iter().filter(|(_, count)| *count > SHOWN) {
        println!("  {name}: {} more", count - SHOWN);
    }
}
