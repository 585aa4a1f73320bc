//! A task that a kill cuts off goes on soon after the restart.

use super::{Case, Findings};
use crate::crash::oracle::ledger::Entry;
use everloop_types::event::EventBody;
use std::collections::BTreeMap;

/// A kill and the start after it, in microseconds.
struct Restart {
    killed: i64,
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
            // What follows first is that the attempt is lost; the next start is the going on.
            let went_on = case.events.iter().zip(&case.bodies).find(|(event, body)| {
                matches!(body, EventBody::Started(_)) && event.ts.as_micros() > restart.killed
            });
            let at = went_on.map(|(event, _)| event.ts.as_micros()).filter(|at| *at <= restart.until);
            let micros = at.unwrap_or(restart.until).saturating_sub(restart.ready);
            let ms = u64::try_from(micros / 1000).unwrap_or(0);
            if at.is_some() {
                still.push(ms);
            }
            // Who was poisoned by this kill does not go on; who was cut again in time is judged by the next start.
            let over = at.is_none() && ended_before(case, restart.until);
            if ms > stand_still_ms && !over {
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
    let mut killed = None;
    for entry in entries {
        match entry {
            Entry::Killed { at } => {
                if let Some(last) = restarts.last_mut().filter(|last| last.until == i64::MAX) {
                    last.until = *at;
                }
                // Of several kills without an answer between them the first one cut off what was running.
                killed = killed.or(Some(*at));
            }
            // A database that is killed too is another matter: nobody says when it is there again.
            Entry::DatabaseKilled { at } => {
                if let Some(last) = restarts.last_mut() {
                    last.until = last.until.min(*at);
                }
            }
            Entry::Ready { at } => {
                if let Some(killed) = killed.take() {
                    restarts.push(Restart { killed, ready: *at, until: i64::MAX });
                }
            }
            _ => {}
        }
    }
    restarts
}

/// Whether a worker had it at that time, and nobody wanted it to stop.
fn was_running(case: &Case<'_>, at: i64) -> bool {
    let before = case.events.iter().zip(&case.bodies).take_while(|(event, _)| event.ts.as_micros() <= at);
    before.fold(false, |running, (_, body)| match body {
        EventBody::Started(_) => true,
        EventBody::Completed(_)
        | EventBody::Failed(_)
        | EventBody::Cancelled(_)
        | EventBody::Waiting(_)
        | EventBody::RetryScheduled(_)
        | EventBody::LeaseLost(_)
        | EventBody::Pausing(_)
        | EventBody::Paused(_)
        | EventBody::Cancelling(_) => false,
        _ => running,
    })
}

fn ended_before(case: &Case<'_>, at: i64) -> bool {
    case.has_ended() && case.events.last().is_some_and(|event| event.ts.as_micros() <= at)
}
