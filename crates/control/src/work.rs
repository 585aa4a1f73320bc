//! The worker protocol: what workers elsewhere ask.

use crate::caller::Caller;
use crate::check;
use crate::control::Control;
use crate::tasks::no_task;
use crate::workers::Seen;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::EventBody;
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::names::is_line;
use everloop_types::stream::StreamName;
use everloop_types::worker::{Replay, WorkerSpec};
pub use everloop_worker::source::{Assignment, AttemptEnd, Frame, JournalEntry, Signal, TaskSignal};
use everloop_worker::source::{SourceError, WorkSource, is_journal};
use std::sync::PoisonError;
use std::time::Duration;

/// What a holder writes.
#[derive(Clone, Debug)]
pub struct Writing {
    /// Who it is.
    pub worker: WorkerId,
    /// Which attempt the path names.
    pub attempt: u32,
    /// What it shows.
    pub lease: LeaseToken,
    /// Number of the batch.
    pub batch: u32,
    /// Events.
    pub events: Vec<EventBody>,
    /// How the attempt ends, if it does.
    pub end: Option<AttemptEnd>,
}

fn refused(error: SourceError) -> Refusal {
    match error {
        SourceError::Refused(refusal) => refusal,
        SourceError::Unavailable(detail) => Refusal::new(Code::StorageUnavailable, detail)
            .hint("send the same request again")
            .retry_after_ms(1_000),
    }
}

impl Control {
    /// Makes a worker known.
    ///
    /// # Errors
    /// What is wrong with what it says about itself.
    pub async fn work_register(&self, caller: &Caller, spec: WorkerSpec) -> Result<Seen, Refusal> {
        check::worker(&spec)?;
        let id = self.remote().register(spec).await.map_err(refused)?;
        self.offered().write().unwrap_or_else(PoisonError::into_inner).forget();
        self.worker(caller, id).await
    }

    /// A worker lives.
    ///
    /// # Errors
    /// `not_found` where it has to register again.
    pub async fn work_heartbeat(
        &self,
        _: &Caller,
        worker: WorkerId,
        trouble: Option<String>,
    ) -> Result<(), Refusal> {
        if !trouble.as_ref().is_none_or(|trouble| is_line(trouble, limits::TITLE_CHARS)) {
            return Err(Refusal::field(
                "trouble",
                format!("must be one line of at most {} characters", limits::TITLE_CHARS),
            ));
        }
        self.remote().heartbeat(worker, trouble).await.map_err(refused)
    }

    /// A worker waits for tasks.
    ///
    /// # Errors
    /// `not_found` where it has to register again.
    pub async fn work_claim(
        &self,
        _: &Caller,
        worker: WorkerId,
        max: u32,
        request: u64,
        wait: Duration,
    ) -> Result<Vec<Assignment>, Refusal> {
        if !(1..=1_000).contains(&max) {
            return Err(Refusal::field("max", "must be 1 to 1000"));
        }
        let claimed = self.remote().claim(worker, max, wait.min(limits::WAIT_MAX), request).await;
        let replay = self.options().replay_always.then_some(Replay::Always);
        let assigned = claimed.map_err(refused)?.into_iter().map(|task| Assignment { replay, ..task });
        Ok(assigned.collect())
    }

    /// A worker holds its tasks for another term; gives those that it has lost.
    ///
    /// # Errors
    /// If the pipeline is not available.
    pub async fn work_renew(
        &self,
        _: &Caller,
        worker: WorkerId,
        leases: Vec<(TaskId, LeaseToken)>,
    ) -> Result<Vec<TaskId>, Refusal> {
        if leases.len() > 1_000 {
            return Err(Refusal::field("leases", "must be at most 1000"));
        }
        self.remote().renew(worker, leases).await.map_err(refused)
    }

