//! The in-memory engine, held by the suite.

#![expect(clippy::unwrap_used, reason = "this is test code")]

mod memory;
