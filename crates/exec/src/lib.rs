//! The executors that come with the program.
//!
//! [`mock`] plays scripts, [`http`] makes one request, [`shell`] runs one command. [`shell::guard`] is the process that holds
//! a command: the program starts itself as one.

pub mod http;
pub mod mock;
mod output;
pub mod shell;

use everloop_types::error::{Code, FieldError, Refusal, TaskError};
use everloop_types::json::Json;
use everloop_worker::context::canonical;
use everloop_worker::executor::Stop;
use serde::Serialize;

/// A list of wrong fields, each with what would be right.
type Wrong = Vec<(String, String)>;

/// The refusal of an input with these fields.
fn refusal(wrong: Wrong) -> Refusal {
    Refusal::fields(wrong.into_iter().map(|(field, message)| FieldError { field, message }).collect())
}

/// The error of a step that could not write, or was told to stop.
fn step_error(stop: Stop) -> TaskError {
    match stop {
        Stop::Failed(error) => error,
        Stop::Waiting(_)
        | Stop::Paused(_)
        | Stop::Cancelled
        | Stop::ContinueAs(_)
        | Stop::HandedBack
        | Stop::LeaseLost => TaskError::new(Code::Cancelled, "the attempt is over"),
    }
}

/// An error with more about it. Details that have no canonical form are left out.
fn with_details(code: Code, message: String, details: &impl Serialize) -> TaskError {
    let details = canonical(details).ok().filter(|details| *details != Json::null());
    TaskError { details, ..TaskError::new(code, message) }
}
