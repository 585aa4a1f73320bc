//! What happened to a task, gathered from its events.

mod gather;

use self::gather::{attempts_of, steps_of};
use crate::caller::Caller;
use crate::control::Control;
use crate::follow::page_limit;
use crate::proof::not_finished;
use crate::tasks::{End, Shown};
use everloop_types::error::{Refusal, TaskError};
use everloop_types::event::{Event, EventBody, Level};
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::time::Timestamp;
use std::time::Duration;

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStatus {
    /// It began, and its outcome is not recorded.
    Started,
    /// It failed, and will be tried again.
    Retrying,
    /// Its result is recorded.
    Completed,
    /// It failed for good.
    Failed,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its identity.
    pub step: String,
    /// What kind of step.
    pub kind: String,
    /// Where it stands.
    pub status: StepStatus,
    /// Number of the event that says so.
    pub seq: u64,
    /// SHA-256 of its canonical arguments.
    pub intent: String,
    /// The attempt that ran it.
    pub attempt: Option<u32>,
    /// How many tries of it failed.
    pub failed_tries: u32,
    /// What it gave.
    pub result: Option<Json>,
    /// How it failed.
    pub error: Option<TaskError>,
    /// When it is tried again.
    pub next_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When its outcome was recorded.
    pub ended_at: Option<Timestamp>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptStatus {
    /// It goes on.
    Running,
    /// The task completed.
    Completed,
    /// The task failed for good.
    Failed,
    /// The try failed and there is another one.
    Retrying,
    /// The task waits.
    Waiting,
    /// The task was paused.
    Paused,
    /// The task was cancelled.
    Cancelled,
    /// Its worker was lost.
    Lost,
    /// Its worker gave it back.
    HandedBack,
}

/// One claim of a task by one worker.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its number.
    pub attempt: u32,
    /// Who.
    pub worker: String,
    /// Version of the executor.
    pub kind_version: Option<u32>,
    /// How it ended.
    pub status: AttemptStatus,
    /// Number of its first event.
    pub first_seq: u64,
    /// Number of its last event so far.
    pub last_seq: u64,
    /// When the task came into the queue from which it was claimed.
    pub queued_at: Timestamp,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// How long ago its worker was heard from, while it runs.
    pub heartbeat_age: Option<Duration>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Steps that it recorded.
    pub steps: u32,
    /// Log lines and chunks that it wrote.
    pub log_lines: u32,
    /// How it failed.
    pub error: Option<TaskError>,
}

/// A log line, or a chunk of output.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Number of its event.
    pub seq: u64,
    /// When.
    pub ts: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// Where it came from.
    pub source: String,
    /// Where the chunk begins in its source.
    pub offset: u64,
    /// The text.
    pub text: Option<String>,
    /// The bytes, where they are not UTF-8.
    pub base64: Option<String>,
}

/// A change of a task's course.
#[derive(Clone, Debug)]
pub struct Change {
    /// Type of the event.
    pub kind: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Number of the event.
    pub seq: u64,
    /// Why.
    pub reason: Option<String>,
}

/// A task, the last change of its course, and what can be asked of it.
#[derive(Clone, Debug)]
pub struct Course {
    /// The task.
    pub task: Shown,
    /// The last pause, resumption or cancellation.
    pub last_change: Option<Change>,
    /// What can be asked of it now.
    pub allowed: Vec<&'static str>,
}

impl Control {
    /// How a task ended.
    ///
    /// # Errors
    /// `not_finished` while it lives.
    pub async fn output(&self, caller: &Caller, id: TaskId) -> Result<(Shown, End), Refusal> {
        let mut shown = self.get(caller, id).await?;
        if !shown.task().state.is_terminal() {
            return Err(not_finished(id, shown.task().state));
        }
        let end =
            shown.end.take().unwrap_or_else(|| End { error: shown.task().error.clone(), ..End::default() });
        Ok((shown, end))
    }

