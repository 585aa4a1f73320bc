//! Rules about each event, in the light of those before it.

use super::waits::in_time;
use super::{Oracle, Told, Verdict};
use everloop_types::event::{Event, EventBody, LostReason};
use everloop_types::id::TaskId;
use everloop_types::limits::LOST_ATTEMPTS;
use everloop_types::state::State;
use everloop_types::task::DependsOn;
use everloop_types::time::Timestamp;
use everloop_types::wait::{Cause, Wait};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What of a stream the rules need, beside the record.
#[derive(Default)]
pub(super) struct Facts {
    /// The attempt that runs, and whose it is.
    pub(super) holder: Option<(u32, String)>,
    /// Steps with an outcome for good.
    pub(super) recorded: BTreeMap<String, String>,
    /// How often each step was recorded as started, and how often it failed and was to be tried again.
    pub(super) starts: BTreeMap<String, (u32, u32)>,
    /// Failed tries by step.
    pub(super) failures: BTreeMap<String, u32>,
    /// Inputs in order: id, name, and whether a step took it.
    pub(super) inputs: Vec<(String, String, bool)>,
    /// Requests and the answers to them.
    pub(super) decisions: BTreeMap<String, String>,
    children: BTreeSet<TaskId>,
    lost_in_a_row: u32,
    waiting: Option<Wait>,
    /// The attempt that ran when the task was ended from outside: it is told in its own time.
    pub(super) cut_off: Option<u32>,
    /// Since when its worker shall give up.
    cancelling: Option<Timestamp>,
}

