//! What a worker is, wherever it runs.
//!
//! An [`executor::Executor`] does the work of one kind of task. A [`source::WorkSource`] hands out tasks and takes their
//! events: the engine is one in process, the client is one over HTTP. [`run::Worker`] is the loop between the two, and
//! [`context::Context`] is what an executor sees of it: the input, the journal of steps, logs, progress, waits.
//!
//! The rule that everything here serves: a step that was recorded is not run again, and no step begins before the outcomes
//! of those before it are durable.

mod activity;
mod attempt;
mod blob;
pub mod branches;
pub mod child;
mod cleanup;
pub mod context;
pub mod executor;
mod hold;
pub mod journal;
pub mod outbox;
pub mod race;
mod replay;
pub mod run;
pub mod source;
pub mod step;
mod tell;
mod value;
pub mod wait;

/// The example of the page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/executors.md")]
struct ExecutorsPage;
