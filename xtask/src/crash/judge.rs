//! The oracle as a process of its own, seen from whoever does something to the server.

use super::ORACLE;
use super::oracle::{Orders, Report, Violation};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The oracle's process. Dropping it closes its input, at which it ends.
pub(crate) struct Judge {
    process: Child,
    out: BufReader<ChildStdout>,
}

impl Judge {
    pub(crate) fn start(orders: &Orders) -> Result<Self> {
        let own = std::env::current_exe().context("the path of this program is unknown")?;
        let mut process = Command::new(own)
            .args([ORACLE, &serde_json::to_string(orders)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the oracle could not be started")?;
        let out = process.stdout.take().context("the oracle can't be heard")?;
        Ok(Self { process, out: BufReader::new(out) })
    }

    pub(crate) fn tell(&mut self, word: &str, at: i64) -> Result<()> {
        let input = self.process.stdin.as_mut().context("the oracle can't hear")?;
        writeln!(input, "{word} {at}").context("the oracle has ended before its time")
    }

    /// Waits for its judgement.
    pub(crate) fn finish(mut self) -> Result<Report> {
        self.tell("finish", now())?;
        let mut last = String::new();
        for line in self.out.by_ref().lines() {
            last = line?;
        }
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the oracle ended with {status}");
        }
        serde_json::from_str(&last).with_context(|| format!("the oracle's last line is no report: {last}"))
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // Both fail only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What was found beside the oracle.
pub(crate) fn violation(name: &str, what: String) -> Violation {
    Violation { name: name.to_owned(), what }
}

/// Microseconds since the epoch, as in the events.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
