//! The engine as a source of work.

use crate::engine::Engine;
use crate::machine::attempt::Write;
use crate::pipeline::op::{Answer, Claimed, Op};
use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_types::blob::BlobName;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::EventBody;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::stream::StreamName;
use everloop_types::task::TaskSpec;
use everloop_types::worker::{Worker, WorkerSpec};
use everloop_worker::source::{
    Assignment, AttemptEnd, Frame, JournalEntry, SourceError, Sourced, TaskSignal, WorkSource, is_journal,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Where a worker's tasks and signals lie until it fetches them.
struct Mailbox {
    tasks: Option<tokio::sync::Mutex<mpsc::UnboundedReceiver<Claimed>>>,
    /// Claimed tasks whose past could not be read: the next request gets them.
    unread: Mutex<Vec<Claimed>>,
    signals: tokio::sync::Mutex<mpsc::UnboundedReceiver<TaskSignal>>,
}

impl Mailbox {
    /// What earlier requests did not get, apart from what this one has.
    fn unread(&self, claimed: &[Claimed]) -> Vec<Claimed> {
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |of: &&Claimed| claimed.iter().all(|claim| claim.task.id != of.task.id);
        unread.iter().filter(is_new).cloned().collect()
    }

    /// These have been given, or are not the worker's any more.
    fn forget(&self, given: &[Claimed]) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.retain(|of| given.iter().all(|claim| claim.lease.token != of.lease.token));
    }
}

/// Hands out the engine's tasks, to workers of this process and, through the server, to those elsewhere.
pub struct EngineSource {
    engine: Arc<Engine>,
    embedded: bool,
    /// Held while a mailbox is made, so that there is one.
    opening: tokio::sync::Mutex<()>,
    mailboxes: Mutex<HashMap<WorkerId, Arc<Mailbox>>>,
}

impl EngineSource {
    /// A source for workers of this process: they hold their tasks as long as it lives.
    pub fn embedded(engine: Arc<Engine>) -> Self {
        Self { engine, embedded: true, opening: Default::default(), mailboxes: Mutex::default() }
    }

    /// A source for workers elsewhere: they hold their tasks as long as they renew their leases.
    pub fn remote(engine: Arc<Engine>) -> Self {
        Self { engine, embedded: false, opening: Default::default(), mailboxes: Mutex::default() }
    }

    async fn mailbox(&self, worker: WorkerId) -> Result<Arc<Mailbox>, SourceError> {
        let find = || self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner).get(&worker).cloned();
        if let Some(found) = find() {
            return Ok(found);
        }
        let _opening = self.opening.lock().await;
        if let Some(found) = find() {
            return Ok(found);
        }
        // A worker elsewhere that registered with an earlier run of this server goes on where it was.
        let known = self.engine.read(move |store| store.worker(worker)).await?;
        match known.filter(|worker| !worker.embedded && !self.embedded) {
            Some(worker) => self.open(worker).await,
            None => Err(Refusal::not_found(format!("worker {worker}")).hint("register again").into()),
        }
    }

    /// Gives a worker its mailbox and makes it known to the pipeline.
    async fn open(&self, worker: Worker) -> Result<Arc<Mailbox>, SourceError> {
        let id = worker.id;
        let (signals, signal_box) = mpsc::unbounded_channel();
        let (op, task_box) = if self.embedded {
            let (tasks, task_box) = mpsc::unbounded_channel();
            (Op::Attach { worker, tasks, signals }, Some(tokio::sync::Mutex::new(task_box)))
        } else {
            (Op::Register { worker, signals }, None)
        };
        sourced(self.engine.ask(op).await)?;
        let mailbox = Arc::new(Mailbox {
            tasks: task_box,
            unread: Mutex::default(),
            signals: tokio::sync::Mutex::new(signal_box),
        });
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner).insert(id, mailbox.clone());
        Ok(mailbox)
    }

    /// Makes a worker unknown; whatever it holds goes to others.
    ///
    /// # Errors
    /// What the pipeline refuses.
    pub async fn remove(&self, worker: WorkerId) -> Result<(), Refusal> {
        self.engine.ask(Op::Gone { worker }).await?;
        // Only now: who asks for a mailbox that is not there is looked for in the database, and made known again.
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner).remove(&worker);
        Ok(())
    }

    /// Claimed tasks, and earlier ones that the worker still holds, with their past.
    async fn read_past(
        &self,
        worker: WorkerId,
        claimed: &[Claimed],
        earlier: &[Claimed],
    ) -> Result<Vec<Assignment>, SourceError> {
        let mut all = claimed.to_vec();
        if !earlier.is_empty() {
            // Their leases have run on meanwhile: they may be others' tasks by now.
            let leases = earlier.iter().map(|claim| (claim.task.id, claim.lease.token)).collect();
            let lost = self.renew(worker, leases).await?;
            all.extend(earlier.iter().filter(|claim| !lost.contains(&claim.task.id)).cloned());
        }
        self.assignments(all).await
    }

    async fn assignments(&self, claimed: Vec<Claimed>) -> Result<Vec<Assignment>, SourceError> {
        let ready = |claim: &Claimed| claim.fresh && claim.input.is_some();
        if claimed.iter().all(ready) {
            let assigned =
                claimed.iter().map(|claim| assignment(claim, claim.input.clone().flatten(), Vec::new()));
            return Ok(assigned.collect());
        }
        let read = move |store: &dyn ReadStore| {
            let assigned = claimed.iter().filter_map(|claim| match &claim.input {
                Some(input) if claim.fresh => Some(Ok(assignment(claim, input.clone(), Vec::new()))),
                Some(_) | None => match replay(store, claim) {
                    // It must not keep others from their work. Its lease runs out, and after some of those it is poisoned.
                    Err(StoreError::Corrupt { what }) => {
                        tracing::error!(task = %claim.task.id, what, "a task is damaged: no worker gets it");
                        None
                    }
                    read => Some(read.map(|(input, journal)| assignment(claim, input, journal))),
                },
            });
            assigned.collect::<Result<Vec<_>, _>>()
        };
        Ok(self.engine.read(read).await?)
    }
}

