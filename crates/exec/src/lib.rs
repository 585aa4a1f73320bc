//! The executors that come with the program.

pub mod mock;
