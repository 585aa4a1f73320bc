//! A disk in memory, for tests and the simulation, on which the real SQLite runs: it loses what was not synced, and fails as
//! disks fail.
//!
//! What SQLite and the store rely on, and what the disk grants, is no more than this:
//! - A sector of 512 bytes is written whole or not at all, and the bytes of it that were not written stay (SQLite calls this
//!   "powersafe overwrite", and takes it for granted on Linux). Of a write of many sectors any may arrive.
//! - Without a sync nothing is promised: of the changes since the last one any may have arrived, in any order; the size of a
//!   file may arrive without its bytes.
//! - A file that was made or removed may be so or not until the folder is synced. Syncing the database file does not sync the
//!   folder; the first sync of a log or a journal does, because SQLite on Linux does so, and so does a removal if SQLite asks
//!   for it.
//! - After a sync that failed the system takes for clean what did not arrive, as Linux does. Reads still see it.
//!
//! SQLite draws salts for its log from a generator of the whole process, so the bytes in a log differ between two runs with one
//! seed. Nothing hangs on them: what is done to the disk, and what becomes of it, is the same
//! ([`Counts::trace`](plan::Counts::trace)).

mod content;
mod disk;
mod locks;
mod plan;
mod state;
mod vfs;

pub use disk::Disk;
pub use plan::{Counts, Fault, Kind, Plan, When};
