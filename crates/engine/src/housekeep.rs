//! What is done about old things once an hour: finished tasks go after their time, before that their events and the payloads
//! of their logs, blobs that nobody names, keys of deleted tasks, and workers
//! that were not heard from.
//!
//! When the last round was begun and how far each chore has come is kept in the database: a round that was missed is made up
//! for by the next one, however many were missed. A round is taken in small pieces, between which others write.

use crate::blobs::Blobs;
use crate::pipeline::Handle;
use crate::pipeline::op::Op;
use crate::reads::Reads;
use everloop_journal::keys::SigningKey;
use everloop_journal::receipt;
use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_store::rows::{End, JobRow, TaskRow};
use everloop_store::work::Row;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::SYSTEM;
use everloop_types::limits;
use everloop_types::stream::StreamName;
use everloop_types::time::{Clock, Timestamp};
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::Duration;

/// Time from the beginning of a round to that of the next one.
pub const EVERY: Duration = Duration::from_secs(3600);
/// Tasks that are looked at in one piece.
const PAGE: usize = 32;
/// Tasks of a page that something is done with at the same time.
const AT_ONCE: usize = 8;
/// Events that go, or lose their payload, in one commit: few, so that others hardly notice.
const EVENTS: u64 = 512;
/// The events whose payloads are folded.
const LOG: &str = "log";

const ROUND: &str = "housekeeping";
const FOLD: &str = "fold";
const TRIM: &str = "trim";

/// How long finished tasks are kept, and what of them goes earlier. Times count from a task's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The task, with everything.
    pub tasks: Duration,
    /// Its events but for the last one, which holds the result; none for as long as the task.
    pub events: Option<Duration>,
    /// Payloads of its logs; none for as long as the events.
    pub logs: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { tasks: limits::RETENTION, events: None, logs: Some(limits::LOG_RETENTION) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    Delete,
    Trim,
    Fold,
    Blobs,
    Keys,
}

/// A round that was begun.
struct Round {
    began: Timestamp,
    chore: Chore,
    /// How far the chore has come.
    upto: Option<End>,
}

/// Does the chores. Part of the reconciler.
pub struct Housekeeper {
    /// The readers.
    pub reads: Reads,
    /// The way into the pipeline.
    pub pipeline: Handle,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Signs anchors.
    pub key: Arc<SigningKey>,
    /// Blobs.
    pub blobs: Arc<Blobs>,
    /// What is kept how long.
    pub retention: Retention,
    round: Option<Round>,
    /// When the last round was begun, where that is known.
    last: Option<Timestamp>,
}

impl Housekeeper {
    /// One that has done nothing yet.
    pub fn new(
        reads: Reads,
        pipeline: Handle,
        clock: Arc<dyn Clock>,
        key: Arc<SigningKey>,
        blobs: Arc<Blobs>,
        retention: Retention,
    ) -> Self {
        Self { reads, pipeline, clock, key, blobs, retention, round: None, last: None }
    }

    /// Does a piece, if a round is due or under way; gives whether there is more to do at once.
    ///
    /// # Errors
    /// If the store can't be read or written; the piece is done again when this is called again.
    pub async fn piece(&mut self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if self.round.is_none() && !self.is_due(now).await? {
            return Ok(false);
        }
        let round = self.round.get_or_insert(Round { began: now, chore: Chore::Delete, upto: None });
        let (began, chore, upto) = (round.began, round.chore, round.upto);
        let before = |age: Option<Duration>| age.map(|age| began.minus(age));
        let next = match chore {
            Chore::Delete => {
                let before = began.minus(self.retention.tasks);
                goes_on(Chore::Delete, self.delete(before, upto).await?, Chore::Trim)
            }
            Chore::Trim => {
                let upto = self.resume(Chore::Trim, before(self.retention.events), upto).await?;
                goes_on(Chore::Trim, upto, Chore::Fold)
            }
            Chore::Fold => {
                let upto = self.resume(Chore::Fold, before(self.retention.logs), upto).await?;
                goes_on(Chore::Fold, upto, Chore::Blobs)
            }
            Chore::Blobs => {
                let more = self.blobs.sweep(&self.pipeline, began, PAGE).await?;
                (if more { Chore::Blobs } else { Chore::Keys }, None)
            }
            Chore::Keys => {
                self.end(began).await?;
                self.round = None;
                self.last = Some(began);
                return Ok(false);
            }
        };
        self.round = Some(Round { began, chore: next.0, upto: next.1 });
        Ok(true)
    }

    /// A clock that went back behind the last round makes one due, too: else none would be for as long as it went back.
    async fn is_due(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        if self.last.is_none() {
            self.last = self.reads.read(|store| store.job(ROUND)).await?.map(|job| job.ran_at);
        }
        Ok(self.last.is_none_or(|last| now < last || now >= last.plus(EVERY)))
    }

    async fn end(&self, began: Timestamp) -> Result<(), StoreError> {
        let deleted_before = began.minus(limits::KEY_RETENTION);
        let ran = JobRow { name: ROUND.to_owned(), ran_at: began, upto: None };
        let silent_since = began.minus(limits::WORKER_FORGOTTEN);
        let workers = self.reads.read(|store| store.workers()).await?;
        let silent = workers.iter().filter(|worker| worker.last_heartbeat_at < silent_since);
        let silent: Vec<_> = silent.map(|worker| worker.id).collect();
        if !silent.is_empty() {
            self.write(Op::Forget { workers: silent }).await?;
        }
        self.write(Op::Rows(vec![Row::KeysSweep { deleted_before }, Row::JobPut(ran)])).await
    }

