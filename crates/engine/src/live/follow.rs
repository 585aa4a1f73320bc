//! One follower of one stream.

use super::{Subscription, Tails};
use crate::reads::Reads;
use everloop_store::error::StoreError;
use everloop_types::event::Event;
use everloop_types::id::TenantId;
use everloop_types::stream::StreamName;
use everloop_worker::source::Frame;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Events on a page that a follower takes at once.
const PAGE: usize = 256;

/// What a follower gets.
#[derive(Clone, Debug)]
pub enum Step {
    /// The next events, in order and without gaps.
    Events(Vec<Arc<Event>>),
    /// A passing word of the executor.
    Frame(Frame),
    /// The task has ended: nothing follows.
    End,
}

/// Reads a stream from a point, and goes on with it live.
pub struct Follower {
    reads: Reads,
    subscription: Subscription,
    tenant: TenantId,
    stream: StreamName,
    after: u64,
    ended: bool,
    caught_up: bool,
}

impl Follower {
    /// Follows from after this number. `ended` tells that the stream's last event is known to be at or before it.
    pub fn new(reads: Reads, tails: &Arc<Tails>, tenant: TenantId, stream: StreamName, after: u64) -> Self {
        let subscription = tails.subscribe(stream);
        Self { reads, subscription, tenant, stream, after, ended: false, caught_up: false }
    }

    /// The number of the last event that was given.
    pub fn position(&self) -> u64 {
        self.after
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the store can't be read; calling again goes on from the same point.
    pub async fn next(&mut self) -> Result<Step, StoreError> {
        loop {
            if self.ended {
                return Ok(Step::End);
            }
            let recent = self.subscription.recent(self.after, PAGE);
            if !recent.is_empty() {
                return Ok(self.give(recent));
            }
            if !self.caught_up || *self.subscription.head.borrow_and_update() > self.after {
                let page = self.page().await?;
                if !page.is_empty() {
                    return Ok(self.give(page));
                }
                self.caught_up = true;
                continue;
            }
            tokio::select! {
                biased;
                changed = self.subscription.head.changed() => {
                    if changed.is_err() {
                        return Ok(Step::End);
                    }
                }
                frame = self.subscription.frames.recv() => match frame {
                    Ok(frame) => return Ok(Step::Frame(frame)),
                    // Frames may be lost: that is what they are.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(Step::End),
                },
            }
        }
    }

    fn give(&mut self, events: Vec<Arc<Event>>) -> Step {
        if let Some(last) = events.last() {
            self.after = last.seq;
            self.ended = last.is_terminal();
        }
        Step::Events(events)
    }

    async fn page(&self) -> Result<Vec<Arc<Event>>, StoreError> {
        let (tenant, stream, after) = (self.tenant, self.stream, self.after);
        let events = self.reads.read(move |store| store.events(tenant, stream, after, PAGE)).await?;
        Ok(events.into_iter().map(Arc::new).collect())
    }
}
