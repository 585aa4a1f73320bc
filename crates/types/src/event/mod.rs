//! Events: the envelope that is hashed and the bodies that it carries.
//!
//! Bodies are structs whose fields stand in the order of their names, so that serialising one gives canonical JSON: a test
//! in `journal` holds every body to that. A new field of a body is optional; any other change is a new `body_v`, and
//! [`EventBody::read`] upcasts the old ones.

#[macro_use]
mod table;

mod bodies;
mod envelope;
mod filter;
mod patch;

pub use bodies::*;
pub use envelope::{ENVELOPE_VERSION, Event, Hash, Head, Payload, SYSTEM, Salt, is_terminal};
pub use filter::{ALIASES, TypeFilter};
pub use patch::TaskPatch;
