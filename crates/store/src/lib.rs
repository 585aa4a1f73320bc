//! What the engine asks of a database, and the engine in memory.
//!
//! A store has one writer, [`port::WriteStore`]: it loads the working set of a batch of commands and commits the write set
//! that the rules made of it, in one transaction. And it has readers, [`port::ReadStore`], the sum of narrow ports. All of
//! them are synchronous: the writer lives on a thread of its own, readers are called where blocking is allowed, and a
//! simulation calls both in line.
//!
//! Deliberately absent: rules. A store never decides what happens to a task; it compares heads and keeps rows.

pub mod error;
mod hex;
pub mod memory;
pub mod port;
pub mod rows;
#[cfg(feature = "suite")]
pub mod suite;
mod validate;
pub mod work;
