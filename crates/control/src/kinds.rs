//! Which kinds of task somebody runs.

use crate::caller::Caller;
use crate::control::Control;
use crate::schema::Schema;
use everloop_types::blob::BlobName;
use everloop_types::error::{Code, Refusal};
use everloop_types::limits;
use everloop_types::names;
use everloop_types::task::{Policy, TaskSpec};
use everloop_types::time::Timestamp;
use everloop_types::worker::{KindOffer, Worker};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A kind of task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// What is said of it by whoever runs its newest version, and registered last.
    pub offer: KindOffer,
    /// Versions that somebody runs, sorted.
    pub versions: Vec<u32>,
    /// Workers that run it and were heard from.
    pub workers: u32,
    /// Whether this server runs it itself.
    pub embedded: bool,
}

/// How long what was read of the kinds that workers elsewhere offer is good: they may register with another server.
const GOOD: Duration = Duration::from_secs(5);

/// Kinds that workers elsewhere offer, so that not every submit asks the database.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    /// When they were last read, by the monotonic clock.
    read_at: Option<Duration>,
    kinds: BTreeMap<String, Arc<Rules>>,
}

impl Offered {
    /// A worker has registered: they have to be read again.
    pub(crate) fn forget(&mut self) {
        self.read_at = None;
    }
}

/// What tasks of a kind are held to.
#[derive(Debug)]
struct Rules {
    offer: KindOffer,
    input: Option<Schema>,
}

impl Rules {
    fn of(offer: KindOffer) -> Arc<Self> {
        // It was read when the worker registered. Should it not be now, tasks go on without it.
        let input = offer.input_schema.as_ref().and_then(|schema| Schema::read(schema).ok());
        Arc::new(Self { offer, input })
    }

    /// Holds a task to them, and gives it what it is silent about.
    fn apply(&self, spec: &mut TaskSpec) -> Result<(), Refusal> {
        let defaults = &self.offer.defaults;
        if let Some(queue) = defaults.queue.as_ref().filter(|_| spec.queue == names::DEFAULT_QUEUE) {
            spec.queue.clone_from(queue);
        }
        if defaults.policy != Policy::default() {
            spec.policy = merged(&defaults.policy, &spec.policy)?;
        }
        let input = spec.input.clone().unwrap_or_default();
        // What stands for a value elsewhere is what the worker fetches and holds to its own rules.
        let Some(schema) =
            self.input.as_ref().filter(|_| BlobName::of(&input).is_ok_and(|blob| blob.is_none()))
        else {
            return Ok(());
        };
        let errors = schema.errors(&input, "input");
        if errors.is_empty() {
            return Ok(());
        }
        let about = format!("GET /api/v1/kinds/{} shows the schema of its input", spec.kind);
        Err(Refusal::fields(errors).hint(about))
    }
}

/// A policy in which whatever is not said, or is the default, is taken from another one.
fn merged(defaults: &Policy, said: &Policy) -> Result<Policy, Refusal> {
    let object = |policy: &Policy| serde_json::to_value(policy);
    let merge = || {
        let mut all = object(defaults)?;
        if let (Some(all), serde_json::Value::Object(said)) = (all.as_object_mut(), object(said)?) {
            all.extend(said);
        }
        serde_json::from_value(all)
    };
    merge().map_err(|error| {
        tracing::error!(%error, "two policies could not be merged");
        Refusal::new(Code::Internal, "two policies could not be merged")
    })
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
            let offer = executor.offer();
            kind.versions.clone_from(&offer.versions);
            kind.offer = KindOffer { about: Some(executor.about().to_owned()), ..offer };
            kind.embedded = true;
        }
        let now = self.now();
        let mut workers: Vec<_> = workers.iter().collect();
        workers.sort_unstable_by_key(|worker| (worker.created_at, worker.id));
        for worker in workers {
            for offer in &worker.spec.kinds {
                let kind = kinds.entry(offer.kind.clone()).or_default();
                kind.versions.extend(&offer.versions);
                kind.workers += u32::from(is_online(worker, now));
                // What this server runs itself speaks for itself.
                if !kind.embedded && kind.offer.versions.iter().max() <= offer.versions.iter().max() {
                    kind.offer.clone_from(offer);
                }
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

    /// Whether somebody runs the kind and takes the input, and the caller may. Gives the task what its kind has for those that
    /// are silent about it.
    pub(crate) async fn check_kind(&self, caller: &Caller, spec: &mut TaskSpec) -> Result<(), Refusal> {
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
        if let Some(rules) = self.known_rules(&spec.kind) {
            return rules.apply(spec);
        }
        let now = self.monotonic();
        let workers = self.engine().read(|store| store.workers()).await?;
        let kinds = self.kinds_of(&workers);
        let rules = {
            let mut offered = self.offered().write().unwrap_or_else(PoisonError::into_inner);
            offered.read_at = Some(now);
            // Of kinds whose workers are all gone, what they said last holds.
            for kind in kinds.iter().filter(|kind| !kind.embedded) {
                let known = offered.kinds.get(&kind.name).is_some_and(|known| known.offer == kind.offer);
                if !known {
                    offered.kinds.insert(kind.name.clone(), Rules::of(kind.offer.clone()));
                }
            }
            offered.kinds.get(&spec.kind).cloned()
        };
        rules.ok_or_else(|| unknown(&spec.kind, &kinds))?.apply(spec)
    }

    fn known_rules(&self, kind: &str) -> Option<Arc<Rules>> {
        let now = self.monotonic();
        let offered = self.offered().read().unwrap_or_else(PoisonError::into_inner);
        let good = offered.read_at.is_some_and(|read_at| now.saturating_sub(read_at) < GOOD);
        offered.kinds.get(kind).filter(|_| good).cloned()
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
