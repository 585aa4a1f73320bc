//! Followers: each reads the stream of a task to its end, over as many connections as it takes.

use super::door::Door;
use super::ledger::Entry;
use super::sse::{Block, Blocks};
use crate::crash::dice::Dice;
use crate::crash::plan::{Following, STEP_TYPES};
use anyhow::Result;
use serde::Deserialize;
use std::sync::atomic::Ordering;

/// What a follower needs of an event.
#[derive(Deserialize)]
struct Event {
    seq: u64,
    hash: String,
    r#type: String,
}

/// Follows until the server says that nothing follows, or refuses. Now and then it hangs up by itself.
pub(crate) fn run(door: &Door, task: &str, following: Following, n: u64) -> Result<()> {
    let mut path = format!("/api/v1/tasks/{task}/events");
    if following == Following::Steps {
        path.push_str(&format!("?types={STEP_TYPES}"));
    }
    let mut dice = Dice::new(n, "hang up", 0);
    let mut last = String::new();
    while !door.gave_up.load(Ordering::Relaxed) {
        let hang_up = if dice.one_in(3) { dice.between(1, 6) } else { u64::MAX };
        match connection(door, task, &path, &mut last, hang_up)? {
            Ended::Between => door.reconnects.fetch_add(1, Ordering::Relaxed),
            Ended::Stream => return door.record(&[Entry::Followed { task: task.to_owned() }]),
            Ended::Refused => return Ok(()),
        };
    }
    Ok(())
}

/// How a connection ended.
enum Ended {
    /// There may be more.
    Between,
    /// Nothing follows.
    Stream,
    /// In a way that nothing explains; it is in the ledger.
    Refused,
}

/// One connection, from the last position on and for so many blocks at most.
fn connection(door: &Door, task: &str, path: &str, last: &mut String, hang_up: u64) -> Result<Ended> {
    let from = Some(last.as_str()).filter(|last| !last.is_empty());
    let Ok(mut answering) = door.open(path, "text/event-stream", from) else {
        door.pause_before_retry();
        return Ok(Ended::Between);
    };
    match answering.status {
        200 => {}
        204 => return Ok(Ended::Stream),
        503 => {
            door.pause_before_retry();
            return Ok(Ended::Between);
        }
        status => {
            let answer = answering.text().unwrap_or_default();
            let request = format!("follow {path}");
            door.record(&[Entry::Refused { request, status, answer }])?;
            return Ok(Ended::Refused);
        }
    }
    let mut blocks = Blocks::default();
    let mut buffer = [0; 16 * 1024];
    let mut seen = 0;
    loop {
        let read = match answering.some(&mut buffer) {
            // The end of a stream is said with 204, so that an end by accident can't be taken for it.
            Ok(0) | Err(_) => return Ok(Ended::Between),
            Ok(read) => read,
        };
        let found = blocks.take(&buffer[..read]);
        seen += found.len() as u64;
        let entries: Vec<Entry> = found.iter().filter_map(|block| entry(task, block)).collect();
        if !entries.is_empty() {
            door.record(&entries)?;
        }
        if let Some(id) = found.into_iter().rev().find_map(|block| block.id) {
            *last = id;
        }
        if seen >= hang_up || door.gave_up.load(Ordering::Relaxed) {
            return Ok(Ended::Between);
        }
    }
}

/// What a block says; nothing where it only moves the position.
fn entry(task: &str, block: &Block) -> Option<Entry> {
    let data = block.data.as_ref()?;
    let task = task.to_owned();
    Some(match serde_json::from_str::<Event>(data) {
        Ok(event) => Entry::Saw { task, seq: event.seq, hash: event.hash, kind: event.r#type },
        Err(_) => {
            Entry::Noticed { task, notice: format!("{}: {data}", block.event.as_deref().unwrap_or("?")) }
        }
    })
}
