//! The judgement: a pure function of the plan, the ledger and what the server shows in the end.
//!
//! A violation has a name that says which promise was broken. Each check is its own file; all of them see the same cases.

mod acknowledged;
mod effects;
mod followers;
mod histories;
mod steps;
mod still;
#[cfg(test)]
mod tests;

use super::client::View;
use super::evidence::Evidence;
use super::ledger::Entry;
use crate::crash::plan::{Plan, Scripted};
use everloop_types::event::{Event, EventBody};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Violation {
    /// Which one.
    pub(crate) name: String,
    /// How.
    pub(crate) what: String,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Acknowledged tasks.
    pub(crate) tasks: u64,
    /// Tasks by how they ended.
    pub(crate) states: BTreeMap<String, u64>,
    /// Answers on which the oracle relies.
    pub(crate) acknowledgements: u64,
    /// Events of the tasks.
    pub(crate) events: u64,
    /// Steps whose outcome was recorded.
    pub(crate) steps: u64,
    /// Effects outside, and those among them that came again because the first was in doubt.
    pub(crate) effects: u64,
    pub(crate) effects_in_doubt: u64,
    /// Attempts that were lost.
    pub(crate) lost_attempts: u64,
    /// Tasks that failed because too many attempts in a row were lost.
    pub(crate) poisoned: u64,
    /// Followers that read a stream to its end.
    pub(crate) followers: u64,
    /// Events that followers were sent.
    pub(crate) followed: u64,
    /// Tasks that a kill cut off and a restart took up again.
    pub(crate) taken_up: u64,
    /// From the start of the server's process until such a task went on, in milliseconds: the middle and the longest.
    pub(crate) still_ms: (u64, u64),
}

/// What the checks find.
#[derive(Debug, Default)]
struct Findings {
    violations: Vec<Violation>,
    figures: Figures,
}

impl Findings {
    fn violation(&mut self, name: &str, what: impl Into<String>) {
        self.violations.push(Violation { name: name.to_owned(), what: what.into() });
    }
}

/// A task that the server shows, with everything that is known about it.
struct Case<'a> {
    script: Scripted,
    view: &'a View,
    events: Vec<Event>,
    bodies: Vec<EventBody>,
}

impl Case<'_> {
    /// How it is called in a finding.
    fn name(&self) -> String {
        format!("{} ({})", self.view.id, self.script.key)
    }

    fn last_seq(&self) -> u64 {
        self.events.last().map_or(0, |event| event.seq)
    }

    fn has_ended(&self) -> bool {
        self.events.last().is_some_and(Event::is_terminal)
    }
}

/// Holds everything against everything.
pub(crate) fn check(
    plan: Plan,
    entries: &[Entry],
    evidence: &Evidence,
    stand_still_ms: u64,
) -> (Figures, Vec<Violation>) {
    let mut findings = Findings::default();
    let cases = histories::check(plan, evidence, &mut findings);
    acknowledged::check(plan, entries, evidence, &cases, &mut findings);
    for case in cases.values() {
        steps::check(case, &mut findings);
    }
    effects::check(entries, &cases, &mut findings);
    followers::check(entries, &cases, &mut findings);
    still::check(entries, &cases, stand_still_ms, &mut findings);
    (findings.figures, findings.violations)
}
