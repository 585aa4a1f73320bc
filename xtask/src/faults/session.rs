//! One run of a fault: a server under the oracle's load, and what is found in the end.

use super::asking::Asking;
use crate::crash::dice::Dice;
use crate::crash::judge::{Judge, now, violation};
use crate::crash::oracle::{BESIDE, Orders, Violation};
use crate::crash::rig::{Around, Rig, Running};
use crate::crash::sqlite;
use anyhow::{Context, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// A fault has no business with how soon a task goes on: its end is awaited, and that is all.
const STAND_STILL_MS: u64 = 600_000;

/// Where a fault is injected.
pub(super) struct Ground {
    pub(super) rig: Rig,
    /// Its own.
    pub(super) folder: PathBuf,
    pub(super) seed: u64,
    pub(super) rounds: u64,
    /// Whether a file system can be mounted here.
    pub(super) mounts: bool,
}

impl Ground {
    pub(super) fn dice(&self, label: &str) -> Dice {
        Dice::new(self.seed, label, 0)
    }

    /// A server's rig with data and log of its own.
    pub(super) fn rig(&self, data: &Path) -> Rig {
        let mut rig = self.rig.clone();
        rig.data = data.to_owned();
        rig.log = self.folder.join("server.log");
        rig
    }
}

/// What was injected and seen, in the order of the names.
#[derive(Default)]
pub(super) struct Row {
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) violations: Vec<Violation>,
}

impl Row {
    pub(super) fn count(&mut self, what: &str, n: u64) {
        *self.counts.entry(what.to_owned()).or_default() += n;
    }

    pub(super) fn most(&mut self, what: &str, n: u64) {
        let most = self.counts.entry(what.to_owned()).or_default();
        *most = n.max(*most);
    }

    pub(super) fn violation(&mut self, name: &str, what: impl Into<String>) {
        self.violations.push(violation(name, what.into()));
    }

    pub(super) fn print(&self) {
        for (what, n) in &self.counts {
            println!("  {n:>7}  {what}");
        }
    }
}

/// How a session begins.
pub(super) struct Setup {
    pub(super) data: PathBuf,
    pub(super) clients: u64,
    pub(super) lease_ms: Option<u64>,
    pub(super) around: Around,
    /// Names of workers elsewhere.
    pub(super) workers: &'static [&'static str],
}

/// A server under load.
pub(super) struct Session {
    pub(super) rig: Rig,
    pub(super) running: Running,
    pub(super) workers: Vec<Running>,
    judge: Judge,
}

impl Session {
    pub(super) fn start(ground: &Ground, setup: &Setup) -> Result<Self> {
        let rig = ground.rig(&setup.data);
        let mut running = rig.start_in(&setup.around)?;
        rig.wait_until_ready(&mut running)?;
        let workers: Vec<_> =
            setup.workers.iter().map(|name| rig.start_worker(name)).collect::<Result<_>>()?;
        if !workers.is_empty() {
            // What no worker has offered yet is refused.
            let first = json!({ "kind": "mock", "key": format!("{BESIDE}first") });
            Asking::new(&setup.data)?.submit(&first)?;
        }
        let judge = Judge::start(&Orders {
            seed: ground.seed,
            clients: setup.clients,
            lease_ms: setup.lease_ms,
            data: setup.data.clone(),
            ledger: ground.folder.join("ledger.jsonl"),
            effects_end_with_record: setup.around.env.is_empty() && setup.workers.is_empty(),
            stand_still_ms: STAND_STILL_MS,
        })?;
        Ok(Self { rig, running, workers, judge })
    }

    /// Kills the server and starts another one, which may take its time to become ready.
    pub(super) fn kill_and_start(&mut self, around: &Around) -> Result<()> {
        self.running.kill_now()?;
        self.judge.tell("killed", now())?;
        self.running = self.rig.start_in(around)?;
        self.judge.tell("started", now())
    }

    /// The server has ended by itself, as the fault lets it: starts another one.
    pub(super) fn start_again(&mut self, around: &Around) -> Result<()> {
        self.judge.tell("killed", now())?;
        self.running = self.rig.start_in(around)?;
        self.judge.tell("started", now())?;
        self.await_ready()
    }

    pub(super) fn await_ready(&mut self) -> Result<()> {
        self.rig.wait_until_ready(&mut self.running)?;
        self.judge.tell("ready", now())
    }

    /// Lets the tasks end, takes the oracle's judgement, stops the server and looks at its file and its log.
    pub(super) fn finish(self, row: &mut Row) -> Result<()> {
        let Self { rig, running, workers, judge } = self;
        let report = judge.finish()?;
        let figures = &report.figures;
        row.count("tasks", figures.tasks);
        row.count("acknowledgements", figures.acknowledgements);
        row.count("events", figures.events);
        row.count("steps recorded", figures.steps);
        row.count("effects outside", figures.effects);
        row.count("effects outside that came again, with the same key", figures.effects_in_doubt);
        row.count("attempts lost", figures.lost_attempts);
        row.count("requests sent again", report.retries);
        row.count("tasks poisoned", figures.poisoned);
        row.violations.extend(report.violations);
        for mut worker in workers {
            if let Some(status) = worker.ended()? {
                row.violation("worker-ended", status.to_string());
            }
        }
        if let Err(error) = running.stop() {
            row.violation("stop-failed", error.to_string());
        }
        for complaint in sqlite::complaints(&rig.data.join(sqlite::FILE))? {
            row.violation("file-damaged", complaint);
        }
        panics(&rig, row);
        Ok(())
    }
}

/// Finds panics in the log.
pub(super) fn panics(rig: &Rig, row: &mut Row) {
    for line in rig.log().lines().filter(|line| line.contains("panicked at")) {
        row.violation("server-panicked", line.to_owned());
    }
}

/// Lets the load go on for a time that is drawn.
pub(super) fn pass_ms(dice: &mut Dice, least: u64, most: u64) -> Duration {
    let drawn = Duration::from_millis(dice.between(least, most));
    sleep(drawn);
    drawn
}

/// A folder below, made.
pub(super) fn made(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("{} can't be made", path.display()))?;
    Ok(path)
}
