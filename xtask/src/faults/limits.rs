//! Too few file handles, and too little memory.

use super::asking::Asking;
use super::session::{Ground, Row, Session, Setup, made, pass_ms};
use crate::crash::oracle::{BESIDE, address};
use crate::crash::rig::Around;
use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit};
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Handles that the server may have. It needs some thirty for itself.
const HANDLES: u64 = 64;
/// Connections that are opened beside the load and held.
const CONNECTIONS: usize = 200;
/// What the server may take at most in addition to what it has when the limit comes.
const SPARE: u64 = 2 * 1024 * 1024;
/// Callers at the same time that send large inputs.
const CALLERS: usize = 64;

pub(super) fn handles(ground: &Ground, row: &mut Row) -> Result<()> {
    let mut dice = ground.dice("file-handles");
    let data = made(&ground.folder, "data")?;
    let around = Around { ulimit: Some(format!("-n {HANDLES}")), ..Around::default() };
    let session = Session::start(ground, &Setup { data, clients: 16, lease_ms: None, around, workers: &[] })?;
    let asking = Asking::new(&session.rig.data)?;
    for _ in 0..ground.rounds {
        pass_ms(&mut dice, 200, 500);
        let held = hold(&session.rig.data)?;
        row.count("connections held over a limit of 64 handles", held.len() as u64);
        pass_ms(&mut dice, 500, 2_000);
        drop(held);
        let freed = Instant::now();
        asking.until("GET", "/health/ready", None, |answer| answer.status == 200)?;
        let ms = u64::try_from(freed.elapsed().as_millis()).unwrap_or(u64::MAX);
        row.most("ms at most from the last hang-up to the next answer", ms);
        row.count("times the handles were used up", 1);
    }
    let short = session.rig.log().lines().filter(|line| line.contains("Too many open files")).count();
    row.count("lines in the log that say so", short as u64);
    session.finish(row)
}

/// Connections of which every other one has sent half a request.
fn hold(data: &std::path::Path) -> Result<Vec<TcpStream>> {
    let to = address(data)?;
    let mut held = Vec::new();
    for at in 0..CONNECTIONS {
        // The queue of the listener is full at some point: that is as good.
        let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_millis(20)) else { break };
        if at % 2 == 0 {
            stream.write_all(b"POST /api/v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-le")?;
        }
        held.push(stream);
    }
    Ok(held)
}

pub(super) fn memory(ground: &Ground, row: &mut Row) -> Result<()> {
    let mut dice = ground.dice("memory");
    let data = made(&ground.folder, "data")?;
    let setup = Setup { data, clients: 16, lease_ms: None, around: Around::default(), workers: &[] };
    let mut session = Session::start(ground, &setup)?;
    let asking = Asking::new(&session.rig.data)?;
    for round in 0..ground.rounds {
        pass_ms(&mut dice, 200, 500);
        let pid = i32::try_from(session.running.id()).ok().and_then(Pid::from_raw).context("no id")?;
        let now = data_size(session.running.id())?;
        let (over, refused) = (AtomicBool::new(false), AtomicU64::new(0));
        let usual = rustix::process::prlimit(
            Some(pid),
            Resource::Data,
            Rlimit { current: Some(now + dice.between(0, SPARE)), maximum: None },
        )?;
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (asking, over, refused) = (&asking, &over, &refused);
                scope.spawn(move || {
                    let large = "x".repeat(900_000);
                    for at in 0.. {
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        let key = format!("{BESIDE}large-{round}-{caller}-{at}");
                        let body = json!({ "kind": "mock", "key": key, "input": { "result": large } });
                        if asking.ask("POST", "/api/v1/tasks", Some(&body.to_string())).status != 201 {
                            refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(10));
                        }
                    }
                });
            }
            pass_ms(&mut dice, 1_000, 2_500);
            over.store(true, Ordering::Relaxed);
        });
        row.count("times memory was limited to 0 to 2 MiB more than was taken", 1);
        row.count("large submits without 201", refused.into_inner());
        if let Some(status) = session.running.ended()? {
            row.count(&format!("times the server died of it ({status})"), 1);
            session.start_again(&Around::default())?;
        } else {
            rustix::process::prlimit(Some(pid), Resource::Data, usual)?;
            row.count("times the server lived and went on", 1);
        }
        let task = asking.submit(&json!({ "kind": "mock", "key": format!("{BESIDE}after-{round}") }))?;
        let lifted = Instant::now();
        asking.until("GET", &format!("/api/v1/tasks/{task}"), None, |answer| {
            answer.json()["state"] == "completed"
        })?;
        let ms = u64::try_from(lifted.elapsed().as_millis()).unwrap_or(u64::MAX);
        row.most("ms at most until a task was completed after that", ms);
    }
    session.finish(row)
}

/// Bytes that a process has for data: heap and mappings of its own.
fn data_size(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib: u64 = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmData")?.parse()?;
    Ok(kib * 1024)
}
