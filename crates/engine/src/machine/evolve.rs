//! What an event does to a record.

use everloop_types::event::{EventBody, LostReason};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::limits;
use everloop_types::state::{State, targets};
use everloop_types::task::{
    Arrived, ArrivedWhat, Decided, OpenRequest, PauseReason, Progress, TakenInput, Task, TaskSpec, Usage,
};
use everloop_types::time::Timestamp;

/// What of an event's envelope a record depends on.
#[derive(Clone, Copy, Debug)]
pub struct Meta<'a> {
    /// Its number.
    pub seq: u64,
    /// Its time.
    pub ts: Timestamp,
    /// Who caused it.
    pub actor: &'a str,
    /// Bytes of its data.
    pub bytes: usize,
}

/// An event that the table of transitions does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {event} event is not allowed in state {state}")]
pub struct Illegal {
    /// The state before; `none` before the first event.
    pub state: String,
    /// The type of the event.
    pub event: String,
}

/// The record after `task.submitted`. The input is left out of it.
pub fn born(id: TaskId, tenant: TenantId, meta: Meta<'_>, spec: TaskSpec) -> Task {
    let waits = !spec.depends_on.is_empty() || spec.not_before.is_some_and(|at| at > meta.ts);
    Task {
        id,
        tenant,
        spec: TaskSpec { input: None, ..spec },
        created_by: meta.actor.to_owned(),
        state: if waits { State::Pending } else { State::Queued },
        attempt: 0,
        tries: 0,
        lost: 0,
        lost_total: 0,
        steps: 0,
        open_steps: Vec::new(),
        progress: None,
        usage: Usage { event_bytes: meta.bytes as u64, running_us: 0 },
        error: None,
        retry_at: None,
        waiting_for: None,
        paused: None,
        arrived: Vec::new(),
        open_requests: Vec::new(),
        taken: Vec::new(),
        decided: Default::default(),
        forked_from: None,
        continued_as: None,
        since_digest: 1,
        created_at: meta.ts,
        updated_at: meta.ts,
        started_at: None,
        attempt_at: None,
        finished_at: None,
    }
}

