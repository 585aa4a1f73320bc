//! A wall clock that jumps, by libfaketime. The monotonic clock goes on as it does on a machine whose time is set.

use super::asking::Asking;
use super::session::{Ground, Row, Session, Setup, made, pass_ms};
use crate::crash::judge::now;
use crate::crash::oracle::BESIDE;
use crate::crash::rig::Around;
use crate::process::{on_path, output, succeed};
use anyhow::{Context, Result, bail};
use everloop_types::time::Timestamp;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How far the clock is set, in seconds, one after the other.
const OFFSETS: &[i64] = &[3_600, 0, -3_600, 0];

pub(super) fn jumps(ground: &Ground, row: &mut Row) -> Result<()> {
    let library = library()?;
    let mut dice = ground.dice("clock");
    let data = made(&ground.folder, "data")?;
    let file = ground.folder.join("clock");
    set(&file, 0)?;
    let around = Around {
        env: vec![
            ("LD_PRELOAD", library.into()),
            ("FAKETIME_TIMESTAMP_FILE", file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_DONT_RESET", "1".into()),
        ],
        ..Around::default()
    };
    let session =
        Session::start(ground, &Setup { data, clients: 16, lease_ms: Some(1_000), around, workers: &[] })?;
    let asking = Asking::new(&session.rig.data)?;
    for round in 0..ground.rounds {
        for (at, offset) in OFFSETS.iter().enumerate() {
            pass_ms(&mut dice, 300, 1_200);
            set(&file, *offset)?;
            row.count("jumps of the wall clock by an hour", 1);
            let before = now();
            let key = format!("{BESIDE}clock-{round}-{at}");
            let task = asking.submit(&json!({ "kind": "mock", "key": key }))?;
            let answer = asking.until("GET", &format!("/api/v1/tasks/{task}"), None, |answer| {
                answer.json()["state"] == "completed"
            })?;
            let text = answer.json()["created_at"].as_str().unwrap_or_default().to_owned();
            let shown = Timestamp::parse(&text).with_context(|| format!("{text:?} is no time"))?;
            let off = (shown.as_micros() - before) / 1_000_000 - offset;
            if off.abs() > 60 {
                row.violation("clock-kept", format!("{task} says {text}, {off} s beside the clock"));
            }
        }
    }
    // A retry that was set while the clock was ahead is due by the clock: it comes when the clock is there again.
    set(&file, 3_600)?;
    pass_ms(&mut dice, 200, 400);
    session.finish(row)
}

/// In one go, so that nobody reads half of it.
fn set(file: &Path, seconds: i64) -> Result<()> {
    let next = file.with_extension("next");
    std::fs::write(&next, format!("{seconds:+}\n"))?;
    std::fs::rename(&next, file)?;
    Ok(())
}

/// Where the library is; installs it where that can be done without asking.
fn library() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if on_path("apt-get").is_some() && output(Command::new("id").arg("-u"))? == "0" {
        succeed(Command::new("apt-get").args(["install", "-y", "-qq", "faketime"]))?;
    }
    match find() {
        Some(found) => Ok(found),
        None => bail!("libfaketime is missing: install the package `faketime`"),
    }
}

fn find() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let own = [PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")];
    folders
        .chain(own)
        .map(|folder| folder.join("faketime").join("libfaketimeMT.so.1"))
        .find(|file| file.is_file())
}
