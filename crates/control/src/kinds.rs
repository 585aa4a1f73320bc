//! Which kinds of task somebody runs.

use crate::caller::Caller;
use crate::control::Control;
use everloop_types::error::{Code, Refusal};
use everloop_types::limits;
use everloop_types::task::TaskSpec;
use everloop_types::time::Timestamp;
use everloop_types::worker::Worker;
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// A kind of task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// What it does, where this server runs it itself.
    pub about: Option<String>,
    /// Versions that somebody runs, sorted.
    pub versions: Vec<u32>,
    /// Workers that run it and were heard from.
    pub workers: u32,
    /// Whether this server runs it itself.
    pub embedded: bool,
}

impl Control {
    /// Every kind that somebody runs or has run, by name.
    ///
    /// # Errors
    /// If the database can't be read.
    pub async fn kinds(&self, _: &Caller) -> Result<Vec<Kind>, Refusal> {
        let workers = self.engine().read(|store| store.workers()).await?;
        Ok(self.kinds_of(&workers))
    }

    fn kinds_of(&self, workers: &[Worker]) -> Vec<Kind> {
        let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
        for (name, executor) in self.executors().iter() {
            let kind = kinds.entry(name.to_owned()).or_default();
            kind.about = Some(executor.about().to_owned());
            kind.versions = executor.offer().versions;
            kind.embedded = true;
        }
        let now = self.now();
        for worker in workers {
            for offer in &worker.spec.kinds {
                let kind = kinds.entry(offer.kind.clone()).or_default();
                kind.versions.extend(&offer.versions);
                kind.workers += u32::from(is_online(worker, now));
            }
        }
        for (name, kind) in &mut kinds {
            kind.name.clone_from(name);
            kind.versions.sort_unstable();
            kind.versions.dedup();
        }
        kinds.into_values().collect()
    }

    /// One kind.
    ///
    /// # Errors
    /// `not_found`, with what there is.
    pub async fn kind(&self, caller: &Caller, name: &str) -> Result<Kind, Refusal> {
        let kinds = self.kinds(caller).await?;
        match kinds.iter().find(|kind| kind.name == name) {
            Some(kind) => Ok(kind.clone()),
            None => Err(Refusal { code: Code::NotFound, errors: Vec::new(), ..unknown(name, &kinds) }),
        }
    }

    /// Whether somebody runs the kind and takes the input, and the caller may.
    pub(crate) async fn check_kind(&self, caller: &Caller, spec: &TaskSpec) -> Result<(), Refusal> {
        if let Some(executor) = self.executors().get(&spec.kind) {
            if self.options().guarded_kinds.contains(&spec.kind) && !caller.shows_key {
                let detail =
                    format!("tasks of kind {} are only for callers that show the local key", spec.kind);
                return Err(Refusal::new(Code::Forbidden, detail).hint(
                    "set EVERLOOP_API_KEY to what stands in the file `api-key` of the server's data folder",
                ));
            }
            return executor.check(spec);
        }
        if self.seen_kinds().read().unwrap_or_else(PoisonError::into_inner).contains(&spec.kind) {
            return Ok(());
        }
        let workers = self.engine().read(|store| store.workers()).await?;
        let kinds = self.kinds_of(&workers);
        let found = kinds.iter().any(|kind| kind.name == spec.kind);
        let mut seen = self.seen_kinds().write().unwrap_or_else(PoisonError::into_inner);
        seen.extend(kinds.iter().map(|kind| kind.name.clone()));
        drop(seen);
        if found { Ok(()) } else { Err(unknown(&spec.kind, &kinds)) }
    }
}

fn unknown(name: &str, kinds: &[Kind]) -> Refusal {
    let shown: String = name.chars().take(limits::NAME_CHARS).collect();
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => {
            format!("did you mean {near:?}? if not, start a worker that offers it to make it known")
        }
        None => "start a worker that offers it to make it known".to_owned(),
    };
    let known = if names.is_empty() {
        "no kind is known".to_owned()
    } else {
        format!("known are {}", names.join(", "))
    };
    let refusal = Refusal::field("kind", format!("{shown:?} is unknown, {known}"));
    Refusal { code: Code::UnknownKind, ..refusal }.hint(hint)
}

/// Whether a worker was heard from lately.
pub fn is_online(worker: &Worker, now: Timestamp) -> bool {
    now.since(worker.last_heartbeat_at) < limits::WORKER_OFFLINE
}

/// The known word that a mistyped one was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    known
        .map(|known| (distance(word, known), known))
        .filter(|(far, _)| *far <= most)
        .min()
        .map(|(_, known)| known)
}

/// Letters to change, add or drop between two words, two swapped ones counted once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = usize::from(a[i - 1] != b[j - 1]);
                let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_the_word() {
        let known = ["mock", "shell", "http"];
        for (typed, meant) in
            [("mokc", Some("mock")), ("shel", Some("shell")), ("http", Some("http")), ("zzz", None)]
        {
            assert_eq!(nearest(typed, known.into_iter()), meant, "{typed}");
        }
    }
}
