//! One follower of one stream.

use super::{Subscription, Tails, cost};
use crate::reads::Reads;
use everloop_store::error::StoreError;
use everloop_types::event::Event;
use everloop_types::id::TenantId;
use everloop_types::stream::StreamName;
use everloop_worker::source::Frame;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Events on a page that a follower takes at once.
const PAGE: usize = 256;
/// Events on the first page that it reads from the store, before it knows how large they are.
const FIRST_PAGE: usize = 16;
/// Bytes of a page, about: what a follower holds at a time.
const PAGE_BYTES: usize = 1024 * 1024;

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
    frames: Option<Receiver<Frame>>,
    after: u64,
    /// Events on the next page from the store.
    page: usize,
    ended: bool,
    caught_up: bool,
}

impl Follower {
    /// Follows from after this number a stream whose last event is known to be `head`.
    pub fn new(
        reads: Reads,
        tails: &Arc<Tails>,
        tenant: TenantId,
        stream: StreamName,
        after: u64,
        head: u64,
    ) -> Self {
        let mut subscription = tails.subscribe(stream);
        subscription.reads(after, head);
        Self {
            reads,
            subscription,
            tenant,
            stream,
            frames: None,
            after,
            page: FIRST_PAGE,
            ended: false,
            caught_up: false,
        }
    }

    /// Gives frames too, from now on.
    pub fn with_frames(mut self) -> Self {
        self.frames = self.subscription.frames();
        self
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
            let recent = self.subscription.recent(self.after, PAGE, PAGE_BYTES);
            if !recent.is_empty() {
                return Ok(self.give(recent));
            }
            let head = *self.subscription.head.borrow_and_update();
            if !self.caught_up || head > self.after {
                let page = self.page().await?;
                if !page.is_empty() {
                    return Ok(self.give(page));
                }
                self.caught_up = true;
                if head > self.after {
                    // What was there is gone: the task was deleted.
                    self.ended = true;
                }
                continue;
            }
            tokio::select! {
                biased;
                changed = self.subscription.head.changed() => {
                    if changed.is_err() {
                        return Ok(Step::End);
                    }
                }
                frame = frame(&mut self.frames) => match frame {
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
            self.subscription.at(last.seq);
            self.ended = last.is_terminal();
        }
        Step::Events(events)
    }

    async fn page(&mut self) -> Result<Vec<Arc<Event>>, StoreError> {
        let (tenant, stream, after, limit) = (self.tenant, self.stream, self.after, self.page);
        let events = self.reads.read(move |store| store.events(tenant, stream, after, limit)).await?;
        self.subscription.tails.reads.fetch_add(1, Ordering::Relaxed);
        let bytes: usize = events.iter().map(cost).sum();
        self.page = if bytes > PAGE_BYTES { limit / 2 } else { limit * 2 }.clamp(1, PAGE);
        Ok(events.into_iter().map(Arc::new).collect())
    }
}

/// The next frame; never, for whoever did not ask for them.
async fn frame(frames: &mut Option<Receiver<Frame>>) -> Result<Frame, RecvError> {
    match frames {
        Some(frames) => frames.recv().await,
        None => std::future::pending().await,
    }
}
