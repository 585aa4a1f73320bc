//! SQLite and PostgreSQL behind the ports of the store, and blobs as files.
//!
//! Reads are written once, over `read::Database`; writes once for each engine, because one writes row by row inside of a
//! process and the other set-wise over a network. What both engines hold is laid out in `migrations/`.
//!
//! Invariants: one process has an SQLite file, by a lock; a commit that returned is on the disk; events are append-only, by
//! triggers; a position that was given out is never followed by an event before it. With the feature `faults` SQLite also runs on
//! a simulated disk, in `faults`, the only room with unsafe code.
//!
//! Deliberately absent: rules about tasks, and any SQL outside of this crate.

pub mod blob_files;
mod decode;
mod encode;
#[cfg(feature = "faults")]
pub mod faults;
pub mod migrate;
mod open;
mod postgres;
mod read;
mod record;
mod sqlite;
mod statement;
mod tally;
mod value;

pub use open::{
    Birth, CheckpointOptions, Medium, Opened, PostgresOptions, SqliteOptions, look_sqlite, open_postgres,
    open_sqlite,
};
pub use sqlite::Reserve;
pub use statement::{Engine, statements_never_run};
