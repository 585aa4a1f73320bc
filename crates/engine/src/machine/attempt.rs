//! The holder of a task writes its events and ends its attempt.

use super::evolve::{Meta, evolve};
use super::{Decision, Draft, View, cancelled, completed, failed, illegal, unconsumed, wake};
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::event::{Completed, EventBody, LeaseLost, LostReason, RetryScheduled, Waiting};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::random::Random;
use everloop_types::state::State;
use everloop_types::task::{PauseReason, Task};
use everloop_worker::source::AttemptEnd;

/// What a holder sends.
#[derive(Clone, Debug)]
pub struct Write {
    /// What it shows.
    pub token: LeaseToken,
    /// Number of the batch in this attempt, from 1.
    pub batch: u32,
    /// Who it is.
    pub actor: String,
    /// Events.
    pub events: Vec<EventBody>,
    /// How the attempt ends, if it does.
    pub end: Option<AttemptEnd>,
    /// Id for the task that goes on, where one does.
    pub successor: TaskId,
}

impl Write {
    /// Values that it carries: any of them may be the name of a blob.
    pub fn values(&self) -> impl Iterator<Item = &Json> {
        let end = self.end.as_ref().and_then(|end| match end {
            AttemptEnd::Completed { result } => Some(result),
            AttemptEnd::ContinuedAs { input } => Some(input),
            _ => None,
        });
        self.events.iter().filter_map(|body| body.value().map(|(_, value)| value)).chain(end)
    }

    /// The same, to be replaced.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Json> {
        let end = self.end.as_mut().and_then(|end| match end {
            AttemptEnd::Completed { result } => Some(result),
            AttemptEnd::ContinuedAs { input } => Some(input),
            _ => None,
        });
        self.events.iter_mut().filter_map(EventBody::value_mut).chain(end)
    }
}

/// Whether the token is that of the current lease.
///
/// # Errors
/// `lease_lost`.
pub fn fence(view: View<'_>, token: LeaseToken) -> Result<(), Refusal> {
    match view.lease {
        Some(lease) if lease.token == token => Ok(()),
        Some(_) | None => Err(Refusal::new(
            Code::LeaseLost,
            format!("attempt {} of task {} is over or is not yours", token.attempt, view.task.id),
        )
        .hint("stop working on it: whatever was recorded is kept, and another attempt goes on from there")),
    }
}

/// The events, and those that the end of the attempt comes to. A batch that was written already changes nothing.
pub fn decide(view: View<'_>, write: Write, random: &dyn Random) -> Decision {
    fence(view, write.token)?;
    let last = view.lease.map_or(0, |lease| lease.batch);
    if write.batch <= last {
        return Ok(Vec::new());
    }
    if write.batch != last + 1 {
        let message = format!("must be {}: batches of an attempt are numbered without gaps", last + 1);
        return Err(Refusal::field("batch", message));
    }
    check(view, &write)?;
    let mut after = view.task.clone();
    let mut drafts: Vec<Draft> = Vec::with_capacity(write.events.len() + 1);
    for body in write.events {
        let meta = Meta { seq: view.seq, ts: view.now, actor: &write.actor, bytes: 0 };
        evolve(&mut after, meta, &body)
            .map_err(|error| Refusal::field(format!("events[{}]", drafts.len()), error.to_string()))?;
        drafts.push(Draft { actor: write.actor.clone(), body });
    }
    if let Some(end) = write.end {
        drafts.extend(ending(View { task: &after, ..view }, &write.actor, end, write.successor, random)?);
    }
    Ok(drafts)
}

/// What a worker may write by itself, and how much of it.
fn check(view: View<'_>, write: &Write) -> Result<(), Refusal> {
    for (i, body) in write.events.iter().enumerate() {
        let allowed = match body {
            EventBody::Progressed(_)
            | EventBody::Log(_)
            | EventBody::StepStarted(_)
            | EventBody::StepCompleted(_)
            | EventBody::StepFailed(_)
            | EventBody::InputTaken(_)
            | EventBody::ApprovalRequested(_)
            | EventBody::Custom { .. } => true,
            EventBody::Submitted(_)
            | EventBody::Ready(_)
            | EventBody::Started(_)
            | EventBody::Updated(_)
            | EventBody::Waiting(_)
            | EventBody::Input(_)
            | EventBody::ApprovalDecision(_)
            | EventBody::Pausing(_)
            | EventBody::Paused(_)
            | EventBody::Resumed(_)
            | EventBody::Cancelling(_)
            | EventBody::Cancelled(_)
            | EventBody::RetryScheduled(_)
            | EventBody::LeaseLost(_)
            | EventBody::Child(_)
            | EventBody::Forked(_)
            | EventBody::Completed(_)
            | EventBody::Failed(_)
            | EventBody::Digest(_)
            | EventBody::TaskDeleted(_)
            | EventBody::StreamFolded(_)
            | EventBody::StreamTrimmed(_)
            | EventBody::AuditSegment(_) => false,
        };
        if !allowed {
            let message =
                format!("a worker can't write {}: it is written by what it stands for", body.kind());
            return Err(Refusal::field(format!("events[{i}].type"), message));
        }
    }
    let events = view.seq + write.events.len() as u64;
    if !write.events.is_empty() && events > limits::TASK_EVENTS {
        let detail =
            format!("task {} has {} events of at most {}", view.task.id, view.seq, limits::TASK_EVENTS);
        return Err(Refusal::new(Code::LimitReached, detail)
            .hint("end the task with continue_as and go on in a new one"));
    }
    if view.task.open_steps.len() + write.events.len() > limits::UNFINISHED_STEPS {
        let detail = format!("task {} has {} unfinished steps", view.task.id, view.task.open_steps.len());
        return Err(Refusal::new(Code::LimitReached, detail).hint("await some before starting more"));
    }
    Ok(())
}

