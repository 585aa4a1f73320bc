//! A disk without space: a small file system that is filled, killed on and emptied again.

use super::asking::Asking;
use super::session::{Ground, Row, Session, Setup, made, pass_ms};
use crate::crash::oracle::BESIDE;
use crate::crash::rig::Around;
use crate::process::output;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The size of the file system: enough for a run, and quickly filled.
const SIZE: &str = "size=64m";
/// How long a server that was started on a full disk is given to end by itself.
const STARTING: Duration = Duration::from_secs(2);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn disk(ground: &Ground, row: &mut Row) -> Result<()> {
    if !ground.mounts {
        bail!(
            "no small file system can be had: `unshare --mount` is refused, with and without --map-root-user"
        );
    }
    let mut dice = ground.dice("disk-full");
    let mount = made(&ground.folder, "disk")?;
    output(Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&mount))?;
    let ballast = mount.join("ballast");
    let setup = Setup {
        data: mount.join("data"),
        clients: 16,
        lease_ms: None,
        around: Around::default(),
        workers: &[],
    };
    let mut session = Session::start(ground, &setup)?;
    let asking = Asking::new(&setup.data)?;
    for round in 0..ground.rounds {
        pass_ms(&mut dice, 200, 600);
        let task = asking.submit(&json!({
            "kind": "mock", "key": format!("{BESIDE}waits-{round}"), "input": { "wait_for_input": "never" }
        }))?;
        asking.until("GET", &format!("/api/v1/tasks/{task}"), None, |answer| {
            answer.json()["state"] == "waiting"
        })?;
        fill(&ballast)?;
        row.count("times the disk was filled", 1);
        let submit = json!({
            "kind": "mock", "key": format!("{BESIDE}refused-{round}"), "input": { "result": "x".repeat(20_000) }
        });
        asking.until("POST", "/api/v1/tasks", Some(&submit.to_string()), |answer| {
            answer.status == 503 && answer.code() == "storage_full"
        })?;
        row.count("times a submit was then refused as storage_full", 1);
        asking.until("POST", &format!("/api/v1/tasks/{task}/cancel"), Some("{}"), |answer| {
            matches!(answer.status, 200 | 202)
        })?;
        asking.until("GET", &format!("/api/v1/tasks/{task}"), None, |answer| {
            answer.json()["state"] == "cancelled"
        })?;
        row.count("cancels that went through all the same", 1);
        pass_ms(&mut dice, 100, 400);
        if round % 2 == 0 {
            row.count("SIGKILLs while it was full", 1);
            session.kill_and_start(&Around::default())?;
            let ended = awhile(&mut session)?;
            let what = match ended {
                Some(_) => "starts on the full disk that ended with an error",
                None if session.rig.is_ready(&session.running) => "starts on the full disk that were ready",
                None => "starts on the full disk that waited for space",
            };
            row.count(what, 1);
            std::fs::remove_file(&ballast)?;
            if ended.is_some() {
                session.start_again(&Around::default())?;
            } else {
                session.await_ready()?;
            }
        } else {
            std::fs::remove_file(&ballast)?;
        }
        let freed = Instant::now();
        asking.submit(&submit)?;
        let ms = u64::try_from(freed.elapsed().as_millis()).unwrap_or(u64::MAX);
        row.most("ms at most from free space to the next submit", ms);
    }
    session.finish(row)
}

/// Waits for a server that may not be able to start. Gives how it ended.
fn awhile(session: &mut Session) -> Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < STARTING {
        if let Some(status) = session.running.ended()? {
            return Ok(Some(status));
        }
        sleep(LOOK);
    }
    Ok(None)
}

/// Takes all the space there is.
fn fill(ballast: &Path) -> Result<()> {
    let mut file =
        std::fs::File::create(ballast).with_context(|| format!("{} can't be made", ballast.display()))?;
    let mut bytes = vec![0; 64 * 1024];
    while !bytes.is_empty() {
        match file.write_all(&bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => bytes.truncate(bytes.len() / 2),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