fn assignment(
    claim: &Claimed,
    input: Option<everloop_types::json::Json>,
    journal: Vec<JournalEntry>,
) -> Assignment {
    Assignment {
        task: claim.task.id,
        tenant: claim.task.tenant,
        lease: claim.lease.token,
        lease_ttl: claim.ttl,
        attempt: claim.task.attempt,
        tries: claim.task.tries,
        spec: TaskSpec { input, ..claim.task.spec.clone() },
        kind_version: claim.kind_version,
        journal,
        replay: None,
    }
}

/// The input and the journal of a claimed task, from its stream.
fn replay(
    store: &dyn ReadStore,
    claim: &Claimed,
) -> Result<(Option<everloop_types::json::Json>, Vec<JournalEntry>), StoreError> {
    let stream = StreamName::Task(claim.task.id);
    let mut input = None;
    let mut journal = Vec::new();
    let mut after = 0;
    // A task that nobody has had before has nothing behind its first event that matters.
    let page_events = if claim.fresh { 1 } else { limits::PAGE_EVENTS };
    loop {
        let page = store.events(claim.task.tenant, stream, after, page_events)?;
        let Some(last) = page.last() else { return Ok((input, journal)) };
        after = last.seq;
        for event in &page {
            if event.seq != 1 && !is_journal(&event.kind) {
                continue;
            }
            let body = event.body().map_err(|error| StoreError::Corrupt { what: error.to_string() })?;
            match body {
                Some(EventBody::Submitted(spec)) => input = spec.input,
                Some(body) => journal.push(JournalEntry { seq: event.seq, body }),
                None => {
                    let what = format!("the payload of {stream}/{} is gone while the task lives", event.seq);
                    return Err(StoreError::Corrupt { what });
                }
            }
        }
        if claim.fresh || page.len() < limits::PAGE_EVENTS {
            return Ok((input, journal));
        }
    }
}

/// A refusal that may pass is for the loop to try again; any other is not.
fn sourced<T>(result: Result<T, Refusal>) -> Result<T, SourceError> {
    result.map_err(|refusal| match refusal.code {
        Code::Overloaded | Code::StorageFull | Code::StorageUnavailable | Code::ShuttingDown => {
            SourceError::Unavailable(refusal.detail)
        }
        _ => SourceError::Refused(refusal),
    })
}

