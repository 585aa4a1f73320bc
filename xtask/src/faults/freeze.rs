//! A process that stands still and goes on later as if nothing had been: a suspended machine, a stuck disk, a debugger.

use super::session::{Ground, Row, Session, Setup, made, pass_ms};
use crate::crash::rig::Around;
use anyhow::Result;
use rustix::process::Signal;

/// The shortest lease there is: a frozen process outlives it.
const LEASE_MS: u64 = 1_000;

/// The server, with its embedded worker.
pub(super) fn server(ground: &Ground, row: &mut Row) -> Result<()> {
    let mut dice = ground.dice("freeze-server");
    let data = made(&ground.folder, "data")?;
    let setup =
        Setup { data, clients: 16, lease_ms: Some(LEASE_MS), around: Around::default(), workers: &[] };
    let session = Session::start(ground, &setup)?;
    for _ in 0..ground.rounds {
        pass_ms(&mut dice, 200, 800);
        session.running.signal(Signal::STOP)?;
        let frozen = pass_ms(&mut dice, 1_000, 5_000);
        session.running.signal(Signal::CONT)?;
        row.count("times the server was frozen for 1 to 5 s", 1);
        row.count("ms frozen", u64::try_from(frozen.as_millis()).unwrap_or(0));
    }
    pass_ms(&mut dice, 200, 400);
    session.finish(row)
}

/// One of two workers elsewhere, past its leases: the other one takes its tasks, and then it comes back.
pub(super) fn worker(ground: &Ground, row: &mut Row) -> Result<()> {
    let mut dice = ground.dice("freeze-worker");
    let data = made(&ground.folder, "data")?;
    let around = Around { args: vec!["--workers", "0"], ..Around::default() };
    let session = Session::start(
        ground,
        &Setup { data, clients: 16, lease_ms: Some(LEASE_MS), around, workers: &["one", "two"] },
    )?;
    for round in 0..ground.rounds {
        pass_ms(&mut dice, 500, 1_000);
        let worker = &session.workers[usize::from(round % 2 == 1)];
        worker.signal(Signal::STOP)?;
        pass_ms(&mut dice, 1_500, 4_000);
        worker.signal(Signal::CONT)?;
        row.count("times a worker was frozen for 1.5 to 4 s, its leases lasting 1 s", 1);
    }
    pass_ms(&mut dice, 200, 400);
    session.finish(row)
}