impl Facts {
    pub(super) fn learn(&mut self, event: &Event, body: &EventBody) {
        match body {
            EventBody::Started(started) => {
                self.holder = Some((started.attempt, started.worker.clone()));
                self.waiting = None;
            }
            EventBody::StepStarted(step) => {
                let attempt = self.holder.as_ref().map_or(0, |(attempt, _)| *attempt);
                let starts = self.starts.entry(step.step.clone()).or_default();
                *starts = (starts.0 + 1, attempt);
            }
            EventBody::StepCompleted(step) => {
                self.recorded.insert(step.step.clone(), step.result.as_str().to_owned());
                self.lost_in_a_row = 0;
            }
            EventBody::StepFailed(step) => {
                *self.failures.entry(step.step.clone()).or_default() += 1;
                if step.next_at.is_none() {
                    self.recorded.insert(step.step.clone(), String::new());
                }
            }
            EventBody::Input(input) => self.inputs.push((input.id.clone(), input.name.clone(), false)),
            EventBody::InputTaken(taken) => {
                if let Some(input) = self.inputs.iter_mut().find(|(id, ..)| *id == taken.id) {
                    input.2 = true;
                }
            }
            EventBody::ApprovalDecision(made) => {
                self.decisions.insert(made.id.clone(), made.decision.clone());
            }
            EventBody::Child(child) => {
                self.children.insert(child.task);
            }
            EventBody::Waiting(waiting) => {
                self.holder = None;
                self.waiting = Some(waiting.r#for.clone());
            }
            EventBody::LeaseLost(lost) => {
                self.holder = None;
                self.lost_in_a_row += u32::from(lost.reason == LostReason::Expired);
            }
            EventBody::Cancelling(_) => self.cancelling = Some(event.ts),
            EventBody::Paused(_) | EventBody::RetryScheduled(_) => self.holder = None,
            _ if event.is_terminal() => {
                self.cut_off = self.holder.take().map(|(attempt, _)| attempt);
            }
            _ => {}
        }
    }
}

/// Every rule about this event.
pub(super) fn rules(
    oracle: &Oracle,
    task: TaskId,
    event: &Event,
    body: &EventBody,
) -> Vec<(&'static str, Verdict)> {
    let told = &oracle.tasks[&task];
    let at = |verdict: Verdict| verdict.map_err(|why| format!("{task}/{} {}: {why}", event.seq, event.kind));
    vec![
        ("nothing is taken from an older lease", at(comes_from_the_holder(told, event, body))),
        ("attempts are counted", at(attempts_are_counted(told, body))),
        ("a step has one outcome", at(step_has_one_outcome(told, body))),
        ("an input comes once, and is taken once and in order", at(inputs_in_order(told, body))),
        ("a question is answered once", at(answered_once(told, body))),
        ("a child's end is told once", at(child_told_once(told, body))),
        ("a wait ends once, for its reason", at(ready_for_a_reason(oracle, told, event, body))),
        ("a cancel is heard at once where nothing goes wrong", at(cancel_is_heard(oracle, told, event))),
        ("a task fails for its reason", at(fails_for_a_reason(told, event, body))),
        ("what is due is done at once where nothing goes wrong", at(in_time(oracle, told, event, body))),
    ]
}

fn comes_from_the_holder(told: &Told, event: &Event, body: &EventBody) -> Verdict {
    if !event.actor.starts_with("wkr_") || matches!(body, EventBody::Started(_)) {
        return Ok(());
    }
    let Some((attempt, worker)) = &told.facts.holder else {
        return Err(format!("{} wrote it, and nobody held the task", event.actor));
    };
    if *worker != event.actor {
        return Err(format!("{} wrote it, and attempt {attempt} is {worker}'s", event.actor));
    }
    match body {
        EventBody::StepCompleted(step) if step.attempt != *attempt => {
            Err(format!("attempt {} wrote it during attempt {attempt}", step.attempt))
        }
        _ => Ok(()),
    }
}

fn attempts_are_counted(told: &Told, body: &EventBody) -> Verdict {
    match body {
        EventBody::Started(started) if started.attempt != told.task.attempt + 1 => {
            Err(format!("attempt {} follows attempt {}", started.attempt, told.task.attempt))
        }
        EventBody::Started(_) if told.facts.holder.is_some() => Err("the task was held already".to_owned()),
        _ => Ok(()),
    }
}

fn step_has_one_outcome(told: &Told, body: &EventBody) -> Verdict {
    let step = match body {
        EventBody::StepCompleted(step) => &step.step,
        EventBody::StepFailed(step) => &step.step,
        _ => return Ok(()),
    };
    if told.facts.recorded.contains_key(step) {
        return Err(format!("step {step} had an outcome before"));
    }
    Ok(())
}

fn inputs_in_order(told: &Told, body: &EventBody) -> Verdict {
    let inputs = &told.facts.inputs;
    match body {
        EventBody::Input(input) if inputs.iter().any(|(id, ..)| *id == input.id) => {
            Err(format!("input {} had come before", input.id))
        }
        EventBody::InputTaken(taken)
            if told.facts.children.iter().any(|child| child.to_string() == taken.id) =>
        {
            Ok(())
        }
        EventBody::InputTaken(taken) => {
            let Some((_, name, was_taken)) = inputs.iter().find(|(id, ..)| *id == taken.id) else {
                return Err(format!("input {} never came", taken.id));
            };
            if *was_taken {
                return Err(format!("input {} was taken before", taken.id));
            }
            match inputs.iter().find(|(_, of, taken)| of == name && !taken) {
                Some((first, ..)) if *first != taken.id => {
                    Err(format!("input {} was taken before {first}, which came first", taken.id))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn answered_once(told: &Told, body: &EventBody) -> Verdict {
    match body {
        EventBody::ApprovalDecision(made) if told.facts.decisions.contains_key(&made.id) => {
            Err(format!("{} was answered before", made.id))
        }
        _ => Ok(()),
    }
}

fn child_told_once(told: &Told, body: &EventBody) -> Verdict {
    match body {
        EventBody::Child(child) if told.facts.children.contains(&child.task) => {
            Err(format!("the end of {} was told before", child.task))
        }
        _ => Ok(()),
    }
}

fn ready_for_a_reason(oracle: &Oracle, told: &Told, event: &Event, body: &EventBody) -> Verdict {
    let task = &told.task;
    let holds = |leaf: &Wait| match leaf {
        Wait::Timer { at, .. } => *at <= event.ts,
        Wait::Input { name, .. } => told.facts.inputs.iter().any(|(_, of, taken)| of == name && !taken),
        Wait::Decision { id } => told.facts.decisions.contains_key(id),
        Wait::Child { task, .. } => told.facts.children.contains(task),
        Wait::All(_) | Wait::Any(_) => false,
    };
    let still = told.facts.waiting.as_ref().filter(|wait| wait.satisfied(&holds).is_none());
    let ready = match body {
        EventBody::Ready(ready) => ready,
        EventBody::Resumed(resumed) if resumed.state == State::Queued => {
            return still.map_or(Ok(()), |wait| Err(format!("it still waits for {wait:?}")));
        }
        _ => return Ok(()),
    };
    let later = |at: Option<Timestamp>| at.is_some_and(|at| at > event.ts);
    if task.state == State::Pending && (later(task.retry_at) || later(task.spec.not_before)) {
        return Err(format!(
            "not before {:?}, and {:?} is the next try",
            task.spec.not_before, task.retry_at
        ));
    }
    match ready.cause {
        Cause::Timer | Cause::Input | Cause::Decision | Cause::Child => match (&told.facts.waiting, still) {
            (Some(_), None) => Ok(()),
            (_, Some(wait)) => Err(format!("it still waits for {wait:?}")),
            (None, None) => Err("it did not wait".to_owned()),
        },
        Cause::Dependency => {
            let unmet = task.spec.depends_on.iter().find(|on| {
                oracle.tasks.get(&on.task).is_none_or(|other| {
                    let state = other.task.state;
                    !state.is_terminal() || (on.on == DependsOn::Completed && state != State::Completed)
                })
            });
            unmet.map_or(Ok(()), |on| Err(format!("{} has not ended as it must", on.task)))
        }
        Cause::Retry | Cause::Time => Ok(()),
    }
}

fn cancel_is_heard(oracle: &Oracle, told: &Told, event: &Event) -> Verdict {
    match told.facts.cancelling {
        Some(at) if oracle.quiet && event.is_terminal() && event.ts.since(at) > Duration::from_secs(5) => {
            Err(format!("it was cancelled at {at}"))
        }
        _ => Ok(()),
    }
}

fn fails_for_a_reason(told: &Told, event: &Event, body: &EventBody) -> Verdict {
    let EventBody::Failed(failed) = body else { return Ok(()) };
    match failed.error.code.as_str() {
        "deadline" if told.task.spec.policy.deadline.is_none_or(|at| at > event.ts) => {
            Err(format!("its deadline is {:?}", told.task.spec.policy.deadline))
        }
        "poisoned" if told.facts.lost_in_a_row < LOST_ATTEMPTS => {
            Err(format!("{} attempts in a row were lost", told.facts.lost_in_a_row))
        }
        _ => Ok(()),
    }
}
