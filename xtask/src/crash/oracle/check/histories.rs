//! Every task is one of the plan's, has ended, and its history and receipt verify with the published keys alone.

use super::{Case, Findings};
use crate::crash::oracle::BESIDE;
use crate::crash::oracle::client::View;
use crate::crash::oracle::evidence::{Evidence, History};
use crate::crash::plan::Plan;
use everloop_journal::chain::from_json;
use everloop_journal::export::{Verdict, receipt_line, verify_export};
use everloop_journal::keys::Jwks;
use std::collections::BTreeMap;

/// Verifies the histories and gives those that can be read, by id of the task.
pub(super) fn check<'a>(
    plan: Plan,
    evidence: &'a Evidence,
    findings: &mut Findings,
) -> BTreeMap<&'a str, Case<'a>> {
    let keys = Jwks::from_json(&evidence.keys);
    if let Err(error) = &keys {
        findings.violation("keys-unreadable", error.to_string());
    }
    let mut cases = BTreeMap::new();
    let beside = |view: &&View| view.key.as_deref().is_some_and(|key| key.starts_with(BESIDE));
    for view in evidence.tasks.iter().filter(|view| !beside(view)) {
        let Some(n) = view.key.as_deref().and_then(|key| plan.number(key)) else {
            findings
                .violation("task-unknown", format!("{} was never submitted (key {:?})", view.id, view.key));
            continue;
        };
        let Some(history) = evidence.histories.get(&view.id) else {
            findings.violation("history-missing", view.id.clone());
            continue;
        };
        *findings.figures.states.entry(view.state.clone()).or_default() += 1;
        findings.figures.events += history.events.len() as u64;
        verify(view, history, keys.as_ref().ok(), findings);
        match read(history) {
            Ok((events, bodies)) => {
                let case = Case { script: plan.task(n), view, events, bodies };
                if !case.has_ended() || !matches!(view.state.as_str(), "completed" | "failed" | "cancelled") {
                    findings.violation("task-unfinished", format!("{} is {}", case.name(), view.state));
                }
                if case.last_seq() != view.last_seq {
                    let what = format!("{} ends at {}, not {}", case.name(), case.last_seq(), view.last_seq);
                    findings.violation("event-missing", what);
                }
                cases.insert(view.id.as_str(), case);
            }
            Err(error) => findings.violation("event-unreadable", format!("{}: {error}", view.id)),
        }
    }
    cases
}

fn verify(view: &View, history: &History, keys: Option<&Jwks>, findings: &mut Findings) {
    let receipt = match &history.receipt {
        Ok(jws) => Some(receipt_line(jws)),
        Err(why) => {
            findings.violation("receipt-missing", format!("{}: {why}", view.id));
            None
        }
    };
    match verify_export(history.events.iter().map(String::as_str).chain(receipt.as_deref()), keys) {
        Ok(report) => {
            let signed = matches!(report.verdict, Verdict::Verified { .. });
            if receipt.is_some() && !signed {
                findings.violation("receipt-wrong", format!("{}: {:?}", view.id, report.verdict));
            }
            if !report.missing.is_empty() {
                findings.violation("payload-missing", format!("{}: events {:?}", view.id, report.missing));
            }
        }
        Err(error) => findings.violation("chain-broken", format!("{}: {error}", view.id)),
    }
}

type Read = (Vec<everloop_types::event::Event>, Vec<everloop_types::event::EventBody>);

fn read(history: &History) -> Result<Read, String> {
    let (mut events, mut bodies) = (Vec::new(), Vec::new());
    for line in &history.events {
        let event = from_json(line).map_err(|error| error.to_string())?;
        let body = event.body().map_err(|error| format!("event {}: {error}", event.seq))?;
        bodies.push(body.ok_or_else(|| format!("event {} has no payload", event.seq))?);
        events.push(event);
    }
    Ok((events, bodies))
}
