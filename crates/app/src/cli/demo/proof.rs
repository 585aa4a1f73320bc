//! What the demo shows at the end: that nothing was done twice, and that nothing can be altered.

use crate::failure::{Exit, Failure};
use everloop_journal::export::{Verdict, verify_export};
use everloop_journal::keys::Jwks;
use std::collections::{BTreeMap, BTreeSet};

/// How often each step acted on the world, by its identity.
pub(super) struct Effects {
    counts: BTreeMap<String, u32>,
}

impl Effects {
    /// From the lines that the steps added.
    pub(super) fn read(text: &str) -> Self {
        let mut counts = BTreeMap::new();
        for step in text.lines().filter_map(|line| line.split(' ').next()) {
            *counts.entry(step.to_owned()).or_insert(0) += 1;
        }
        Self { counts }
    }

    /// Steps that acted.
    pub(super) fn steps(&self) -> usize {
        self.counts.len()
    }

    /// Lines in all.
    pub(super) fn lines(&self) -> u32 {
        self.counts.values().sum()
    }

    /// Holds them against the steps that were recorded before the kill; gives the step that acted twice, where there is one.
    ///
    /// # Errors
    /// If a recorded step acted again, or more than one step was in flight.
    pub(super) fn check(&self, recorded: &BTreeSet<String>) -> Result<Option<&str>, Failure> {
        let mut twice = None;
        for (step, count) in &self.counts {
            match count {
                1 => {}
                2 if !recorded.contains(step) && twice.is_none() => twice = Some(step.as_str()),
                _ => return Err(wrong(format!("step {step} acted {count} times"))),
            }
        }
        match recorded.iter().find(|step| !self.counts.contains_key(*step)) {
            Some(step) => Err(wrong(format!("step {step} is recorded and never acted"))),
            None => Ok(twice),
        }
    }
}

/// The demo shows something else than it promises.
pub(super) fn wrong(what: impl Into<String>) -> Failure {
    Failure::new(Exit::TaskFailed, "the demo did not show what it should")
        .cause(what.into())
        .hint("please report this with the seed above: it is a bug")
}

/// Checks an export with the server's own key; gives the key's id.
///
/// # Errors
/// If it does not verify.
pub(super) fn verify(export: &[String], keys: &Jwks) -> Result<String, Failure> {
    match verify_export(export, Some(keys)).map_err(|error| wrong(error.to_string()))?.verdict {
        Verdict::Verified { signer } => Ok(signer),
        Verdict::ConsistentSignerUnknown { .. } | Verdict::ConsistentUnsigned => {
            Err(wrong("nobody signed the receipt"))
        }
    }
}

/// Changes one digit in the middle of a copy: what a step found out, a little larger. Gives the event that was changed.
pub(super) fn tamper(export: &mut [String]) -> Option<u64> {
    let steps: Vec<usize> = export
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains("\"type\":\"step.completed\"") && line.contains("\"bytes\":"))
        .map(|(index, _)| index)
        .collect();
    let line = export.get_mut(*steps.get(steps.len() / 2)?)?;
    let seq = serde_json::from_str::<serde_json::Value>(line).ok()?.get("seq")?.as_u64()?;
    let digit = line.rfind("\"bytes\":")? + "\"bytes\":".len();
    let old = line.as_bytes().get(digit)?;
    let new = if *old == b'9' { '8' } else { '9' };
    line.replace_range(digit..=digit, &new.to_string());
    Some(seq)
}

/// How the check of an altered export fails.
///
/// # Errors
/// If it does not fail, or names another event.
pub(super) fn refuted(export: &[String], keys: &Jwks, seq: u64) -> Result<String, Failure> {
    match verify_export(export, Some(keys)) {
        Err(error) if error.seq() == Some(seq) => Ok(error.to_string()),
        Err(error) => Err(wrong(format!("verification named another event than {seq}: {error}"))),
        Ok(_) => Err(wrong("an altered log verified")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_step_in_flight_may_act_twice() {
        let recorded = BTreeSet::from(["measure#1".to_owned()]);
        let twice = |text: &str| Effects::read(text).check(&recorded).map(|step| step.map(str::to_owned));
        assert_eq!(
            twice("measure#1 a\nmeasure#2 b\nmeasure#2 b\nmeasure#3 c\n").unwrap().as_deref(),
            Some("measure#2")
        );
        assert_eq!(twice("measure#1 a\n").unwrap(), None);
        assert!(twice("measure#1 a\nmeasure#1 a\n").is_err());
        assert!(twice("measure#2 a\n").is_err());
        assert!(twice("measure#1 a\nmeasure#2 b\nmeasure#2 b\nmeasure#3 c\nmeasure#3 c\n").is_err());
    }
}