    /// A worker waits for words about its tasks.
    ///
    /// # Errors
    /// `not_found` where it has to register again.
    pub async fn work_signals(
        &self,
        _: &Caller,
        worker: WorkerId,
        wait: Duration,
    ) -> Result<Vec<TaskSignal>, Refusal> {
        self.remote().signals(worker, wait.min(limits::WAIT_MAX)).await.map_err(refused)
    }

    /// A holder writes events, and ends its attempt with them or not.
    ///
    /// # Errors
    /// `lease_lost`.
    pub async fn work_write(&self, caller: &Caller, task: TaskId, writing: Writing) -> Result<(), Refusal> {
        let Writing { worker, attempt, lease, batch, events, end } = writing;
        fence(attempt, lease)?;
        if batch == 0 {
            return Err(Refusal::field(
                "batch",
                "must be at least 1: batches of an attempt are numbered from 1",
            ));
        }
        self.remote().write(worker, caller.tenant, task, lease, batch, events, end).await.map_err(refused)
    }

    /// A holder shows frames to live followers.
    ///
    /// # Errors
    /// If the attempt is not the lease's; `too_large`.
    pub async fn work_frames(
        &self,
        caller: &Caller,
        task: TaskId,
        attempt: u32,
        lease: LeaseToken,
        frames: Vec<Frame>,
    ) -> Result<(), Refusal> {
        fence(attempt, lease)?;
        if let Some(i) = frames.iter().position(|frame| frame.data.len() > limits::CHUNK_BYTES) {
            let detail = format!("frames[{i}] has more than {} KiB", limits::CHUNK_BYTES / 1024);
            return Err(Refusal::new(Code::TooLarge, detail).hint("send several, or write an event"));
        }
        self.remote().frames(caller.tenant, task, lease, frames).await.map_err(refused)
    }

    /// A page of what a replay needs, after an event, and where the next page begins.
    ///
    /// # Errors
    /// `not_found`, `lease_lost`.
    pub async fn work_journal(
        &self,
        caller: &Caller,
        task: TaskId,
        attempt: u32,
        lease: LeaseToken,
        after: u64,
    ) -> Result<(Vec<JournalEntry>, Option<u64>), Refusal> {
        fence(attempt, lease)?;
        let row = self.row(caller, task).await?;
        if row.task.attempt != attempt || !row.task.state.is_leased() {
            let detail = format!("attempt {attempt} of task {task} is over");
            return Err(Refusal::new(Code::LeaseLost, detail));
        }
        let tenant = caller.tenant;
        let page = self
            .engine()
            .read(move |store| store.events(tenant, StreamName::Task(task), after, limits::PAGE_EVENTS))
            .await?;
        let next = page.last().filter(|_| page.len() == limits::PAGE_EVENTS).map(|last| last.seq);
        let mut entries = Vec::new();
        for event in page.iter().filter(|event| is_journal(&event.kind)) {
            match event.body() {
                Ok(Some(body)) => entries.push(JournalEntry { seq: event.seq, body }),
                Ok(None) | Err(_) => {
                    tracing::error!(%task, seq = event.seq, "a live task's step can't be read");
                    let detail = format!("event {task}/{} can't be read", event.seq);
                    return Err(Refusal::new(Code::Internal, detail));
                }
            }
        }
        Ok((entries, next))
    }

    /// What a task was submitted with, for the server's own faces.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn exists(&self, caller: &Caller, task: TaskId) -> Result<(), Refusal> {
        let tenant = caller.tenant;
        let head = self.engine().read(move |store| store.head(tenant, StreamName::Task(task))).await?;
        head.map(|_| ()).ok_or_else(|| no_task(task))
    }
}

fn fence(attempt: u32, lease: LeaseToken) -> Result<(), Refusal> {
    if lease.attempt == attempt {
        return Ok(());
    }
    let detail = format!("the path names attempt {attempt}, the lease is of attempt {}", lease.attempt);
    Err(Refusal::new(Code::LeaseLost, detail))
}
