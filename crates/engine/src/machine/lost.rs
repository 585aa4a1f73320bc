//! An attempt is over without an end.

use super::{Decision, Draft, View, cancelled, failed};
use everloop_types::error::{Code, TaskError};
use everloop_types::event::{LeaseLost, LostReason};
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::state::State;

/// Nothing happens if the lease is another one by now: a late word about an old attempt changes nothing.
pub fn decide(view: View<'_>, token: LeaseToken, reason: LostReason) -> Decision {
    let task = view.task;
    if view.lease.is_none_or(|lease| lease.token != token) {
        return Ok(Vec::new());
    }
    let lost = Draft::system(LeaseLost { attempt: token.attempt, reason });
    let in_a_row = task.lost + u32::from(reason == LostReason::Expired);
    Ok(match task.state {
        State::Running if in_a_row >= limits::LOST_ATTEMPTS => {
            let message = format!("{in_a_row} attempts in a row were lost without a newly recorded step");
            vec![lost, Draft::system(failed(task, TaskError::new(Code::Poisoned, message)))]
        }
        State::Running | State::Pausing => vec![lost],
        State::Cancelling => vec![Draft::system(cancelled(task, Some("its attempt was lost".to_owned())))],
        State::Pending
        | State::Queued
        | State::Waiting
        | State::Paused
        | State::Completed
        | State::Failed
        | State::Cancelled => Vec::new(),
    })
}
