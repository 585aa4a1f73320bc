//! What was recorded is not done again, and nothing of it is missing.
//!
//! The effects of a mock step are its `custom.mock` events: numbered from 1 in each attempt, all of them before the step is
//! recorded, none after. A step that was cut off runs again in the next attempt and has its effects once more; that is what
//! *in doubt* means.

use super::{Case, Findings};
use crate::crash::plan::Course;
use everloop_types::error::Code;
use everloop_types::event::{EventBody, LostReason};
use everloop_types::limits;
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Effect {
    n: u32,
    step: String,
}

/// What is known of a task after some of its events.
#[derive(Default)]
struct Walk {
    /// Steps that are recorded, in order.
    recorded: Vec<String>,
    /// Effects of each step in this attempt.
    effects: HashMap<String, u32>,
    /// Attempts that were lost in a row without a step.
    lost: u32,
    /// Tries that failed and were followed by another.
    retried: u32,
}

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let mut walk = Walk::default();
    for (event, body) in case.events.iter().zip(&case.bodies) {
        let at = |what: &str| format!("{}, event {}: {what}", case.name(), event.seq);
        match body {
            EventBody::Started(_) => walk.effects.clear(),
            EventBody::Custom { name, data } if name == "mock" => match data.parse::<Effect>() {
                Ok(effect) => walk.effect(&effect, &at, findings),
                Err(error) => findings.violation("event-unreadable", at(&error.to_string())),
            },
            EventBody::StepCompleted(step) => {
                findings.figures.steps += 1;
                walk.lost = 0;
                walk.step(case, &step.step, &at, findings);
            }
            EventBody::LeaseLost(lost) => {
                findings.figures.lost_attempts += 1;
                walk.lost += u32::from(lost.reason == LostReason::Expired);
            }
            EventBody::RetryScheduled(_) => walk.retried += 1,
            EventBody::Completed(end) => {
                let result = end.result.parse::<serde_json::Value>().unwrap_or_default();
                let right = match case.script.course {
                    Course::Effect { .. } => result["status"] == 200,
                    Course::Straight
                    | Course::Retried(_)
                    | Course::Dead
                    | Course::Input { .. }
                    | Course::Paused
                    | Course::Cancelled => result == case.script.result(),
                };
                if !right {
                    findings.violation("result-wrong", at(&format!("{result}")));
                }
                walk.completed(case, &at, findings);
            }
            EventBody::Failed(end) if end.error.code == Code::Poisoned.as_str() => {
                findings.figures.poisoned += 1;
                if walk.lost < limits::LOST_ATTEMPTS {
                    findings
                        .violation("end-wrong", at(&format!("poisoned after {} lost attempts", walk.lost)));
                }
            }
            EventBody::Failed(end) => {
                if case.script.course != Course::Dead || end.error.code != "mock_failure" {
                    findings.violation("end-wrong", at(&format!("failed with {:?}", end.error)));
                } else if walk.retried + 1 != case.script.max_tries {
                    findings.violation("tries-wrong", at(&format!("failed after {} retries", walk.retried)));
                }
            }
            EventBody::Cancelled(_) if case.script.course != Course::Cancelled => {
                findings.violation("end-wrong", at("nobody has cancelled it"));
            }
            // The rest says nothing about steps and their effects.
            _ => {}
        }
    }
}

impl Walk {
    fn effect(&mut self, effect: &Effect, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
        if self.recorded.contains(&effect.step) {
            findings.violation("step-rerun", at(&format!("step {} is recorded and acts", effect.step)));
            return;
        }
        let before = self.effects.entry(effect.step.clone()).or_default();
        if effect.n <= *before {
            findings.violation("effect-doubled", at(&format!("effect {} of step {}", effect.n, effect.step)));
        } else if effect.n > *before + 1 {
            findings
                .violation("effect-missing", at(&format!("effect {} of step {}", *before + 1, effect.step)));
        }
        *before = effect.n;
    }

    fn step(&mut self, case: &Case<'_>, key: &str, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
        // Mock steps have different names here, so that each has the occurrence 1.
        let name = key.strip_suffix("#1").unwrap_or(key).to_owned();
        if self.recorded.contains(&name) {
            findings.violation("step-doubled", at(&format!("step {name} is recorded once more")));
            return;
        }
        match case.script.steps.get(self.recorded.len()) {
            Some(step) if step.name == name => {
                let seen = self.effects.get(&name).copied().unwrap_or(0);
                if seen < step.events {
                    let what = format!("step {name} has {seen} effects of {}", step.events);
                    findings.violation("effect-missing", at(&what));
                }
            }
            Some(step) => {
                findings.violation("step-missing", at(&format!("step {name} stands before {}", step.name)));
            }
            None => findings.violation("step-doubled", at(&format!("step {name} is one too many"))),
        }
        self.recorded.push(name);
    }

    fn completed(&self, case: &Case<'_>, at: &dyn Fn(&str) -> String, findings: &mut Findings) {
        if self.recorded.len() != case.script.steps.len() {
            let what = format!("{} steps of {} are recorded", self.recorded.len(), case.script.steps.len());
            findings.violation("step-missing", at(&what));
        }
        let expected = match case.script.course {
            Course::Retried(tries) => tries,
            Course::Dead => {
                findings.violation("end-wrong", at("it could not complete"));
                return;
            }
            Course::Straight
            | Course::Effect { .. }
            | Course::Input { .. }
            | Course::Paused
            | Course::Cancelled => 0,
        };
        if self.retried != expected {
            let what = format!("{} tries were followed by another, not {expected}", self.retried);
            findings.violation("tries-wrong", at(&what));
        }
    }
}
