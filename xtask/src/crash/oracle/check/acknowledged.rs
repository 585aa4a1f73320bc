//! What was acknowledged is there, and there once.

use super::{Case, Findings};
use crate::crash::oracle::evidence::Evidence;
use crate::crash::oracle::ledger::{Act, Entry};
use crate::crash::plan::Plan;
use everloop_types::event::EventBody;
use std::collections::{BTreeMap, BTreeSet};

/// The ids that were given for a key, and how often a submit made a task.
#[derive(Default)]
struct Submits {
    ids: BTreeSet<String>,
    made: u64,
}

pub(super) fn check(
    plan: Plan,
    entries: &[Entry],
    evidence: &Evidence,
    cases: &BTreeMap<&str, Case<'_>>,
    findings: &mut Findings,
) {
    let mut submits: BTreeMap<u64, Submits> = BTreeMap::new();
    for entry in entries {
        match entry {
            Entry::Submitted { n, task, status, state, seq } => {
                let submit = submits.entry(*n).or_default();
                submit.ids.insert(task.clone());
                submit.made += u64::from(*status == 201);
                answer(cases, task, state, *seq, findings);
            }
            Entry::Ended { task, state, seq, .. } => {
                answer(cases, task, state, *seq, findings);
            }
            Entry::Acted { task, act: wanted, status, state, seq, .. } => {
                if let Some(case) = answer(cases, task, state, *seq, findings) {
                    act(case, *wanted, *status, *seq, findings);
                }
            }
            Entry::Refused { request, status, answer } => {
                findings.violation("request-refused", format!("{request}: {status} {answer}"));
            }
            Entry::Saw { .. }
            | Entry::Noticed { .. }
            | Entry::Followed { .. }
            | Entry::Effect { .. }
            | Entry::Killed { .. }
            | Entry::DatabaseKilled { .. }
            | Entry::Started { .. }
            | Entry::Ready { .. } => {}
        }
    }
    findings.figures.tasks = submits.len() as u64;
    doubled(plan, &submits, evidence, findings);
}

/// One key, one task.
fn doubled(plan: Plan, submits: &BTreeMap<u64, Submits>, evidence: &Evidence, findings: &mut Findings) {
    for (n, submit) in submits {
        let key = plan.task(*n).key;
        if submit.ids.len() > 1 {
            findings.violation("task-doubled", format!("{key} was given the ids {:?}", submit.ids));
        }
        if submit.made > 1 {
            findings.violation("task-doubled", format!("{key} was made {} times", submit.made));
        }
    }
    let mut shown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for view in &evidence.tasks {
        if let Some(key) = &view.key {
            shown.entry(key).or_default().push(&view.id);
        }
    }
    for (key, ids) in shown.into_iter().filter(|(_, ids)| ids.len() > 1) {
        findings.violation("task-doubled", format!("{key} is the key of {ids:?}"));
    }
}

/// An answer about a task holds for ever: the task is there, its events up to then are, and an end is the end.
fn answer<'a, 'c>(
    cases: &'a BTreeMap<&str, Case<'c>>,
    task: &str,
    state: &str,
    seq: u64,
    findings: &mut Findings,
) -> Option<&'a Case<'c>> {
    findings.figures.acknowledgements += 1;
    let Some(case) = cases.get(task) else {
        findings.violation("task-missing", format!("{task} was acknowledged as {state}"));
        return None;
    };
    if seq > case.last_seq() {
        let what =
            format!("{}: event {seq} was acknowledged, the last one is {}", case.name(), case.last_seq());
        findings.violation("event-missing", what);
    }
    let ended = matches!(state, "completed" | "failed" | "cancelled");
    if ended && (state != case.view.state || seq != case.last_seq()) {
        let (now, last) = (&case.view.state, case.last_seq());
        let what = format!("{} was {state} at {seq} and is {now} at {last}", case.name());
        findings.violation("end-changed", what);
    }
    Some(case)
}

/// What was wanted of a task and acknowledged is recorded, an input once. 409 says that it came too late.
fn act(case: &Case<'_>, act: Act, status: u16, seq: u64, findings: &mut Findings) {
    let id = case.script.input_id();
    let counts = |body: &EventBody| match (act, body) {
        (Act::Input, EventBody::Input(input)) => input.id == id,
        (Act::Pause, EventBody::Pausing(_) | EventBody::Paused(_))
        | (Act::Resume, EventBody::Resumed(_))
        | (Act::Cancel, EventBody::Cancelling(_) | EventBody::Cancelled(_)) => true,
        _ => false,
    };
    let before = |at: usize| status == 409 || case.events.get(at).is_some_and(|event| event.seq <= seq);
    let found = case.bodies.iter().enumerate().filter(|(at, body)| counts(body) && before(*at)).count();
    if status != 409 && found == 0 {
        findings.violation("event-missing", format!("{}: {} was acknowledged", case.name(), act.as_str()));
    }
    if act == Act::Input && found > 1 {
        findings.violation("event-doubled", format!("{}: its input is there {found} times", case.name()));
    }
}
