//! The SQLite engine: one process, one writer, a few readers, own checkpoints.

mod checkpoint;
mod commit;
mod error;
mod lock;
mod look;
mod medium;
pub(crate) mod migrate;
mod open;
mod reader;
mod remove;
mod reserve;
mod rows;
mod run;
mod settings;
pub(crate) mod sql;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use look::look;
pub(crate) use open::open;
pub use reserve::Reserve;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// What writer, readers and the checkpoint thread hold together: dropped after the last of their connections.
#[derive(Debug)]
struct Shared {
    /// The database.
    path: PathBuf,
    /// What it lies on.
    held: medium::Held,
    /// Whether an fsync failed: then nothing more is written.
    failed: AtomicBool,
}
