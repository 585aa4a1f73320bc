//! A follower is sent exactly what there is: every event once and in order, or exactly those of its filter.

use super::{Case, Findings};
use crate::crash::oracle::ledger::Entry;
use crate::crash::plan::{Following, STEP_TYPES};
use everloop_journal::hex;
use everloop_types::event::TypeFilter;
use std::collections::BTreeMap;

/// What a follower was sent.
#[derive(Default)]
struct Follower<'a> {
    events: Vec<(u64, &'a str)>,
    ended: bool,
}

pub(super) fn check(entries: &[Entry], cases: &BTreeMap<&str, Case<'_>>, findings: &mut Findings) {
    let mut followers: BTreeMap<&str, Follower<'_>> = BTreeMap::new();
    for entry in entries {
        match entry {
            Entry::Saw { task, seq, hash, .. } => {
                followers.entry(task).or_default().events.push((*seq, hash));
            }
            Entry::Followed { task } => followers.entry(task).or_default().ended = true,
            Entry::Noticed { task, notice } => {
                findings.violation("follower-reset", format!("{task}: {notice}"));
            }
            Entry::Submitted { .. }
            | Entry::Acted { .. }
            | Entry::Ended { .. }
            | Entry::Refused { .. }
            | Entry::Effect { .. }
            | Entry::Killed { .. }
            | Entry::DatabaseKilled { .. }
            | Entry::Started { .. }
            | Entry::Ready { .. } => {}
        }
    }
    for (task, follower) in &followers {
        findings.figures.followed += follower.events.len() as u64;
        match cases.get(task) {
            Some(case) => follower.check(case, findings),
            None => findings.violation("task-missing", format!("{task} was followed")),
        }
    }
    for case in cases.values() {
        let ended = followers.get(case.view.id.as_str()).is_some_and(|follower| follower.ended);
        findings.figures.followers += u64::from(ended);
        if case.script.following != Following::No && !ended {
            let what = format!("{}: its follower was never told that nothing follows", case.name());
            findings.violation("follower-unfinished", what);
        }
    }
}

impl Follower<'_> {
    fn check(&self, case: &Case<'_>, findings: &mut Findings) {
        let name = case.name();
        for (seq, hash) in &self.events {
            let at = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
            match case.events.get(at) {
                None => findings.violation("event-missing", format!("{name}: event {seq} was seen")),
                Some(event) if hex::encode(&event.hash) != *hash => {
                    findings.violation("event-changed", format!("{name}: event {seq} had the hash {hash}"));
                }
                Some(_) => {}
            }
        }
        let filter = match case.script.following {
            Following::No | Following::All => TypeFilter::default(),
            Following::Steps => TypeFilter::parse(STEP_TYPES).unwrap_or_default(),
        };
        let wanted: Vec<u64> =
            case.events.iter().filter(|event| filter.matches(&event.kind)).map(|event| event.seq).collect();
        let seen: Vec<u64> = self.events.iter().map(|(seq, _)| *seq).collect();
        // Who was cut short by the end of the run has seen a part, from the beginning.
        let due = if self.ended { &wanted[..] } else { &wanted[..seen.len().min(wanted.len())] };
        let Some(at) = (0..due.len().max(seen.len())).find(|at| due.get(*at) != seen.get(*at)) else {
            return;
        };
        let (due, got) = (due.get(at), seen.get(at));
        let what = format!("{name}: where event {due:?} was due, {got:?} came ({:?})", case.script.following);
        let again = got.is_some_and(|got| seen[..at].contains(got));
        findings.violation(if again { "follower-doubled" } else { "follower-gap" }, what);
    }
}
