//! The engine: everything that happens to a task happens here.
//!
//! [`machine`] holds the rules, pure. [`pipeline`] is the one thread that writes: it loads, decides, links, signs, commits,
//! and only then answers. [`live`] carries what was committed to followers. [`reconcile`] looks at the clock, the leases and
//! the outbox, and sends the pipeline what is due. [`engine::Engine`] is the handle that the rest of the program holds.

pub mod blobs;
pub mod drive;
pub mod engine;
pub mod housekeep;
pub mod live;
pub mod machine;
pub mod pipeline;
pub mod reads;
pub mod reconcile;
mod repeats;
pub mod source;
