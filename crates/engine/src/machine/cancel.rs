//! Somebody wants a task to end.

use super::{Decision, Draft, View, cancelled, illegal};
use everloop_types::event::Cancelling;
use everloop_types::state::State;

/// A task without a worker ends at once; a running one is told to give up.
pub fn decide(view: View<'_>, actor: &str, reason: Option<String>) -> Decision {
    match view.task.state {
        State::Pending | State::Queued | State::Waiting | State::Paused => {
            Ok(vec![Draft::by(actor, cancelled(view.task, reason))])
        }
        State::Running | State::Pausing => Ok(vec![Draft::by(actor, Cancelling { reason })]),
        // It is on its way, or there.
        State::Cancelling | State::Cancelled => Ok(Vec::new()),
        State::Completed | State::Failed => {
            Err(illegal(view.task, "cancelled", "the task has ended: nothing is left to cancel"))
        }
    }
}
