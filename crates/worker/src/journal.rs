//! The recorded past of a task, as a replay asks for it.

use crate::executor::Stop;
use everloop_types::error::{Code, TaskError};
use everloop_types::event::EventBody;
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::step::OnUnknown;
use everloop_types::task::PauseReason;
use everloop_types::time::Timestamp;
use everloop_types::wait::{Cause, Wait};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The kind of the record that a version gate leaves.
pub(crate) const VERSION: &str = "version";

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It gave this.
    Completed(Json),
    /// It failed for good.
    Failed(TaskError),
}

/// A step that was recorded.
#[derive(Clone, Debug)]
struct Recorded {
    kind: String,
    intent: String,
    outcome: Option<Outcome>,
    /// How to go on if the outcome was never recorded.
    on_unknown: OnUnknown,
    /// Tries that failed and were to be repeated.
    failed_tries: u32,
    /// When the next one was to begin, after the last of them.
    next_at: Option<Timestamp>,
    /// How often it was started, where that is recorded.
    starts: u32,
}

/// An input that was sent to the task.
#[derive(Clone, Debug)]
struct Sent {
    id: String,
    name: String,
    data: Json,
    /// The step that took it.
    taken_by: Option<String>,
}

/// What a replay finds for a step.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Nothing: it has not been run.
    Nothing {
        /// Tries of it that failed before.
        failed_tries: u32,
        /// When the next one was to begin, if it failed before.
        next_at: Option<Timestamp>,
    },
    /// Its outcome.
    Outcome(Outcome),
    /// It was started, for the so manieth time, and its outcome is unknown.
    InDoubt(OnUnknown, u32),
}

/// The journal of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    steps: BTreeMap<String, Recorded>,
    /// What version gates have decided.
    versions: HashMap<String, Json>,
    /// Step keys in the order in which their outcomes were recorded.
    order: Vec<String>,
    reached: HashSet<String>,
    /// Keys of which something is recorded, and that the code has not come to: steps, timers, questions, inputs that were taken.
    ahead: BTreeSet<String>,
    inputs: Vec<Sent>,
    decisions: HashMap<String, (String, Option<Json>)>,
    asked: HashSet<String>,
    /// When the timers that earlier attempts waited for fire.
    timers: HashMap<String, Timestamp>,
    /// Those that have fired since.
    fired: HashSet<String>,
    /// The task whose idempotency keys the steps have, where it is another one.
    keys_of: Option<TaskId>,
    /// How children ended.
    children: HashMap<TaskId, State>,
    /// Ids of inputs, decisions and children whose taking is recorded.
    taken: HashSet<String>,
}

impl Journal {
    pub(crate) fn new(past: impl IntoIterator<Item = EventBody>) -> Self {
        let mut journal = Self::default();
        for body in past {
            journal.add(body);
        }
        journal
    }

    /// Notes that something is recorded of a key. What is asked about a step that was cut off, and the timer between two tries,
    /// are the step's.
    fn expect(&mut self, key: &str) {
        let own = ["/start-", "/try-"].iter().fold(key, |key, of| key.split(of).next().unwrap_or(key));
        self.ahead.insert(own.to_owned());
    }

    fn step(&mut self, key: &str, kind: &str, intent: &str) -> &mut Recorded {
        self.expect(key);
        let recorded = self.steps.entry(key.to_owned()).or_insert_with(|| Recorded {
            kind: kind.to_owned(),
            intent: intent.to_owned(),
            outcome: None,
            on_unknown: OnUnknown::Rerun,
            failed_tries: 0,
            next_at: None,
            starts: 0,
        });
        kind.clone_into(&mut recorded.kind);
        intent.clone_into(&mut recorded.intent);
        recorded
    }