impl WorkSource for EngineSource {
    fn register(&self, spec: WorkerSpec) -> Sourced<'_, WorkerId> {
        Box::pin(async move {
            let now = self.engine.now();
            let id = WorkerId(self.engine.new_id());
            let worker = Worker {
                id,
                spec,
                embedded: self.embedded,
                trouble: None,
                created_at: now,
                last_heartbeat_at: now,
            };
            self.open(worker).await?;
            Ok(id)
        })
    }

    fn heartbeat(&self, worker: WorkerId, trouble: Option<String>) -> Sourced<'_, ()> {
        Box::pin(async move { sourced(self.engine.ask(Op::Heard { worker, trouble }).await).map(|_| ()) })
    }

    fn claim(
        &self,
        worker: WorkerId,
        max: u32,
        wait: Duration,
        request: u64,
    ) -> Sourced<'_, Vec<Assignment>> {
        Box::pin(async move {
            let mailbox = self.mailbox(worker).await?;
            let wait = if mailbox.unread(&[]).is_empty() { wait } else { Duration::ZERO };
            let claimed = match &mailbox.tasks {
                Some(tasks) => {
                    let mut tasks = tasks.lock().await;
                    let mut claimed = Vec::new();
                    let _ = tokio::time::timeout(wait, tasks.recv_many(&mut claimed, max as usize)).await;
                    claimed
                }
                None => {
                    let (tasks, mut answer) = oneshot::channel();
                    sourced(self.engine.ask(Op::Claim { worker, max, request, tasks }).await)?;
                    match tokio::time::timeout(wait, &mut answer).await {
                        Ok(answered) => answered.unwrap_or_default(),
                        Err(_) => {
                            // What was given at the last moment is taken; what comes later is kept for the next request.
                            answer.close();
                            answer.try_recv().unwrap_or_default()
                        }
                    }
                }
            };
            let earlier = mailbox.unread(&claimed);
            match self.read_past(worker, &claimed, &earlier).await {
                Ok(assignments) => {
                    mailbox.forget(&claimed);
                    mailbox.forget(&earlier);
                    Ok(assignments)
                }
                Err(error) => {
                    mailbox.forget(&claimed);
                    mailbox.unread.lock().unwrap_or_else(PoisonError::into_inner).extend(claimed);
                    Err(error)
                }
            }
        })
    }

    fn renew(&self, worker: WorkerId, leases: Vec<(TaskId, LeaseToken)>) -> Sourced<'_, Vec<TaskId>> {
        Box::pin(async move {
            match sourced(self.engine.ask(Op::Renew { worker, leases }).await)? {
                Answer::Lost(lost) => Ok(lost),
                Answer::Submitted { .. } | Answer::Task(_) | Answer::Existing(_) | Answer::Done => {
                    Ok(Vec::new())
                }
            }
        })
    }

    fn signals(&self, worker: WorkerId, wait: Duration) -> Sourced<'_, Vec<TaskSignal>> {
        Box::pin(async move {
            let mailbox = self.mailbox(worker).await?;
            let mut signals = mailbox.signals.lock().await;
            let mut out = Vec::new();
            let _ = tokio::time::timeout(wait, signals.recv_many(&mut out, limits::PAGE_ITEMS)).await;
            Ok(out)
        })
    }

    fn write(
        &self,
        actor: WorkerId,
        tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
        batch: u32,
        events: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Sourced<'_, ()> {
        Box::pin(async move {
            let successor = TaskId(self.engine.new_id());
            let write = Write { token: lease, batch, actor: actor.to_string(), events, end, successor };
            sourced(self.engine.write(tenant, task, write).await)
        })
    }

    fn blob(&self, tenant: TenantId, id: String) -> Sourced<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            sourced(self.engine.blob(tenant, &id).await.map(|found| found.map(|(_, bytes)| bytes)))
        })
    }

    fn put_blob(&self, tenant: TenantId, media_type: String, bytes: Vec<u8>) -> Sourced<'_, BlobName> {
        Box::pin(async move { sourced(self.engine.blob_put(tenant, media_type, bytes).await) })
    }

    fn frames(
        &self,
        _tenant: TenantId,
        task: TaskId,
        _lease: LeaseToken,
        frames: Vec<Frame>,
    ) -> Sourced<'_, ()> {
        Box::pin(async move {
            for frame in frames {
                self.engine.tails().frame(StreamName::Task(task), frame);
            }
            Ok(())
        })
    }
}
