//! Effects outside: each belongs to a task that is there, shows the one key of its step, and none follows the record.

use super::{Case, Findings};
use crate::crash::oracle::ledger::Entry;
use crate::crash::plan::{Course, REQUEST};
use everloop_journal::digest::step_idempotency_key;
use everloop_types::event::EventBody;
use std::collections::BTreeMap;

pub(super) fn check(entries: &[Entry], cases: &BTreeMap<&str, Case<'_>>, findings: &mut Findings) {
    let mut effects: BTreeMap<u64, Vec<(&str, i64)>> = BTreeMap::new();
    for entry in entries {
        if let Entry::Effect { n, key, at } = entry {
            effects.entry(*n).or_default().push((key, *at));
        }
    }
    let mut acting: BTreeMap<u64, &Case<'_>> = BTreeMap::new();
    for case in cases.values().filter(|case| matches!(case.script.course, Course::Effect { .. })) {
        acting.insert(case.script.n, case);
    }
    for n in effects.keys().filter(|n| !acting.contains_key(n)) {
        findings.violation("effect-unknown", format!("number {n} acted, and there is no such task"));
    }
    for (n, case) in acting {
        of_case(case, effects.get(&n).map_or(&[], Vec::as_slice), findings);
    }
}

fn of_case(case: &Case<'_>, effects: &[(&str, i64)], findings: &mut Findings) {
    findings.figures.effects += effects.len() as u64;
    let name = case.name();
    let wanted = case.events.first().and_then(|event| event.stream.task());
    let wanted = wanted.map(|task| step_idempotency_key(task, &format!("{REQUEST}#1")));
    for (key, _) in effects.iter().filter(|(key, _)| Some(*key) != wanted.as_deref()) {
        findings.violation("key-changed", format!("{name}: its effect showed the key {key:?}"));
    }
    let attempts = case.bodies.iter().filter(|body| matches!(body, EventBody::Started(_))).count();
    if effects.len() > attempts {
        let what = format!("{name}: {} effects in {attempts} attempts", effects.len());
        findings.violation("effect-doubled", what);
    }
    findings.figures.effects_in_doubt += effects.len().saturating_sub(1) as u64;
    let recorded = case.events.iter().zip(&case.bodies);
    let recorded = recorded.into_iter().find(|(_, body)| matches!(body, EventBody::StepCompleted(_)));
    if let Some((event, _)) = recorded {
        if effects.is_empty() {
            findings.violation("effect-missing", format!("{name}: its step is recorded and had no effect"));
        }
        if effects.iter().any(|(_, at)| *at > event.ts.as_micros()) {
            findings.violation("step-rerun", format!("{name}: its step is recorded and acts"));
        }
    }
}
