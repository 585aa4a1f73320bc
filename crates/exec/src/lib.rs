//! The executors that come with the program.
//!
//! [`mock`] plays scripts, [`http`] makes one request, [`mcp`] calls one tool, [`shell`] runs one command. [`shell::guard`] is the process that holds
//! a command: the program starts itself as one.

pub mod http;
pub mod mcp;
pub mod mock;
mod output;
pub mod shell;

use everloop_types::error::{Code, FieldError, Refusal, TaskError};
use everloop_types::json::Json;
use everloop_types::worker::KindOffer;
use everloop_worker::context::canonical;
use everloop_worker::executor::Stop;
use schemars::JsonSchema;
use serde::Serialize;

/// A kind of this crate, with the schema of its input.
fn offer<T: JsonSchema>(kind: &str) -> KindOffer {
    KindOffer { input_schema: canonical(&schemars::schema_for!(T)).ok(), ..KindOffer::new(kind) }
}

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
        | Stop::LeaseLost
        | Stop::Replayed(_) => TaskError::new(Code::Cancelled, "the attempt is over"),
    }
}

/// An error with more about it. Details that have no canonical form are left out.
fn with_details(code: Code, message: String, details: &impl Serialize) -> TaskError {
    let details = canonical(details).ok().filter(|details| *details != Json::null());
    TaskError { details, ..TaskError::new(code, message) }
}

#[cfg(test)]
mod tests {
    use crate::mock::Mock;
    use everloop_worker::executor::Executor;

    #[test]
    fn a_kind_says_what_its_input_is() {
        let offer = Mock.offer();
        let schema: serde_json::Value = offer.input_schema.unwrap().parse().unwrap();
        let steps = &schema["$defs"]["MockStep"]["properties"];
        assert_eq!(steps["duration_ms"]["description"], "How long it lasts, in milliseconds.", "{schema}");
        let kinds = |branch: &serde_json::Value| branch["type"] == "null";
        assert!(
            schema["anyOf"].as_array().unwrap().iter().any(kinds),
            "no input is an empty script: {schema}"
        );
    }
}