    /// A task as its record has it: for what asks about progress.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn progress(&self, caller: &Caller, id: TaskId) -> Result<Shown, Refusal> {
        self.row(caller, id).await.map(Shown::row)
    }

    /// Who wants what of a task.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn course(&self, caller: &Caller, id: TaskId) -> Result<Course, Refusal> {
        let (row, events) = self.whole(caller, id).await?;
        let last_change = events.iter().rev().find_map(change);
        let mut allowed = Vec::new();
        let state = row.task.state;
        let can = |act: crate::bulk::Act| act.states().contains(&state);
        for (act, word) in [
            (crate::bulk::Act::Pause, "pause"),
            (crate::bulk::Act::Resume, "resume"),
            (crate::bulk::Act::Cancel, "cancel"),
        ] {
            if can(act) {
                allowed.push(word);
            }
        }
        if state.is_terminal() {
            allowed.push("delete");
        } else {
            allowed.push("input");
            if !row.task.open_requests.is_empty() {
                allowed.push("decision");
            }
        }
        allowed.push("fork");
        Ok(Course { task: Shown::row(row), last_change, allowed })
    }

    /// The steps of a task, in the order in which they first appeared.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn steps(&self, caller: &Caller, id: TaskId) -> Result<Vec<Step>, Refusal> {
        let (_, events) = self.whole(caller, id).await?;
        Ok(steps_of(&events))
    }

    /// The attempts of a task, first one first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn attempts(&self, caller: &Caller, id: TaskId) -> Result<Vec<Attempt>, Refusal> {
        let (_, events) = self.whole(caller, id).await?;
        let mut attempts = attempts_of(&events);
        let running = attempts.last_mut().filter(|last| last.status == AttemptStatus::Running);
        if let Some((running, worker)) =
            running.and_then(|last| last.worker.parse::<WorkerId>().ok().map(|worker| (last, worker)))
        {
            let heard = self.engine().read(move |store| store.worker(worker)).await?;
            // A claim is a sign of life as well.
            let heard = heard.map(|worker| worker.last_heartbeat_at.max(running.started_at));
            running.heartbeat_age = heard.map(|heard| self.now().since(heard));
        }
        Ok(attempts)
    }

    /// A page of the log of an attempt after an event: lines of at least this level.
    ///
    /// # Errors
    /// `not_found` for the task or the attempt.
    pub async fn logs(
        &self,
        caller: &Caller,
        id: TaskId,
        attempt: u32,
        level: Option<Level>,
        after: u64,
        limit: Option<usize>,
    ) -> Result<(Vec<LogLine>, Option<u64>), Refusal> {
        let limit = page_limit(limit)?;
        let (_, events) = self.whole(caller, id).await?;
        let attempts = attempts_of(&events);
        let Some(found) = attempts.iter().find(|found| found.attempt == attempt) else {
            let detail = format!("attempt {attempt} of task {id}");
            return Err(Refusal::not_found(detail).hint(format!("it has {}", attempts.len())));
        };
        let mut lines = Vec::new();
        for event in &events {
            if event.seq <= after.max(found.first_seq) || event.seq > found.last_seq || event.kind != "log" {
                continue;
            }
            let Ok(Some(EventBody::Log(body))) = event.body() else { continue };
            if level.is_some_and(|least| body.level < least) {
                continue;
            }
            if lines.len() == limit {
                let next = lines.last().map(|line: &LogLine| line.seq);
                return Ok((lines, next));
            }
            lines.push(LogLine {
                seq: event.seq,
                ts: event.ts,
                level: body.level,
                source: body.source,
                offset: body.offset,
                text: body.text,
                base64: body.base64,
            });
        }
        Ok((lines, None))
    }
}

fn change(event: &Event) -> Option<Change> {
    let reason = match event.body() {
        Ok(Some(EventBody::Pausing(body))) => body.reason,
        Ok(Some(EventBody::Paused(body))) => Some(body.reason),
        Ok(Some(EventBody::Resumed(_))) => None,
        Ok(Some(EventBody::Cancelling(body))) => body.reason,
        Ok(Some(EventBody::Cancelled(body))) => body.reason,
        _ => return None,
    };
    Some(Change {
        kind: event.kind.clone().into_owned(),
        by: event.actor.clone(),
        at: event.ts,
        seq: event.seq,
        reason,
    })
}

/// How much of a task is done, in percent.
pub fn percent(shown: &Shown) -> Option<u8> {
    let task = shown.task();
    if task.state == State::Completed {
        return Some(100);
    }
    let progress = task.progress.as_ref()?;
    let (done, total) = (progress.done?, progress.total.filter(|total| *total > 0)?);
    u8::try_from(u128::from(done.min(total)) * 100 / u128::from(total)).ok()
}
