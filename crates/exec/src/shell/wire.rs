//! What a worker and its guard tell each other: one JSON text a line, over the socket that is the guard's standard input.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What a program that shall be a guard is called with.
pub const GUARD_ARG: &str = "__guard";

/// How long what the guard holds may clean up when the worker is gone.
pub(super) const GRACE_OF_ORPHANS: Duration = Duration::from_secs(5);

/// The first line: what to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The attempt's own folder, which the guard removes at the end.
    pub(crate) folder: PathBuf,
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// Where it runs.
    pub(crate) cwd: PathBuf,
    /// Its whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// What it reads.
    pub(crate) stdin: Stdin,
    /// How long it may clean up when the worker is gone, in milliseconds.
    pub(crate) grace_ms: u64,
}

/// What the command reads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stdin {
    /// Nothing.
    Nothing,
    /// This text.
    Text(String),
    /// What comes by its standard output, which is a socket.
    Stdout,
}

/// What the worker says after that. When the socket closes, it is gone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// End everything within so many milliseconds.
    Stop {
        /// How many.
        grace_ms: u64,
    },
}

/// What the guard says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The command runs.
    Started,
    /// It can't be run.
    NotStarted {
        /// Why, and what to do.
        message: String,
    },
    /// It has ended by itself. What it left behind is ended next, and the socket closes when that is done.
    Exited {
        /// With this code.
        code: i32,
    },
    /// It was ended by a signal.
    Killed {
        /// By this one.
        signal: i32,
    },
}

/// One line.
pub(crate) fn line(message: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}
