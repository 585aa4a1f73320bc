//! Every use-case, once: authorise, validate, make idempotent, ask the engine, answer.
//!
//! Every face of the server calls [`Control`] and nothing below it, so that all of them agree. What control gives back are
//! records of `types` and the small structs beside its functions; each face puts them into its own shape.
//!
//! Deliberately absent: HTTP, and any rule about what may happen to a task. Those are `server`'s and `engine`'s.

pub mod acts;
pub mod archive;
pub mod blobs;
pub mod bulk;
pub mod caller;
mod check;
mod cursor;
pub mod door;
pub mod follow;
pub mod forks;
pub mod history;
pub mod inbox;
pub mod kinds;
pub mod lists;
pub mod proof;
mod schema;
pub mod status;
pub mod submit;
pub mod tasks;
#[cfg(feature = "testing")]
pub mod testing;
pub mod work;
pub mod workers;

pub use caller::{Caller, Rights};
pub use control::{Control, Mode, Options, Parts};
pub use everloop_store::port::{Order, TaskFilter};

mod control;

/// Appends the JSON form of an event, byte for byte what was hashed.
pub fn write_event(out: &mut String, event: &everloop_types::event::Event) {
    everloop_journal::chain::write_json(out, event);
}
