//! Somebody wants a task to stand still.

use super::{Decision, Draft, View, illegal};
use everloop_types::event::{Paused, Pausing};
use everloop_types::state::State;
use everloop_types::task::PauseReason;

/// A running task stops at its next step; one without a worker stops at once.
pub fn decide(view: View<'_>, actor: &str, reason: Option<String>) -> Decision {
    match view.task.state {
        State::Running => Ok(vec![Draft::by(actor, Pausing { reason })]),
        State::Pending | State::Queued | State::Waiting => {
            let reason = reason.unwrap_or_else(|| PauseReason::REQUESTED.to_owned());
            Ok(vec![Draft::by(actor, Paused { details: None, reason })])
        }
        // It is on its way already.
        State::Pausing | State::Paused => Ok(Vec::new()),
        State::Cancelling | State::Completed | State::Failed | State::Cancelled => Err(illegal(
            view.task,
            "paused",
            "only a task that is live and not being cancelled can be paused",
        )),
    }
}
