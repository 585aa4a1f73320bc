//! `everloop task`: starting, looking at and steering tasks.

pub(crate) mod follow;
mod look;
mod start;
mod steer;

use super::args::TaskCommand;
use super::ground::{Ground, block_on};
use crate::failure::{Exit, Failure, Outcome};
use everloop_types::json::Json;
use everloop_types::state::State;

pub(crate) fn run(ground: &Ground, command: TaskCommand) -> Outcome {
    block_on(async {
        match command {
            // Whatever can be wrong without a server is said without one.
            TaskCommand::Start(args) => {
                let request = start::request(&args)?;
                start::run(ground, &ground.client()?, &args, &request).await
            }
            TaskCommand::List(args) => {
                let query = look::query(&args)?;
                look::list(ground, &ground.client()?, query, args.limit).await
            }
            TaskCommand::Get(args) => look::get(ground, &ground.client()?, &args).await,
            TaskCommand::Follow(args) => follow::run(ground, &ground.client()?, &args).await,
            TaskCommand::Logs(args) => follow::logs(ground, &ground.client()?, &args).await,
            TaskCommand::Cancel(args) => steer::cancel(ground, &ground.client()?, args).await,
            TaskCommand::Pause(args) => steer::pause(ground, &ground.client()?, args).await,
            TaskCommand::Resume(args) => steer::resume(ground, &ground.client()?, &args).await,
            TaskCommand::Fork(args) => steer::fork(ground, args).await,
            TaskCommand::Input(args) => steer::input(ground, args).await,
            TaskCommand::Decide(args) => steer::decide(ground, args).await,
            TaskCommand::Output(args) => look::output(ground, &ground.client()?, &args).await,
            TaskCommand::Export(args) => look::export(ground, &ground.client()?, &args).await,
            TaskCommand::Receipt(args) => look::receipt(ground, &ground.client()?, &args).await,
        }
    })
}

/// JSON as it was typed, in canonical form.
pub(crate) fn json(text: &str, place: &str) -> Result<Json, Failure> {
    everloop_journal::canonical::canonicalize(text.as_bytes()).map_err(|error| {
        let hint = if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
            "put texts into double quotes and the whole into single ones: '{\"name\": \"value\"}'"
        } else {
            "change the value there, or send it as a text"
        };
        Failure::usage(format!("{place} is not JSON that can be stored")).cause(error).hint(hint)
    })
}

/// What a command exits with when its task has ended like this.
pub(crate) fn exit_of(state: State) -> Exit {
    match state {
        State::Failed | State::Cancelled => Exit::TaskFailed,
        State::Pending
        | State::Queued
        | State::Running
        | State::Waiting
        | State::Pausing
        | State::Paused
        | State::Cancelling
        | State::Completed => Exit::Done,
    }
}