/// Applies an event. Total: whatever the table does not allow is refused and leaves the record as it was.
///
/// # Errors
/// [`Illegal`], by the table in `types::state`.
pub fn evolve(task: &mut Task, meta: Meta<'_>, body: &EventBody) -> Result<(), Illegal> {
    let illegal = |task: &Task| Illegal { state: task.state.to_string(), event: body.kind().into_owned() };
    if task.state.is_terminal() {
        return Err(illegal(task));
    }
    // Exactly one target, or the body says which.
    let only = |task: &Task| targets(Some(task.state), &body.kind()).next().ok_or_else(|| illegal(task));
    let leased = |task: &Task| if task.state.is_leased() { Ok(()) } else { Err(illegal(task)) };
    match body {
        EventBody::Submitted(_) => return Err(illegal(task)),
        EventBody::Ready(_) => {
            task.state = only(task)?;
            task.retry_at = None;
            task.waiting_for = None;
        }
        EventBody::Started(started) => {
            task.state = only(task)?;
            task.attempt = started.attempt;
            task.attempt_at = Some(meta.ts);
            task.started_at.get_or_insert(meta.ts);
        }
        EventBody::Waiting(waiting) => {
            let to = only(task)?;
            end_attempt(task, meta.ts);
            task.waiting_for = Some(waiting.r#for.clone());
            task.state = to;
        }
        EventBody::RetryScheduled(retry) => {
            let to = only(task)?;
            end_attempt(task, meta.ts);
            task.tries += 1;
            task.error = Some(retry.error.clone());
            task.retry_at = Some(retry.at);
            task.state = to;
        }
        EventBody::LeaseLost(lost) => {
            let to = only(task)?;
            end_attempt(task, meta.ts);
            match lost.reason {
                LostReason::Expired => {
                    task.lost += 1;
                    task.lost_total += 1;
                }
                LostReason::HandedBack => {}
            }
            task.state = to;
        }
        EventBody::Pausing(pausing) => {
            task.state = only(task)?;
            let reason = pausing.reason.clone().unwrap_or_else(|| PauseReason::REQUESTED.to_owned());
            task.paused = Some(PauseReason { by: meta.actor.to_owned(), details: None, reason });
        }
        EventBody::Cancelling(_) => {
            task.state = only(task)?;
            task.paused = None;
        }
        EventBody::Paused(paused) => {
            let to = only(task)?;
            end_attempt(task, meta.ts);
            // Its worker says that it has stopped as it was told to: who told it, and why, stands there already.
            if task.state != State::Pausing || paused.reason != PauseReason::REQUESTED {
                task.paused = Some(PauseReason {
                    by: meta.actor.to_owned(),
                    details: paused.details.clone(),
                    reason: paused.reason.clone(),
                });
            }
            task.state = to;
        }
        EventBody::Resumed(resumed) => {
            if !targets(Some(task.state), "task.resumed").any(|to| to == resumed.state) {
                return Err(illegal(task));
            }
            task.state = resumed.state;
            task.paused = None;
            if resumed.state == State::Queued {
                task.retry_at = None;
                task.waiting_for = None;
            }
        }
        EventBody::Completed(completed) => {
            let to = only(task)?;
            finish(task, to, meta.ts);
            task.error = None;
            task.continued_as = completed.continued_as;
        }
        EventBody::Failed(failed) => {
            let to = only(task)?;
            // A try that failed for good counts; a deadline or a prerequisite is not a try.
            if task.state.is_leased() {
                task.tries += 1;
            }
            finish(task, to, meta.ts);
            task.error = Some(failed.error.clone());
        }
        EventBody::Cancelled(_) => {
            let to = only(task)?;
            finish(task, to, meta.ts);
        }
        EventBody::Progressed(progress) => {
            leased(task)?;
            let old = task.progress.take().unwrap_or_default();
            task.progress = Some(Progress {
                done: progress.done.or(old.done),
                note: progress.note.clone().or(old.note),
                total: progress.total.or(old.total),
            });
        }
        EventBody::StepStarted(step) => {
            leased(task)?;
            task.open_steps.retain(|open| *open != step.step);
            task.open_steps.push(step.step.clone());
        }
        EventBody::StepCompleted(step) => {
            // A fork begins with copies of step records, before anybody has claimed it.
            task.open_steps.retain(|open| *open != step.step);
            task.steps += 1;
            task.lost = 0;
        }
        EventBody::StepFailed(step) => {
            task.open_steps.retain(|open| *open != step.step);
            if step.next_at.is_none() {
                task.steps += 1;
                task.lost = 0;
            }
        }
        EventBody::Input(input) => task.arrived.push(Arrived {
            what: ArrivedWhat::Input { id: input.id.clone(), name: input.name.clone() },
            seq: meta.seq,
        }),
        EventBody::Child(child) => {
            task.arrived.push(Arrived { what: ArrivedWhat::Child { task: child.task }, seq: meta.seq });
        }
        EventBody::InputTaken(taken) => {
            if let Some(seq) = task.arrived_input(&taken.id).or_else(|| task.arrived_child(&taken.id)) {
                let forgotten = (task.taken.len() + 1).saturating_sub(limits::KNOWN_INPUTS);
                task.taken.drain(..forgotten);
                task.taken.push(TakenInput { id: taken.id.clone(), seq });
            }
            task.arrived.retain(|arrived| match &arrived.what {
                ArrivedWhat::Input { id, .. } | ArrivedWhat::Decision { id } => *id != taken.id,
                ArrivedWhat::Child { task } => task.to_string() != taken.id,
            });
        }
        EventBody::ApprovalRequested(request) => {
            task.open_requests.retain(|open| open.id != request.id);
            let (choices, id) = (request.choices.clone(), request.id.clone());
            task.open_requests.push(OpenRequest { choices, id, seq: meta.seq });
        }
        EventBody::ApprovalDecision(decision) => {
            task.open_requests.retain(|open| open.id != decision.id);
            let decided =
                Decided { by: meta.actor.to_owned(), decision: decision.decision.clone(), seq: meta.seq };
            task.decided.insert(decision.id.clone(), decided);
        }
        EventBody::Updated(updated) => updated.fields.apply(&mut task.spec),
        EventBody::Forked(forked) => task.forked_from = Some(forked.from.clone()),
        EventBody::Log(_) | EventBody::Custom { .. } | EventBody::Digest(_) => {}
        // These stand in audit streams only.
        EventBody::TaskDeleted(_)
        | EventBody::StreamFolded(_)
        | EventBody::StreamTrimmed(_)
        | EventBody::AuditSegment(_) => return Err(illegal(task)),
    }
    task.since_digest = if matches!(body, EventBody::Digest(_)) { 0 } else { task.since_digest + 1 };
    task.updated_at = meta.ts;
    task.usage.event_bytes += meta.bytes as u64;
    Ok(())
}

fn end_attempt(task: &mut Task, ts: Timestamp) {
    if let Some(since) = task.attempt_at.take() {
        task.usage.running_us += u64::try_from(ts.since(since).as_micros()).unwrap_or(u64::MAX);
    }
}

fn finish(task: &mut Task, to: State, ts: Timestamp) {
    end_attempt(task, ts);
    task.state = to;
    task.finished_at = Some(ts);
    task.waiting_for = None;
    task.retry_at = None;
    task.paused = None;
    task.open_requests.clear();
    task.open_steps.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::error::{Code, TaskError};
    use everloop_types::event::{
        Cancelled, Cancelling, Completed, Failed, LeaseLost, Paused, Pausing, Ready, Resumed, RetryScheduled,
        Started, Waiting,
    };
    use everloop_types::json::Json;
    use everloop_types::state::TRANSITIONS;
    use everloop_types::wait::{Cause, Wait};

    fn meta(seq: u64) -> Meta<'static> {
        Meta { seq, ts: Timestamp::from_micros(1_000_000), actor: "system", bytes: 2 }
    }

    fn task(state: State) -> Task {
        let mut task = born(TaskId([1; 16]), TenantId::DEFAULT, meta(1), TaskSpec::new("mock"));
        task.state = state;
        task
    }

    /// One body of each type that is a transition, leading to this state where the body says so.
    fn bodies(to: State) -> Vec<EventBody> {
        let error = || TaskError::new(Code::Internal, "x");
        vec![
            Ready { cause: Cause::Time, id: None }.into(),
            Started { attempt: 1, kind_version: None, worker: "wkr".to_owned() }.into(),
            Waiting { r#for: Wait::Decision { id: "a#1".to_owned() } }.into(),
            Pausing { reason: None }.into(),
            Paused { details: None, reason: "requested".to_owned() }.into(),
            Resumed { state: to }.into(),
            Cancelling { reason: None }.into(),
            Cancelled { reason: None, unconsumed: Vec::new() }.into(),
            RetryScheduled { at: Timestamp::from_micros(2), error: error() }.into(),
            LeaseLost { attempt: 1, reason: LostReason::Expired }.into(),
            Completed { continued_as: None, result: Json::null(), unconsumed: Vec::new() }.into(),
            Failed { error: error(), unconsumed: Vec::new() }.into(),
        ]
    }

    #[test]
    fn evolving_follows_the_table_and_nothing_else() {
        let mut followed = 0;
        for from in State::ALL {
            for to in State::ALL {
                for body in bodies(to) {
                    let before = task(from);
                    let mut after = before.clone();
                    let result = evolve(&mut after, meta(2), &body);
                    let allowed: Vec<_> = targets(Some(from), &body.kind()).collect();
                    match result {
                        Ok(()) => {
                            assert!(allowed.contains(&after.state), "{from} {} {}", body.kind(), after.state);
                            followed += usize::from(after.state == to);
                        }
                        Err(_) => {
                            assert_eq!(after, before);
                            let resumed = matches!(&body, EventBody::Resumed(_));
                            assert!(
                                allowed.is_empty() || (resumed && !allowed.contains(&to)),
                                "{from} {}",
                                body.kind()
                            );
                        }
                    }
                }
            }
        }
        // Every row but the two of `task.submitted` was taken.
        assert_eq!(followed, TRANSITIONS.len() - 2);
    }

    #[test]
    fn no_event_changes_a_task_that_has_ended() {
        let digest = everloop_types::event::Digest { hash: String::new(), upto_seq: 1 };
        for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            let mut ended = task(state);
            assert!(evolve(&mut ended, meta(2), &digest.clone().into()).is_err());
            assert_eq!(ended, task(state));
        }
    }
}
