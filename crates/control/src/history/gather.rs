//! Folds over the events of a task.

use super::{Attempt, AttemptStatus, Step, StepStatus};
use everloop_types::event::{Event, EventBody, LostReason};
use std::collections::HashMap;

/// The steps, in the order in which they first appeared.
pub(super) fn steps_of(events: &[Event]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for event in events {
        let Ok(Some(body)) = event.body() else { continue };
        let (key, kind, intent) = match &body {
            EventBody::StepStarted(b) => (&b.step, &b.kind, &b.intent),
            EventBody::StepCompleted(b) => (&b.step, &b.kind, &b.intent),
            EventBody::StepFailed(b) => (&b.step, &b.kind, &b.intent),
            _ => continue,
        };
        let place = *places.entry(key.clone()).or_insert_with(|| {
            steps.push(Step {
                step: key.clone(),
                kind: kind.clone(),
                status: StepStatus::Started,
                seq: event.seq,
                intent: intent.clone(),
                attempt: None,
                failed_tries: 0,
                result: None,
                error: None,
                next_at: None,
                started_at: None,
                ended_at: None,
            });
            steps.len() - 1
        });
        let step = &mut steps[place];
        step.seq = event.seq;
        match body {
            EventBody::StepStarted(b) => step.started_at = Some(b.at),
            EventBody::StepCompleted(b) => {
                step.status = StepStatus::Completed;
                step.attempt = Some(b.attempt);
                step.result = Some(b.result);
                step.error = None;
                step.next_at = None;
                step.started_at = Some(b.started_at);
                step.ended_at = Some(event.ts);
            }
            EventBody::StepFailed(b) => {
                step.status = if b.next_at.is_some() { StepStatus::Retrying } else { StepStatus::Failed };
                step.failed_tries += 1;
                step.error = Some(b.error);
                step.next_at = b.next_at;
                step.ended_at = Some(event.ts).filter(|_| b.next_at.is_none());
            }
            _ => {}
        }
    }
    steps
}

/// The attempts, first one first.
pub(super) fn attempts_of(events: &[Event]) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut queued_at = events.first().map(|event| event.ts).unwrap_or_default();
    for event in events {
        if matches!(event.kind.as_ref(), "task.ready" | "task.resumed" | "task.lease_lost") {
            queued_at = event.ts;
        }
        let body = event.body().ok().flatten();
        if let Some(EventBody::Started(started)) = body {
            attempts.push(Attempt {
                attempt: started.attempt,
                worker: started.worker,
                kind_version: started.kind_version,
                status: AttemptStatus::Running,
                first_seq: event.seq,
                last_seq: event.seq,
                queued_at,
                started_at: event.ts,
                heartbeat_age: None,
                ended_at: None,
                steps: 0,
                log_lines: 0,
                error: None,
            });
            continue;
        }
        let Some(open) = attempts.last_mut().filter(|attempt| attempt.status == AttemptStatus::Running)
        else {
            continue;
        };
        open.last_seq = event.seq;
        // By type first: a payload may be gone.
        match event.kind.as_ref() {
            "log" => open.log_lines += 1,
            "step.completed" => open.steps += 1,
            _ => {}
        }
        let ended = match body {
            Some(EventBody::Completed(_)) => Some((AttemptStatus::Completed, None)),
            Some(EventBody::Failed(failed)) => Some((AttemptStatus::Failed, Some(failed.error))),
            Some(EventBody::RetryScheduled(retry)) => Some((AttemptStatus::Retrying, Some(retry.error))),
            Some(EventBody::Waiting(_)) => Some((AttemptStatus::Waiting, None)),
            Some(EventBody::Paused(_)) => Some((AttemptStatus::Paused, None)),
            Some(EventBody::Cancelled(_)) => Some((AttemptStatus::Cancelled, None)),
            Some(EventBody::LeaseLost(lost)) => match lost.reason {
                LostReason::Expired => Some((AttemptStatus::Lost, None)),
                LostReason::HandedBack => Some((AttemptStatus::HandedBack, None)),
            },
            _ => None,
        };
        if let Some((status, error)) = ended {
            open.status = status;
            open.error = error;
            open.ended_at = Some(event.ts);
        }
    }
    attempts
}