    async fn write(&self, op: Op) -> Result<(), StoreError> {
        match self.pipeline.ask(op).await {
            Ok(_) => Ok(()),
            Err(refusal) => Err(StoreError::Unavailable(refusal.to_string().into())),
        }
    }

    /// Drops a page of tasks; gives where the next page begins. Whatever can't go yet is looked at in the next round.
    async fn delete(&self, before: Timestamp, upto: Option<End>) -> Result<Option<End>, StoreError> {
        let page = self.reads.read(move |store| store.finished(upto, before, PAGE)).await?;
        self.each(&page, Chore::Delete).await?;
        Ok(last(&page))
    }

    /// Does a chore with each task of a page, with some of them at once: they share commits.
    async fn each(&self, page: &[TaskRow], chore: Chore) -> Result<(), StoreError> {
        for some in page.chunks(AT_ONCE) {
            let acts: Vec<_> = some.iter().map(|row| self.one(row, chore)).collect();
            try_join_all(acts).await?;
        }
        Ok(())
    }

    async fn one(&self, row: &TaskRow, chore: Chore) -> Result<(), StoreError> {
        match chore {
            Chore::Delete => self.drop_task(row).await,
            Chore::Trim => {
                while self.trim(row).await? {}
                Ok(())
            }
            Chore::Fold => self.fold(row).await,
            Chore::Blobs | Chore::Keys => Ok(()),
        }
    }

    async fn drop_task(&self, row: &TaskRow) -> Result<(), StoreError> {
        // Not all at once: a long stream would hold up everybody else's writes.
        while row.head.seq > EVENTS && self.trim(row).await? {}
        let (tenant, task) = (row.task.tenant, row.task.id);
        let delete = Op::Delete { tenant, task, actor: SYSTEM.to_owned(), reason: "retention" };
        match self.pipeline.ask(delete).await {
            Ok(_) => Ok(()),
            Err(refusal) => told(row, &refusal, "dropped"),
        }
    }

    /// Goes on with a chore where its last round has ended, and notes how far it comes.
    async fn resume(
        &self,
        chore: Chore,
        before: Option<Timestamp>,
        upto: Option<End>,
    ) -> Result<Option<End>, StoreError> {
        let Some(before) = before else { return Ok(None) };
        let name = if chore == Chore::Trim { TRIM } else { FOLD };
        let upto = match upto {
            Some(upto) => Some(upto),
            None => self.reads.read(move |store| store.job(name)).await?.and_then(|job| job.upto),
        };
        let page = self.reads.read(move |store| store.finished(upto, before, PAGE)).await?;
        self.each(&page, chore).await?;
        let Some(upto) = page.last().and_then(end_of) else { return Ok(None) };
        let job = JobRow { name: name.to_owned(), ran_at: self.clock.now(), upto: Some(upto) };
        self.write(Op::Rows(vec![Row::JobPut(job)])).await?;
        Ok(last(&page))
    }

    /// Takes the next events of a stream away, never the last one; gives whether any went.
    async fn trim(&self, row: &TaskRow) -> Result<bool, StoreError> {
        let (tenant, task) = (row.task.tenant, row.task.id);
        let stream = StreamName::Task(task);
        let gone =
            self.reads.read(move |store| store.anchor(tenant, stream)).await?.map_or(0, |(seq, _)| seq);
        let upto_seq = (gone + EVENTS).min(row.head.seq.saturating_sub(1));
        if upto_seq <= gone {
            return Ok(false);
        }
        // None if the task was deleted meanwhile.
        let last = self.reads.read(move |store| store.event(tenant, stream, upto_seq)).await?;
        let Some(last) = last else { return Ok(false) };
        let claims = receipt::anchor_of(&last);
        let anchor = receipt::sign(&self.key, &claims);
        match self.pipeline.ask(Op::Trim { tenant, task, claims, anchor }).await {
            Ok(_) => Ok(true),
            Err(refusal) => told(row, &refusal, "trimmed").map(|()| false),
        }
    }

    async fn fold(&self, row: &TaskRow) -> Result<(), StoreError> {
        let (tenant, task) = (row.task.tenant, row.task.id);
        loop {
            let stream = StreamName::Task(task);
            let logs = move |store: &dyn ReadStore| store.payloads(tenant, stream, LOG, 0, EVENTS as usize);
            let seqs = self.reads.read(logs).await?;
            if seqs.is_empty() {
                return Ok(());
            }
            if let Err(refusal) = self.pipeline.ask(Op::Fold { tenant, task, seqs }).await {
                return told(row, &refusal, "folded");
            }
        }
    }
}

/// A refusal that is about the task ends its part; any other one is tried again.
fn told(row: &TaskRow, refusal: &Refusal, act: &str) -> Result<(), StoreError> {
    let task = row.task.id;
    match refusal.code {
        Code::NotFound | Code::IllegalTransition => {
            tracing::debug!(%task, %refusal, "an old task could not be {act}");
            Ok(())
        }
        _ => Err(StoreError::Unavailable(format!("task {task} could not be {act}: {refusal}").into())),
    }
}

/// The chore goes on from there, or the next one begins.
fn goes_on(chore: Chore, upto: Option<End>, next: Chore) -> (Chore, Option<End>) {
    (if upto.is_some() { chore } else { next }, upto)
}

fn end_of(row: &TaskRow) -> Option<End> {
    row.task.finished_at.map(|at| (at, row.task.id))
}

/// Where the page after a full one begins.
fn last(page: &[TaskRow]) -> Option<End> {
    page.last().filter(|_| page.len() == PAGE).and_then(end_of)
}
