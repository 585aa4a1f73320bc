//! What was committed, on its way to followers.
//!
//! A follower subscribes first, then reads the store, then takes what is newer from memory. It holds nothing but a number:
//! if it is slow, the events that it missed are in the store. So a follower never makes the writer wait, and never grows.

mod follow;

pub use follow::{Follower, Step};

use crate::pipeline::op::Snapshot;
use everloop_types::event::{Event, Head};
use everloop_types::id::TenantId;
use everloop_types::stream::StreamName;
use everloop_worker::source::Frame;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Events of a stream that are kept in memory while somebody follows it.
const RING: usize = 256;
/// Frames that a follower may be behind before it loses some.
const FRAMES: usize = 256;

/// What a commit did to a stream.
#[derive(Clone, Debug)]
pub struct Published {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub stream: StreamName,
    /// Its head now.
    pub head: Head,
    /// The new events.
    pub events: Vec<Arc<Event>>,
    /// The task, for a task's stream.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// The streams that somebody follows.
#[derive(Debug)]
pub struct Tails {
    tails: Mutex<HashMap<StreamName, Tail>>,
    /// Counts commits: what followers of many streams wait for.
    commits: watch::Sender<u64>,
}

#[derive(Debug)]
struct Tail {
    ring: VecDeque<Arc<Event>>,
    snapshot: Option<Arc<Snapshot>>,
    head: watch::Sender<u64>,
    frames: broadcast::Sender<Frame>,
    followers: usize,
}

impl Default for Tails {
    fn default() -> Self {
        Self { tails: Mutex::default(), commits: watch::channel(0).0 }
    }
}

impl Tails {
    fn lock(&self) -> MutexGuard<'_, HashMap<StreamName, Tail>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what was committed to whoever follows.
    pub fn publish(&self, published: &[Published]) {
        let mut tails = self.lock();
        for new in published {
            let Some(tail) = tails.get_mut(&new.stream) else { continue };
            // A commit whose outcome was unknown is not shown: what is before such a gap is read from the store.
            let gap = |(last, next): (&Arc<Event>, &Arc<Event>)| last.seq + 1 != next.seq;
            if tail.ring.back().zip(new.events.first()).is_some_and(gap) {
                tail.ring.clear();
            }
            tail.ring.extend(new.events.iter().cloned());
            let over = tail.ring.len().saturating_sub(RING);
            tail.ring.drain(..over);
            if new.snapshot.is_some() {
                tail.snapshot.clone_from(&new.snapshot);
            }
            tail.head.send_replace(new.head.seq);
        }
        drop(tails);
        if published.iter().any(|new| !new.events.is_empty()) {
            self.commits.send_modify(|commits| *commits += 1);
        }
    }

    /// Shows a frame to whoever follows.
    pub fn frame(&self, stream: StreamName, frame: Frame) {
        if let Some(tail) = self.lock().get(&stream) {
            // Nobody listening is no error.
            let _ = tail.frames.send(frame);
        }
    }

    /// Begins to follow a stream, which need not exist yet.
    pub fn subscribe(self: &Arc<Self>, stream: StreamName) -> Subscription {
        let mut tails = self.lock();
        let tail = tails.entry(stream).or_insert_with(|| Tail {
            ring: VecDeque::new(),
            snapshot: None,
            head: watch::channel(0).0,
            frames: broadcast::channel(FRAMES).0,
            followers: 0,
        });
        tail.followers += 1;
        Subscription {
            tails: self.clone(),
            stream,
            head: tail.head.subscribe(),
            frames: tail.frames.subscribe(),
        }
    }

    /// Counts commits.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// How many followers there are, and how many events are in memory for them.
    pub fn size(&self) -> (usize, usize) {
        let tails = self.lock();
        (tails.values().map(|tail| tail.followers).sum(), tails.values().map(|tail| tail.ring.len()).sum())
    }
}

/// A place among the followers of a stream, given back when dropped.
#[derive(Debug)]
pub struct Subscription {
    tails: Arc<Tails>,
    stream: StreamName,
    head: watch::Receiver<u64>,
    frames: broadcast::Receiver<Frame>,
}

impl Subscription {
    /// The events after this number that are in memory; none if the next one is not.
    fn recent(&self, after: u64, limit: usize) -> Vec<Arc<Event>> {
        let tails = self.tails.lock();
        let Some(tail) = tails.get(&self.stream) else { return Vec::new() };
        match tail.ring.front() {
            Some(first) if first.seq <= after + 1 => {
                let skip = usize::try_from(after + 1 - first.seq).unwrap_or(usize::MAX);
                tail.ring.iter().skip(skip).take(limit).cloned().collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The task as it was at the last commit since somebody began to follow.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.tails.lock().get(&self.stream).and_then(|tail| tail.snapshot.clone())
    }

    /// The stream's last event, if it is in memory.
    pub fn last_event(&self) -> Option<Arc<Event>> {
        self.tails.lock().get(&self.stream).and_then(|tail| tail.ring.back().cloned())
    }

    /// Waits until the task has ended. Only ends that come after the subscription are seen.
    pub async fn finished(&mut self) -> Arc<Snapshot> {
        loop {
            if let Some(snapshot) = self.snapshot().filter(|snapshot| snapshot.task.state.is_terminal()) {
                return snapshot;
            }
            if self.head.changed().await.is_err() {
                // The tail lives as long as this subscription.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut tails = self.tails.lock();
        if let Some(tail) = tails.get_mut(&self.stream) {
            tail.followers -= 1;
            if tail.followers == 0 {
                tails.remove(&self.stream);
            }
        }
    }
}
