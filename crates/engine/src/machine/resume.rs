//! Somebody wants a task to go on.

use super::{Decision, Draft, View, begins_at, holds, illegal};
use everloop_types::event::Resumed;
use everloop_types::state::State;

/// A paused task goes to the state that it would be in by now: its timers ran on.
pub fn decide(view: View<'_>, actor: &str) -> Decision {
    let task = view.task;
    let state = match task.state {
        State::Pausing => State::Running,
        State::Paused => {
            let waits = task
                .waiting_for
                .as_ref()
                .is_some_and(|wait| wait.satisfied(&|leaf| holds(task, leaf, view.now)).is_none());
            let later = begins_at(task).is_some_and(|at| at > view.now);
            if waits {
                State::Waiting
            } else if later || !view.relations.prerequisites.is_empty() {
                State::Pending
            } else {
                State::Queued
            }
        }
        State::Pending
        | State::Queued
        | State::Running
        | State::Waiting
        | State::Cancelling
        | State::Completed
        | State::Failed
        | State::Cancelled => return Err(illegal(task, "resumed", "only a paused task can be resumed")),
    };
    Ok(vec![Draft::by(actor, Resumed { state })])
}