fn ending(view: View<'_>, actor: &str, end: AttemptEnd, successor: TaskId, random: &dyn Random) -> Decision {
    let task = view.task;
    let cancelling = task.state == State::Cancelling;
    let give_up = || Ok(vec![Draft::by(actor, cancelled(task, None))]);
    match end {
        AttemptEnd::Completed { result } => Ok(vec![Draft::by(actor, completed(task, result))]),
        AttemptEnd::ContinuedAs { .. } => Ok(vec![Draft::by(
            actor,
            Completed {
                continued_as: Some(successor),
                result: everloop_types::json::Json::null(),
                unconsumed: unconsumed(task),
            },
        )]),
        AttemptEnd::Failed { error } => Ok(vec![failing(view, actor, error, random)]),
        AttemptEnd::Waiting { .. } | AttemptEnd::Paused { .. } | AttemptEnd::Released if cancelling => {
            give_up()
        }
        AttemptEnd::Waiting { wait } => {
            // Decided here, in the transaction that ends the attempt: what came in time wakes the task at once.
            let woken = if task.state == State::Running { wake(task, &wait, view.now) } else { None };
            Ok(std::iter::once(Draft::by(actor, Waiting { r#for: wait })).chain(woken).collect())
        }
        // It stopped because it was asked to, and was resumed before that was known: another attempt goes on.
        AttemptEnd::Paused { reason }
            if task.state == State::Running && reason.reason == PauseReason::REQUESTED =>
        {
            Ok(vec![Draft::by(actor, LeaseLost { attempt: task.attempt, reason: LostReason::HandedBack })])
        }
        AttemptEnd::Paused { reason } => Ok(vec![Draft::by(
            actor,
            everloop_types::event::Paused { details: reason.details, reason: reason.reason },
        )]),
        AttemptEnd::Released => {
            Ok(vec![Draft::by(actor, LeaseLost { attempt: task.attempt, reason: LostReason::HandedBack })])
        }
        AttemptEnd::Cancelled if cancelling => give_up(),
        AttemptEnd::Cancelled => {
            Err(illegal(task, "ended as cancelled by its worker", "cancel the task, or fail it"))
        }
    }
}

fn failing(view: View<'_>, actor: &str, error: TaskError, random: &dyn Random) -> Draft {
    let task: &Task = view.task;
    let tries = task.tries + 1;
    let again = error.class.is_retried() && tries < task.spec.policy.retry.max_tries;
    match task.state {
        // It would have been tried again, but nobody wants it any more; or it ended because of that.
        State::Cancelling if again || error.class == everloop_types::error::Class::Cancelled => {
            Draft::by(actor, cancelled(task, None))
        }
        _ if again => {
            let at = view.now.plus(task.spec.policy.retry.delay(tries, random));
            Draft::by(actor, RetryScheduled { at, error })
        }
        _ => Draft::by(actor, failed(task, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TOKEN, input, kinds, lease, ready, retry, running, started, view};
    use super::*;
    use everloop_testkit::random::Seeded;
    use everloop_types::error::Class;
    use everloop_types::event::{Cancelling, InputTaken, Pausing, Progressed};
    use everloop_types::wait::Wait;

    /// What comes of the first batch of its holder, after so many events.
    fn writes(task: &Task, seq: u64, events: Vec<EventBody>, end: Option<AttemptEnd>) -> Decision {
        let lease = lease(task);
        let view = View { seq, lease: Some(&lease), ..view(task, 9) };
        let (actor, successor) = ("wkr".to_owned(), TaskId([3; 16]));
        decide(view, Write { token: TOKEN, batch: 1, actor, events, end, successor }, &Seeded::new(1))
    }

    fn progress() -> EventBody {
        Progressed { done: Some(1), note: None, total: None }.into()
    }

    #[test]
    fn a_holder_writes_only_what_is_its_own_to_say() {
        let task = running(Vec::new());
        assert_eq!(writes(&task, 2, vec![progress()], None).unwrap().len(), 1);
        let ended = Completed { continued_as: None, result: Json::null(), unconsumed: Vec::new() };
        for forged in [ended.into(), input("sig_1")] {
            let refusal = writes(&task, 2, vec![progress(), forged], None).unwrap_err();
            assert_eq!(refusal.errors[0].field, "events[1].type", "{refusal:?}");
        }
    }

    #[test]
    fn the_end_knows_what_came_before_it_in_its_batch() {
        let task = running(vec![input("sig_1")]);
        let end = || Some(AttemptEnd::Completed { result: Json::null() });
        let unconsumed = |events| match &writes(&task, 3, events, end()).unwrap().last().unwrap().body {
            EventBody::Completed(completed) => completed.unconsumed.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(unconsumed(Vec::new()), ["sig_1"]);
        let taken = InputTaken { id: "sig_1".to_owned(), step: "input#1".to_owned() };
        assert!(unconsumed(vec![taken.into()]).is_empty());
    }

    #[test]
    fn an_attempt_ends_as_its_state_has_it() {
        let cancelling = || Cancelling { reason: None }.into();
        let pausing = || Pausing { reason: None }.into();
        let paused = |reason: &str| AttemptEnd::Paused {
            reason: PauseReason { by: String::new(), details: None, reason: reason.to_owned() },
        };
        let failed = |class| AttemptEnd::Failed {
            error: TaskError { class, code: "x".to_owned(), details: None, message: String::new() },
        };
        let waiting =
            || AttemptEnd::Waiting { wait: Wait::Input { id: "w#1".to_owned(), name: "go".to_owned() } };
        let completed = || AttemptEnd::Completed { result: Json::null() };
        // As often as a task is tried when nothing else is said.
        let once_more = || [retry(3), ready(), started()];
        let last: Vec<_> = [once_more(), once_more()].into_iter().flatten().collect();
        let ends = |before, end| kinds(writes(&running(before), 9, Vec::new(), Some(end)));
        for (before, end, expected) in [
            (vec![], completed(), vec!["task.completed"]),
            (vec![pausing()], completed(), vec!["task.completed"]),
            (vec![cancelling()], completed(), vec!["task.completed"]),
            (vec![], waiting(), vec!["task.waiting"]),
            (vec![input("sig_1")], waiting(), vec!["task.waiting", "task.ready"]),
            (vec![input("sig_1"), pausing()], waiting(), vec!["task.waiting"]),
            (vec![cancelling()], waiting(), vec!["task.cancelled"]),
            (vec![], paused("nondeterminism"), vec!["task.paused"]),
            (vec![], paused("requested"), vec!["task.lease_lost"]),
            (vec![pausing()], paused("requested"), vec!["task.paused"]),
            (vec![cancelling()], paused("requested"), vec!["task.cancelled"]),
            (vec![], AttemptEnd::Released, vec!["task.lease_lost"]),
            (vec![cancelling()], AttemptEnd::Released, vec!["task.cancelled"]),
            (vec![cancelling()], AttemptEnd::Cancelled, vec!["task.cancelled"]),
            (vec![], failed(Class::Transient), vec!["task.retry_scheduled"]),
            (once_more().to_vec(), failed(Class::Transient), vec!["task.retry_scheduled"]),
            (last, failed(Class::Transient), vec!["task.failed"]),
            (vec![], failed(Class::Validation), vec!["task.failed"]),
            (vec![], failed(Class::Cancelled), vec!["task.failed"]),
            (vec![cancelling()], failed(Class::Transient), vec!["task.cancelled"]),
            (vec![cancelling()], failed(Class::Cancelled), vec!["task.cancelled"]),
            (vec![cancelling()], failed(Class::Validation), vec!["task.failed"]),
        ] {
            let case = format!("{before:?} {end:?}");
            assert_eq!(ends(before, end).unwrap(), expected, "{case}");
        }
        assert_eq!(ends(vec![], AttemptEnd::Cancelled), Err(Code::IllegalTransition));
    }

    #[test]
    fn a_task_has_so_many_events_and_can_end_then() {
        let task = running(Vec::new());
        let code = |seq, events, end| writes(&task, seq, events, end).map_err(|refusal| refusal.code);
        let end = || Some(AttemptEnd::Completed { result: Json::null() });
        assert_eq!(code(limits::TASK_EVENTS - 1, vec![progress()], None).unwrap().len(), 1);
        assert_eq!(code(limits::TASK_EVENTS, vec![progress()], end()), Err(Code::LimitReached));
        assert_eq!(code(limits::TASK_EVENTS, Vec::new(), end()).unwrap().len(), 1);
        assert_eq!(code(limits::TASK_EVENTS + 1, Vec::new(), end()).unwrap().len(), 1);
    }

    #[test]
    fn a_task_has_so_many_steps_without_an_outcome() {
        let mut task = running(Vec::new());
        task.open_steps = (1..limits::UNFINISHED_STEPS).map(|n| format!("s#{n}")).collect();
        assert!(writes(&task, 2, vec![progress()], None).is_ok());
        let refused = |task: &Task, events| {
            assert_eq!(writes(task, 2, events, None).unwrap_err().code, Code::LimitReached);
        };
        refused(&task, vec![progress(), progress()]);
        task.open_steps.push("s#0".to_owned());
        refused(&task, vec![progress()]);
    }
}
