//! Files that come back other than they were written: bytes of the database file, its pages, its header, its log.
//!
//! Nothing may be served that differs from what was recorded unless an error or a verification says so.

mod damage;
mod truth;

use super::asking::Asking;
use super::session::{Ground, Row, made, panics};
use crate::crash::oracle::BESIDE;
use crate::crash::rig::{Rig, Running};
use crate::crash::sqlite;
use anyhow::Result;
use damage::{Damage, MARK};
use serde_json::json;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use truth::Truth;

/// Tasks whose history is damaged.
const TASKS: u64 = 24;
/// How long a start may take until it is ready, or has ended with an error.
const START_MAX: Duration = Duration::from_secs(20);
/// After so long a server that lives counts as one that will not be ready.
const NOT_READY: Duration = Duration::from_secs(3);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);

/// The database file, after the server was stopped in order and all of the log was moved into the file.
pub(super) fn pages(ground: &Ground, row: &mut Row) -> Result<()> {
    let rig = ground.rig(&made(&ground.folder, "data")?);
    let mut running = rig.start()?;
    rig.wait_until_ready(&mut running)?;
    let truth = record(&rig)?;
    running.stop()?;
    sqlite::empty_log(&rig.data)?;
    each(ground, &rig, &truth, Damage::PAGES, row)
}

/// The log, after a SIGKILL: what was committed last is in it alone.
pub(super) fn log(ground: &Ground, row: &mut Row) -> Result<()> {
    let rig = ground.rig(&made(&ground.folder, "data")?);
    let mut running = rig.start()?;
    rig.wait_until_ready(&mut running)?;
    let truth = record(&rig)?;
    running.kill()?;
    each(ground, &rig, &truth, Damage::LOG, row)
}

/// Has tasks run, and takes down what the server shows of them.
fn record(rig: &Rig) -> Result<Truth> {
    let asking = Asking::new(&rig.data)?;
    let mut tasks = Vec::new();
    for n in 0..TASKS {
        let steps: Vec<_> = (0..4).map(|at| json!({ "name": format!("s{at}"), "events": 2 })).collect();
        let result = format!("{MARK}{n}-{}", "abcdefghij".repeat(60));
        let request = json!({
            "kind": "mock", "key": format!("{BESIDE}media-{n}"), "input": { "steps": steps, "result": result }
        });
        tasks.push(asking.submit(&request)?);
    }
    for task in &tasks {
        asking.until("GET", &format!("/api/v1/tasks/{task}?wait=5s"), None, |answer| {
            answer.json()["state"] == "completed"
        })?;
    }
    Truth::take(&asking, tasks)
}

/// Does each kind of damage to a fresh copy, starts a server on it, and holds what it shows against the truth.
fn each(ground: &Ground, rig: &Rig, truth: &Truth, damages: &[Damage], row: &mut Row) -> Result<()> {
    let mut dice = ground.dice("media");
    for round in 0..ground.rounds {
        for damage in damages {
            let folder = made(&ground.folder, "damaged")?;
            for entry in std::fs::read_dir(&rig.data)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
                }
            }
            let what = damage.inflict(&folder, &mut dice)?;
            let name = format!("{}, round {round} ({what})", damage.name());
            row.count(&format!("{}: injected", damage.name()), 1);
            let sound = sqlite::complaints_of_copy(&folder, &ground.folder.join("copy"));
            let seen = one(ground, &folder, truth, &name, row)?;
            let noticed = !matches!(&sound, Ok(complaints) if complaints.is_empty());
            row.count(&format!("{}: {}", damage.name(), seen), 1);
            if noticed {
                row.count(&format!("{}: integrity_check complains", damage.name()), 1);
            }
            std::fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}

/// A server on damaged files. Gives what became of it, in a word or two.
fn one(ground: &Ground, folder: &Path, truth: &Truth, name: &str, row: &mut Row) -> Result<&'static str> {
    let mut rig = ground.rig(folder);
    rig.log = ground.folder.join("damaged.log");
    let _ = std::fs::remove_file(&rig.log);
    let mut running = rig.start()?;
    let start = Instant::now();
    let started = loop {
        if let Some(status) = running.ended()? {
            break Err(status);
        }
        if rig.is_ready(&running) {
            break Ok(true);
        }
        if start.elapsed() > NOT_READY && says_that_it_cannot_write(&rig)? {
            break Ok(false);
        }
        if start.elapsed() > START_MAX {
            row.violation("start-hung", format!("{name}: {}", rig.log_tail()));
            return Ok("neither started nor ended");
        }
        sleep(LOOK);
    };
    let seen = match started {
        Err(status) => {
            let log = rig.log();
            if status.success() || !log.to_ascii_lowercase().contains("error") {
                row.violation("unnamed", format!("{name}: ended with {status}: {log}"));
            }
            "refused to start"
        }
        Ok(true) => look(&rig, &mut running, truth, name, row)?,
        Ok(false) => {
            look(&rig, &mut running, truth, name, row)?;
            "started, and says that it can't write"
        }
    };
    let before = row.violations.len();
    panics(&rig, row);
    if row.violations.len() > before {
        row.violation("server-panicked", name.to_owned());
    }
    Ok(seen)
}

/// Whether the server lives, is not ready, and has logged that what it writes is refused.
fn says_that_it_cannot_write(rig: &Rig) -> Result<bool> {
    let lives = Asking::new(&rig.data)?.ask("GET", "/health/live", None).status == 200;
    Ok(lives && rig.log().contains("a batch was not written"))
}

fn look(rig: &Rig, running: &mut Running, truth: &Truth, name: &str, row: &mut Row) -> Result<&'static str> {
    let found = truth.compare(&Asking::new(&rig.data)?);
    for (what, n) in &found.reads {
        row.count(&format!("reads: {what}"), *n);
    }
    for what in &found.untold {
        row.violation("served-as-truth", format!("{name}: {what}"));
    }
    if let Some(status) = running.ended()? {
        row.violation("server-ended", format!("{name}: {status}"));
    }
    Ok(found.verdict())
}
