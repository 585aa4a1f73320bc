//! Events of an attempt on their way to the source.

use crate::executor::Stop;
use crate::source::{AttemptEnd, SourceError, WorkSource};
use everloop_types::event::EventBody;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::lease::LeaseToken;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// Events of one batch, and their bytes, before it is sent without being asked for.
const BATCH_EVENTS: usize = 500;

/// Gathers events and sends them in numbered batches, one at a time.
pub(crate) struct Outbox {
    source: Arc<dyn WorkSource>,
    worker: WorkerId,
    tenant: TenantId,
    task: TaskId,
    lease: LeaseToken,
    pending: Mutex<Vec<EventBody>>,
    /// The number of the last batch that was written. Held while one is sent.
    sent: AsyncMutex<u32>,
    added: Notify,
}

impl Outbox {
    pub(crate) fn new(
        source: Arc<dyn WorkSource>,
        worker: WorkerId,
        tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
    ) -> Self {
        let (pending, sent, added) = (Mutex::default(), AsyncMutex::new(0), Notify::new());
        Self { source, worker, tenant, task, lease, pending, sent, added }
    }

    /// Adds an event. It is durable once [`Outbox::flush`] has returned.
    pub(crate) fn push(&self, body: EventBody) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        self.added.notify_one();
    }

    /// Waits until something was added.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// Writes everything that was added before; when this returns, it is durable.
    pub(crate) async fn flush(&self) -> Result<(), Stop> {
        let mut sent = self.sent.lock().await;
        loop {
            let batch = {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                let many = pending.len().min(BATCH_EVENTS);
                pending.drain(..many).collect::<Vec<_>>()
            };
            if batch.is_empty() {
                return Ok(());
            }
            self.send(&mut sent, batch, None).await?;
        }
    }

    /// Ends the attempt, in one commit with what was added last.
    pub(crate) async fn end(&self, end: AttemptEnd) -> Result<(), Stop> {
        let mut sent = self.sent.lock().await;
        loop {
            let (batch, last) = {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                let many = pending.len().min(BATCH_EVENTS);
                (pending.drain(..many).collect::<Vec<_>>(), pending.is_empty())
            };
            self.send(&mut sent, batch, last.then(|| end.clone())).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Sends a batch until the source takes it or refuses it. Dropped in between, it may have been written or not: then the
    /// attempt is over anyway.
    async fn send(&self, sent: &mut u32, events: Vec<EventBody>, end: Option<AttemptEnd>) -> Result<(), Stop> {
        let number = *sent + 1;
        let mut pause = Duration::from_millis(20);
        loop {
            let write =
                self.source.write(self.worker, self.tenant, self.task, self.lease, number, events.clone(), end.clone());
            match write.await {
                Ok(()) => {
                    *sent = number;
                    return Ok(());
                }
                Err(SourceError::Unavailable(why)) => {
                    tracing::debug!(task = %self.task, why, "events could not be written; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                Err(error) if error.is_lease_lost() => return Err(Stop::LeaseLost),
                Err(SourceError::Refused(refusal)) => {
                    let mut error = everloop_types::error::TaskError::new(refusal.code, refusal.detail);
                    error.class = everloop_types::error::Class::Validation;
                    return Err(Stop::Failed(error));
                }
            }
        }
    }
}
