//! A task that a kill cuts off goes on soon after the restart.

use super::{Case, Findings};
use crate::crash::oracle::ledger::Entry;
use everloop_types::event::EventBody;
use std::collections::BTreeMap;

/// A kill and the start after it, in microseconds.
struct Restart {
    killed: i64,
    started: i64,
    ready: i64,
    /// When it was killed again.
    until: i64,
}

pub(super) fn check(
    entries: &[Entry],
    cases: &BTreeMap<&str, Case<'_>>,
    stand_still_ms: u64,
    findings: &mut Findings,
) {
    let mut still = Vec::new();
    for restart in restarts(entries) {
        for case in cases.values().filter(|case| was_running(case, restart.killed)) {
            let at = match next(case, restart.killed) {
                Some((at, true)) if at <= restart.until => Some(at),
                // Somebody paused or cancelled it before it went on, or the kill was one too many for it.
                Some((at, false)) if at <= restart.until => continue,
                // It was cut again: the next start is judged.
                Some(_) | None => None,
            };
            let since = |from: i64| {
                u64::try_from(at.unwrap_or(restart.until).saturating_sub(from) / 1000).unwrap_or(0)
            };
            if at.is_some() {
                still.push(since(restart.started));
            }
            let ms = since(restart.ready);
            if ms > stand_still_ms {
                let what = format!("{} stood still for {ms} ms after a restart", case.name());
                findings.violation("stood-still", what);
            }
        }
    }
    still.sort_unstable();
    findings.figures.taken_up = still.len() as u64;
    findings.figures.still_ms =
        (still.get(still.len() / 2).copied().unwrap_or(0), still.last().copied().unwrap_or(0));
}

/// Kills of the server that were followed by a start that came to answer.
fn restarts(entries: &[Entry]) -> Vec<Restart> {
    let mut restarts: Vec<Restart> = Vec::new();
    let (mut killed, mut started) = (None, 0);
    for entry in entries {
        match entry {
            Entry::Killed { at } => {
                if let Some(last) = restarts.last_mut().filter(|last| last.until == i64::MAX) {
                    last.until = *at;
                }
                killed = Some(*at);
            }
            // A database that is killed too is another matter: nobody says when it is there again.
            Entry::DatabaseKilled { at } => {
                if let Some(last) = restarts.last_mut() {
                    last.until = last.until.min(*at);
                }
            }
            Entry::Started { at } => started = *at,
            Entry::Ready { at } => {
                if let Some(killed) = killed.take() {
                    restarts.push(Restart { killed, started, ready: *at, until: i64::MAX });
                }
            }
            Entry::Submitted { .. }
            | Entry::Acted { .. }
            | Entry::Ended { .. }
            | Entry::Saw { .. }
            | Entry::Noticed { .. }
            | Entry::Followed { .. }
            | Entry::Effect { .. }
            | Entry::Refused { .. } => {}
        }
    }
    restarts
}

/// Whether a worker had it at that time, or was to have it again, and nobody wanted it to stop.
fn was_running(case: &Case<'_>, at: i64) -> bool {
    let before = case.events.iter().zip(&case.bodies).take_while(|(event, _)| event.ts.as_micros() <= at);
    let last = before.filter(|(_, body)| is_turn(body)).last();
    last.is_some_and(|(_, body)| matches!(body, EventBody::Started(_)))
}

/// Whether an attempt begins or ends with it, or is asked to end. A lost attempt is none: the task is to go on.
fn is_turn(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::Started(_)
            | EventBody::Completed(_)
            | EventBody::Failed(_)
            | EventBody::Cancelled(_)
            | EventBody::Waiting(_)
            | EventBody::RetryScheduled(_)
            | EventBody::Pausing(_)
            | EventBody::Paused(_)
            | EventBody::Cancelling(_)
    )
}

/// When something became of it after a time: that it went on, or something else.
fn next(case: &Case<'_>, after: i64) -> Option<(i64, bool)> {
    let later = case.events.iter().zip(&case.bodies).filter(|(event, _)| event.ts.as_micros() > after);
    let told = |body: &EventBody| {
        matches!(
            body,
            EventBody::Started(_) | EventBody::Failed(_) | EventBody::Cancelled(_) | EventBody::Paused(_)
        )
    };
    let (event, body) = later.into_iter().find(|(_, body)| told(body))?;
    Some((event.ts.as_micros(), matches!(body, EventBody::Started(_))))
}
