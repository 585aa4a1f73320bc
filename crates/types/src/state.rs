//! The states of a task and the one table of its transitions.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a time or for other tasks before it can be claimed.
    Pending,
    /// Can be claimed.
    Queued,
    /// A worker has it.
    Running,
    /// Waits for a timer, child, input or decision, and holds no worker.
    Waiting,
    /// A worker has it and was asked to stop at the next step.
    Pausing,
    /// Stands still until resumed.
    Paused,
    /// A worker has it and was asked to give up.
    Cancelling,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because somebody wanted it.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Pausing,
        Self::Paused,
        Self::Cancelling,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its snake_case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the task has ended: such a state never changes.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Pending
            | Self::Queued
            | Self::Running
            | Self::Waiting
            | Self::Pausing
            | Self::Paused
            | Self::Cancelling => false,
        }
    }

    /// Whether a worker holds a lease on the task.
    pub fn is_leased(self) -> bool {
        match self {
            Self::Running | Self::Pausing | Self::Cancelling => true,
            Self::Pending
            | Self::Queued
            | Self::Waiting
            | Self::Paused
            | Self::Completed
            | Self::Failed
            | Self::Cancelled => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// One row of the table: in `from`, an event of this type may lead to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before; none before `task.submitted`.
    pub from: Option<State>,
    /// The type of the event that is the transition.
    pub event: &'static str,
    /// The state after.
    pub to: State,
}

macro_rules! transitions {
    ($($from:ident: $($event:literal => $($to:ident)|+),+;)*) => {
        &[$($($(Transition { from: transitions!(@from $from), event: $event, to: State::$to },)+)+)*]
    };
    (@from Nothing) => { None };
    (@from $state:ident) => { Some(State::$state) };
}

/// Every transition of a task. What is not here is `409 illegal_transition`.
///
/// Where an event has several targets the record decides: `task.submitted` by `not_before` and `depends_on`,
/// `task.resumed` by what the task would wait for.
pub const TRANSITIONS: &[Transition] = transitions! {
    Nothing: "task.submitted" => Queued | Pending;
    Pending: "task.ready" => Queued, "task.paused" => Paused, "task.cancelled" => Cancelled, "task.failed" => Failed;
    Queued: "task.started" => Running, "task.paused" => Paused, "task.cancelled" => Cancelled, "task.failed" => Failed;
    Running: "task.completed" => Completed, "task.failed" => Failed, "task.waiting" => Waiting,
        "task.retry_scheduled" => Pending, "task.lease_lost" => Queued, "task.pausing" => Pausing,
        "task.cancelling" => Cancelling, "task.paused" => Paused;
    Waiting: "task.ready" => Queued, "task.paused" => Paused, "task.cancelled" => Cancelled, "task.failed" => Failed;
    Pausing: "task.resumed" => Running, "task.cancelling" => Cancelling, "task.completed" => Completed,
        "task.failed" => Failed, "task.paused" => Paused, "task.waiting" => Paused, "task.retry_scheduled" => Paused,
        "task.lease_lost" => Paused;
    Paused: "task.resumed" => Queued | Pending | Waiting, "task.cancelled" => Cancelled, "task.failed" => Failed;
    Cancelling: "task.cancelled" => Cancelled, "task.completed" => Completed, "task.failed" => Failed;
};

/// The states that an event of this type can lead to, none if it is not allowed in this state. Events that are no
/// transition at all are not asked about here.
pub fn targets(from: Option<State>, event: &str) -> impl Iterator<Item = State> {
    TRANSITIONS.iter().filter(move |row| row.from == from && row.event == event).map(|row| row.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn terminal_states_have_no_way_out_and_all_others_have_one_to_every_end_that_the_design_names() {
        for state in State::ALL {
            let out = TRANSITIONS.iter().filter(|row| row.from == Some(state)).count();
            assert_eq!(out == 0, state.is_terminal(), "{state}");
        }
        for from in [State::Pending, State::Queued, State::Waiting, State::Paused] {
            assert_eq!(targets(Some(from), "task.cancelled").collect::<Vec<_>>(), [State::Cancelled]);
            assert_eq!(targets(Some(from), "task.failed").collect::<Vec<_>>(), [State::Failed]);
        }
    }

    #[test]
    fn every_state_is_reached_and_no_row_stands_twice() {
        let mut reached = HashSet::new();
        for (i, row) in TRANSITIONS.iter().enumerate() {
            reached.insert(row.to);
            assert!(!TRANSITIONS[..i].contains(row), "{row:?}");
        }
        assert_eq!(reached.len(), State::ALL.len());
    }

    #[test]
    fn a_lease_begins_and_ends_only_by_events_that_say_so() {
        let ends = [
            "task.completed",
            "task.failed",
            "task.waiting",
            "task.retry_scheduled",
            "task.lease_lost",
            "task.paused",
            "task.cancelled",
        ];
        for row in TRANSITIONS {
            let before = row.from.is_some_and(State::is_leased);
            match (before, row.to.is_leased()) {
                (false, true) => assert_eq!(row.event, "task.started"),
                (true, false) => assert!(ends.contains(&row.event), "{row:?}"),
                (true, true) | (false, false) => {}
            }
        }
    }
}
