//! A time has come.

use super::{Decision, Draft, View, begins_at, failed, wake};
use everloop_types::error::{Code, TaskError};
use everloop_types::event::Ready;
use everloop_types::state::State;
use everloop_types::wait::Cause;

/// Looks at the record and does what is due: it may be nothing, because the timer that asked was an old one, or the clock
/// went back.
pub fn decide(view: View<'_>) -> Decision {
    let (task, now) = (view.task, view.now);
    if task.state.is_terminal() {
        return Ok(Vec::new());
    }
    if let Some(deadline) = task.spec.policy.deadline.filter(|deadline| *deadline <= now) {
        let message = format!("the task had not ended by {deadline}");
        return Ok(vec![Draft::system(failed(task, TaskError::new(Code::Deadline, message)))]);
    }
    Ok(match task.state {
        State::Pending => released(view).into_iter().collect(),
        State::Waiting => {
            task.waiting_for.as_ref().and_then(|wait| wake(task, wait, now)).into_iter().collect()
        }
        State::Queued
        | State::Running
        | State::Pausing
        | State::Paused
        | State::Cancelling
        | State::Completed
        | State::Failed
        | State::Cancelled => Vec::new(),
    })
}

/// The event that puts a pending task into its queue, if nothing holds it back any more.
pub(super) fn released(view: View<'_>) -> Option<Draft> {
    let task = view.task;
    if begins_at(task).is_some_and(|at| at > view.now) || !view.relations.prerequisites.is_empty() {
        return None;
    }
    let cause = if task.retry_at.is_some() {
        Cause::Retry
    } else if task.spec.depends_on.is_empty() {
        Cause::Time
    } else {
        Cause::Dependency
    };
    Some(Draft::system(Ready { cause, id: None }))
}
