//! A worker claims a task.

use super::{Decision, Draft, View, illegal};
use everloop_types::event::Started;
use everloop_types::id::WorkerId;
use everloop_types::state::State;

/// The next attempt begins.
pub fn decide(view: View<'_>, worker: WorkerId, kind_version: Option<u32>) -> Decision {
    match view.task.state {
        State::Queued => Ok(vec![Draft::by(
            &worker.to_string(),
            Started { attempt: view.task.attempt + 1, kind_version, worker: worker.to_string() },
        )]),
        State::Pending
        | State::Running
        | State::Waiting
        | State::Pausing
        | State::Paused
        | State::Cancelling
        | State::Completed
        | State::Failed
        | State::Cancelled => Err(illegal(view.task, "claimed", "claim another task")),
    }
}
