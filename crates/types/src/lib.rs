//! What Everloop talks about: ids, records, the state machine of a task, the events of its stream, error codes and limits.
//!
//! Everything here is plain data and pure functions. There is no I/O, no clock and no randomness: whoever needs the time or
//! a new id passes a [`time::Clock`] or a [`id::IdGenerator`]. Nothing here hashes; that is `journal`'s.

pub mod blob;
pub mod error;
pub mod event;
pub mod id;
pub mod json;
pub mod lease;
pub mod limits;
pub mod names;
pub mod profile;
pub mod random;
pub mod receipt;
pub mod retry;
pub mod state;
pub mod step;
pub mod stream;
pub mod task;
pub mod time;
pub mod wait;
pub mod worker;
