//! The ledger: what was acknowledged to the oracle and what it saw, on disk before it counts.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// A line of the ledger. `n` is the number of the task in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A submit was answered.
    Submitted { n: u64, task: String, status: u16, state: String, seq: u64 },
    /// Something that was wanted of a task was answered.
    Acted { n: u64, task: String, act: Act, status: u16, state: String, seq: u64 },
    /// The server said that the task has ended.
    Ended { n: u64, task: String, state: String, seq: u64 },
    /// A follower was sent an event.
    Saw { task: String, seq: u64, hash: String, kind: String },
    /// A follower was told something about its stream in place of an event.
    Noticed { task: String, notice: String },
    /// A follower was told that nothing follows.
    Followed { task: String },
    /// A step of kind `http` acted.
    Effect { n: u64, key: String, at: i64 },
    /// A request was answered in a way that nothing explains.
    Refused { request: String, status: u16, answer: String },
    /// The server was killed.
    Killed { at: i64 },
    /// PostgreSQL was killed.
    DatabaseKilled { at: i64 },
    /// The server is started again.
    Started { at: i64 },
    /// It answers again.
    Ready { at: i64 },
}

/// What is wanted of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    Input,
    Pause,
    Resume,
    Cancel,
}

impl Act {
    /// The last word of its path.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }
}

/// Lines, and whom to tell when they are on disk.
type Lines = (String, SyncSender<()>);

/// Writes lines from many threads, with one sync for all that have come meanwhile.
#[derive(Clone)]
pub(crate) struct Ledger {
    writer: Sender<Lines>,
}

impl Ledger {
    /// Makes the file. Its thread ends with the process, or when every copy of the ledger is gone.
    pub(crate) fn make(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{} can't be made", path.display()))?;
        let (writer, lines) = channel();
        // An error ends it, and every entry after that is refused.
        std::thread::spawn(move || write(file, &lines));
        Ok(Self { writer })
    }

    /// Returns when the entries are on disk.
    pub(crate) fn record(&self, entries: &[Entry]) -> Result<()> {
        let mut text = String::new();
        for entry in entries {
            text.push_str(&serde_json::to_string(entry)?);
            text.push('\n');
        }
        let (told, done) = sync_channel(1);
        self.writer.send((text, told)).ok().context("the ledger is closed")?;
        done.recv().context("the ledger could not be written")
    }
}

fn write(mut file: File, lines: &Receiver<Lines>) -> Result<()> {
    while let Ok((mut text, told)) = lines.recv() {
        let mut waiting = vec![told];
        while let Ok((more, told)) = lines.try_recv() {
            text.push_str(&more);
            waiting.push(told);
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        for told in waiting {
            // Who has ended meanwhile need not know.
            let _ = told.send(());
        }
    }
    Ok(())
}

/// Reads a ledger back.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::make(&path).unwrap();
        let entries = [Entry::Killed { at: 5 }, Entry::Followed { task: "task_1".to_owned() }];
        ledger.record(&entries[..1]).unwrap();
        assert_eq!(read(&path).unwrap(), &entries[..1]);
        ledger.record(&entries[1..]).unwrap();
        assert_eq!(read(&path).unwrap(), entries);
    }
}
