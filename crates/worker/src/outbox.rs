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
    /// Held while a batch is sent.
    sent: AsyncMutex<Sent>,
    added: Notify,
}

/// How far the batches have come.
#[derive(Default)]
struct Sent {
    /// The number of the last batch that was written.
    number: u32,
    /// The next one, from before it is sent until its answer is there. Whoever sends it may be dropped in between, with the
    /// source having heard it or not: then it is sent again as it was, under its number, before anything else.
    next: Option<(Vec<EventBody>, Option<AttemptEnd>)>,
}

impl Outbox {
    pub(crate) fn new(
        source: Arc<dyn WorkSource>,
        worker: WorkerId,
        tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
    ) -> Self {
        let (pending, sent, added) = (Mutex::default(), AsyncMutex::default(), Notify::new());
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
            if sent.next.is_none() {
                let (batch, _) = self.take();
                if batch.is_empty() {
                    return Ok(());
                }
                sent.next = Some((batch, None));
            }
            self.send(&mut sent).await?;
        }
    }

    /// Ends the attempt, in one commit with what was added last.
    pub(crate) async fn end(&self, end: AttemptEnd) -> Result<(), Stop> {
        let mut sent = self.sent.lock().await;
        loop {
            let is_end = match &sent.next {
                Some((_, end)) => end.is_some(),
                None => {
                    let (batch, is_last) = self.take();
                    sent.next = Some((batch, is_last.then(|| end.clone())));
                    is_last
                }
            };
            self.send(&mut sent).await?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// Takes the events of a batch, and whether there are no more.
    fn take(&self) -> (Vec<EventBody>, bool) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let many = pending.len().min(BATCH_EVENTS);
        (pending.drain(..many).collect(), pending.is_empty())
    }

    /// Drops what was added and not sent.
    pub(crate) fn forget(&self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Sends the next batch until the source takes it or refuses it.
    async fn send(&self, sent: &mut Sent) -> Result<(), Stop> {
        let Some((events, end)) = sent.next.clone() else { return Ok(()) };
        let number = sent.number + 1;
        let mut pause = Duration::from_millis(20);
        loop {
            let write = self.source.write(
                self.worker,
                self.tenant,
                self.task,
                self.lease,
                number,
                events.clone(),
                end.clone(),
            );
            let answer = write.await;
            if !matches!(answer, Err(SourceError::Unavailable(_))) {
                sent.next = None;
            }
            match answer {
                Ok(()) => {
                    sent.number = number;
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