    /// Learns an event of the past.
    fn add(&mut self, body: EventBody) {
        match body {
            EventBody::StepStarted(step) => {
                let recorded = self.step(&step.step, &step.kind, &step.intent);
                recorded.on_unknown = step.on_unknown;
                recorded.starts += 1;
            }
            EventBody::StepCompleted(step) if step.kind == VERSION => {
                self.versions.insert(step.step, step.result);
            }
            EventBody::StepCompleted(step) => {
                self.step(&step.step, &step.kind, &step.intent).outcome =
                    Some(Outcome::Completed(step.result));
                self.order.push(step.step);
            }
            EventBody::StepFailed(step) => {
                let recorded = self.step(&step.step, &step.kind, &step.intent);
                recorded.failed_tries = step.r#try;
                recorded.next_at = step.next_at;
                // Its start has an end now: what failed is not in doubt.
                recorded.on_unknown = OnUnknown::Rerun;
                if step.next_at.is_none() {
                    recorded.outcome = Some(Outcome::Failed(step.error));
                    self.order.push(step.step);
                }
            }
            // Only the timer ends such a wait, and whoever runs now was woken by it: no clock of a worker is asked.
            EventBody::Waiting(waiting) => {
                waiting.r#for.leaves(&mut |leaf| {
                    if let Wait::Timer { at, id } = leaf {
                        self.timers.insert(id.clone(), *at);
                        self.expect(id);
                    }
                });
                if let Wait::Timer { id, .. } = waiting.r#for {
                    self.fired.insert(id);
                }
            }
            // Of several things that were waited for, this one came.
            EventBody::Ready(ready) if ready.cause == Cause::Timer => self.fired.extend(ready.id),
            EventBody::Forked(forked) => self.keys_of = forked.from.keys_of,
            EventBody::Child(child) => {
                self.children.insert(child.task, child.state);
            }
            EventBody::Input(input) => {
                self.inputs.push(Sent { id: input.id, name: input.name, data: input.data, taken_by: None });
            }
            EventBody::InputTaken(taken) => {
                if let Some(sent) = self.inputs.iter_mut().find(|sent| sent.id == taken.id) {
                    sent.taken_by = Some(taken.step.clone());
                    self.expect(&taken.step);
                }
                self.taken.insert(taken.id);
            }
            EventBody::ApprovalRequested(request) => {
                self.expect(&request.id);
                self.asked.insert(request.id);
            }
            EventBody::ApprovalDecision(decision) => {
                self.decisions.insert(decision.id, (decision.decision, decision.result));
            }
            _ => {}
        }
    }

    /// What is recorded of a step. Marks it as reached.
    pub(crate) fn find(&mut self, key: &str, kind: &str, intent: &str) -> Result<Found, Stop> {
        if !self.reached.insert(key.to_owned()) {
            let message = format!("two steps have the identity {key:?}: give each branch a scope of its own");
            return Err(Stop::Failed(TaskError::new(Code::Nondeterminism, message)));
        }
        self.ahead.remove(key);
        let Some(recorded) = self.steps.get(key) else {
            return Ok(Found::Nothing { failed_tries: 0, next_at: None });
        };
        if recorded.kind != kind || recorded.intent != intent {
            let side =
                |kind: &str, intent: &str| format!("{{\"intent\":\"{intent}\",\"kind\":{}}}", quoted(kind));
            return Err(mismatch(
                &format!("step {key} was recorded with another kind or other arguments"),
                key,
                &side(&recorded.kind, &recorded.intent),
                &side(kind, intent),
            ));
        }
        Ok(match &recorded.outcome {
            Some(outcome) => Found::Outcome(outcome.clone()),
            None if recorded.on_unknown.needs_start() => Found::InDoubt(recorded.on_unknown, recorded.starts),
            None => Found::Nothing { failed_tries: recorded.failed_tries, next_at: recorded.next_at },
        })
    }

    /// A step that was recorded and never reached: the code has changed under its task.
    pub(crate) fn unreached(&self) -> Option<Stop> {
        let left = self.order.iter().find(|key| !self.reached.contains(*key))?;
        let text = format!("the code came to its end without recorded step {left}");
        Some(mismatch(&text, left, "\"recorded\"", "\"not reached\""))
    }

    /// How many steps were recorded that the code has not reached.
    pub(crate) fn count_ahead(&self) -> usize {
        self.order.iter().filter(|key| !self.reached.contains(*key)).count()
    }

    /// The step recorded next in this very scope that the code has not reached, for the note about a new step before it.
    pub(crate) fn passed_over(&self, scope: &str) -> Option<&str> {
        if !self.has_ahead(scope) {
            return None;
        }
        let scope_of = |key: &str| key.rfind('/').map_or(0, |end| end);
        let mut ahead = self.order.iter().filter(|key| !self.reached.contains(*key));
        ahead.find(|key| key[..scope_of(key)] == *scope).map(String::as_str)
    }

    /// How often a step was started, where that is recorded.
    pub(crate) fn starts(&self, key: &str) -> u32 {
        self.steps.get(key).map_or(0, |recorded| recorded.starts)
    }

    /// Whether anything is recorded of a step.
    pub(crate) fn has_step(&self, key: &str) -> bool {
        self.steps.contains_key(key)
    }

    /// The input that a step takes: the one that it took before, or the first of the name that nobody took. Gives its id
    /// too when taking it is new.
    pub(crate) fn input(&mut self, step: &str, name: &str) -> Option<(Option<String>, Json)> {
        if let Some(sent) = self.inputs.iter().find(|sent| sent.taken_by.as_deref() == Some(step)) {
            return Some((None, sent.data.clone()));
        }
        let sent = self.inputs.iter_mut().find(|sent| sent.taken_by.is_none() && sent.name == name)?;
        sent.taken_by = Some(step.to_owned());
        Some((Some(sent.id.clone()), sent.data.clone()))
    }

    /// The answer to a request.
    pub(crate) fn decision(&self, id: &str) -> Option<&(String, Option<Json>)> {
        self.decisions.get(id)
    }

    /// Whether a request stands in the stream.
    pub(crate) fn was_asked(&self, id: &str) -> bool {
        self.asked.contains(id)
    }

    /// What a gate has decided.
    ///
    /// # Errors
    /// A mismatch, if the code does not know that version any more.
    pub(crate) fn version(&self, key: &str, min: u32, max: u32) -> Result<Option<u32>, Stop> {
        let Some(recorded) = self.versions.get(key) else { return Ok(None) };
        match recorded.parse::<u32>() {
            Ok(version) if (min..=max).contains(&version) => Ok(Some(version)),
            Ok(_) | Err(_) => Err(mismatch(
                &format!("gate {key} was passed as version {recorded}, which the code does not have"),
                key,
                &format!("{{\"version\":{recorded}}}"),
                &format!("{{\"max\":{max},\"min\":{min}}}"),
            )),
        }
    }

    /// Learns what a gate has decided just now.
    pub(crate) fn decide_version(&mut self, key: String, version: Json) {
        self.versions.insert(key, version);
    }

    /// Notes that the code has come to a key.
    pub(crate) fn name(&mut self, key: &str) {
        self.ahead.remove(key);
    }

    /// Whether something is recorded of a step in this scope, or below it, that the code has not reached.
    pub(crate) fn has_ahead(&self, scope: &str) -> bool {
        if scope.is_empty() {
            return !self.ahead.is_empty();
        }
        let below = format!("{scope}/");
        self.ahead.range(below.clone()..).next().is_some_and(|key| key.starts_with(&below))
    }

    /// Counts everything below a scope as reached: the code does not go there any more.
    pub(crate) fn abandon(&mut self, scope: &str) {
        let below = format!("{scope}/");
        let steps = self.steps.range(below.clone()..).map(|(key, _)| key);
        self.reached.extend(steps.take_while(|key| key.starts_with(&below)).cloned());
        let left: Vec<_> =
            self.ahead.range(below.clone()..).take_while(|key| key.starts_with(&below)).cloned().collect();
        for key in left {
            self.ahead.remove(&key);
        }
    }

    /// How a child ended, and whether that was taken before.
    pub(crate) fn child(&mut self, child: TaskId) -> Option<(State, bool)> {
        let state = *self.children.get(&child)?;
        Some((state, !self.taken.insert(child.to_string())))
    }

    /// The task whose idempotency keys the steps have, where the task does another one's work again.
    pub(crate) fn keys_of(&self) -> Option<TaskId> {
        self.keys_of
    }

    /// When a timer fires that an earlier attempt waited for.
    pub(crate) fn timer(&self, id: &str) -> Option<Timestamp> {
        self.timers.get(id).copied()
    }

    /// Whether an earlier attempt waited for this timer and it has fired.
    pub(crate) fn has_fired(&self, id: &str) -> bool {
        self.fired.contains(id)
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn mismatch(what: &str, step: &str, recorded: &str, code: &str) -> Stop {
    let details = format!(
        "{{\"code\":{code},\"recorded\":{recorded},\"step\":{},\"what\":{}}}",
        quoted(step),
        quoted(what)
    );
    Stop::Paused(PauseReason {
        by: String::new(),
        details: Json::from_canonical(details).ok(),
        reason: Code::Nondeterminism.as_str().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::event::Waiting;
    use everloop_types::time::Timestamp;

    #[test]
    fn a_timer_that_was_waited_for_alone_has_fired() {
        let timer = |id: &str| Wait::Timer { at: Timestamp::MAX, id: id.to_owned() };
        let either = Wait::Any(vec![timer("b#1"), Wait::Decision { id: "c#1".to_owned() }]);
        let bodies = [Waiting { r#for: timer("a#1") }, Waiting { r#for: either }];
        let journal = Journal::new(bodies.into_iter().map(EventBody::from));
        assert!(journal.has_fired("a#1"));
        assert!(!journal.has_fired("b#1"));
    }
}
