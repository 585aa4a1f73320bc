//! The oracle: a process of its own that loads the server, writes down what it was promised, and judges in the end.
//!
//! The killer starts it and talks to it in lines on its standard input: `killed AT`, `database-killed AT`, `started AT`, `ready AT` (times
//! in microseconds), and `finish`. Its last line on standard output is a [`Report`] as JSON. It ends by itself when its input
//! does: the killer is gone then.

mod check;
mod client;
mod door;
mod effects;
mod evidence;
mod follow;
pub(crate) mod http;
mod ledger;
mod sse;

pub(crate) use check::{Figures, Violation};
pub(crate) use door::address;

use super::plan::Plan;
use anyhow::{Context, Result, bail};
use door::Door;
use ledger::{Entry, Ledger};
use serde::{Deserialize, Serialize};
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the last tasks may take after the last start. They need a second or two.
const LAST_TASKS: Duration = Duration::from_secs(60);
/// How long the server may take to show all that it has.
const EVIDENCE: Duration = Duration::from_secs(600);
/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(10);

/// The beginning of the keys of tasks that others submit beside the oracle. It does not judge them.
pub(crate) const BESIDE: &str = "beside-";

/// What the oracle is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) seed: u64,
    /// Tasks that are kept in flight.
    pub(crate) clients: u64,
    /// The lease of every task, where it is not the usual one.
    pub(crate) lease_ms: Option<u64>,
    /// The data folder of the server.
    pub(crate) data: PathBuf,
    /// Where the ledger is made.
    pub(crate) ledger: PathBuf,
    /// How long a task that was cut off may stand still after a restart.
    pub(crate) stand_still_ms: u64,
    /// Whether an effect after the record of its step is a violation. It is none where the clocks differ, or where a worker
    /// that was frozen may let out what it was about to do.
    pub(crate) effects_end_with_record: bool,
}

/// What the oracle has found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) figures: Figures,
    pub(crate) violations: Vec<Violation>,
    /// Requests that were sent again.
    pub(crate) retries: u64,
    /// Connections of followers that ended before their stream.
    pub(crate) reconnects: u64,
}

/// The process: its one argument is the [`Orders`] as JSON.
pub(crate) fn run(args: &[std::ffi::OsString]) -> Result<()> {
    let [orders] = args else { bail!("the oracle takes its orders as one argument") };
    let orders: Orders = serde_json::from_str(orders.to_str().context("the orders are not UTF-8")?)?;
    let ledger = Ledger::make(&orders.ledger)?;
    let door = Arc::new(Door::new(&orders.data, ledger)?);
    let mut plan = Plan::new(orders.seed);
    plan.lease_ms = orders.lease_ms;
    let clients: Vec<_> = (0..orders.clients)
        .map(|first| {
            let (door, step) = (door.clone(), orders.clients);
            std::thread::spawn(move || client::run(&door, plan, first, step))
        })
        .collect();
    listen(&door)?;
    door.finishing.store(true, Ordering::Relaxed);
    end(&door, clients)?;
    door.gave_up.store(false, Ordering::Relaxed);
    door.latest.get_or_init(|| Instant::now() + EVIDENCE);
    let evidence = evidence::gather(&door).context("the server does not show what it has")?;
    let (retries, reconnects) =
        (door.retries.load(Ordering::Relaxed), door.reconnects.load(Ordering::Relaxed));
    let mut entries = ledger::read(&orders.ledger)?;
    if !orders.effects_end_with_record {
        for entry in &mut entries {
            if let Entry::Effect { at, .. } = entry {
                *at = i64::MIN;
            }
        }
    }
    let (figures, violations) = check::check(plan, &entries, &evidence, orders.stand_still_ms);
    println!("{}", serde_json::to_string(&Report { figures, violations, retries, reconnects })?);
    Ok(())
}

/// Takes down what the killer says until it says that it is over.
fn listen(door: &Door) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (word, at) = line.split_once(' ').unwrap_or((&line, "0"));
        let at = at.parse()?;
        door.record(&[match word {
            "killed" => Entry::Killed { at },
            "database-killed" => Entry::DatabaseKilled { at },
            "started" => Entry::Started { at },
            "ready" => Entry::Ready { at },
            "finish" => return Ok(()),
            _ => bail!("the killer says {line:?}"),
        }])?;
    }
    bail!("the killer is gone")
}

/// Lets the tasks that were begun come to their end, and gives up on those that don't.
fn end(door: &Door, clients: Vec<JoinHandle<Result<()>>>) -> Result<()> {
    let start = Instant::now();
    while !clients.iter().all(JoinHandle::is_finished) && start.elapsed() < LAST_TASKS {
        std::thread::sleep(LOOK);
    }
    door.gave_up.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().ok().context("a client panicked")??;
    }
    Ok(())
}
