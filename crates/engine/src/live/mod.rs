//! What was committed, on its way to followers.
//!
//! A follower subscribes first, then reads the store, then takes what is newer from memory. It holds nothing but a number:
//! if it is slow, the events that it missed are in the store. So a follower never makes the writer wait, and never grows.
//! What is kept in memory for all of them together has a limit in bytes; above it the events that were asked for longest ago
//! go first.

mod figures;
mod follow;

pub use figures::{FeedPlace, Figures};
pub use follow::{Follower, Step};

use crate::pipeline::op::Snapshot;
use everloop_types::event::{Event, Head};
use everloop_types::id::TenantId;
use everloop_types::limits;
use everloop_types::stream::StreamName;
use everloop_worker::source::Frame;
use figures::FeedPlaces;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Events of a stream that are kept in memory while somebody follows it.
const RING: usize = 256;
/// Frames that a follower may be behind before it loses some.
const FRAMES: usize = 64;
/// A guess at what an event costs beside its data.
const EVENT_COST: usize = 512;

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
    streams: Mutex<Streams>,
    /// Counts commits: what followers of many streams wait for.
    commits: watch::Sender<u64>,
    feeds: FeedPlaces,
    /// Pages that followers read from the store.
    reads: AtomicU64,
}

#[derive(Debug)]
struct Streams {
    tails: HashMap<StreamName, Tail>,
    /// Streams with events in memory, by when they were last asked for.
    used: BTreeMap<u64, StreamName>,
    turn: u64,
    bytes: usize,
    /// Bytes that may be in memory.
    limit: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Tail {
    ring: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Its place in the order of use.
    used: u64,
    snapshot: Option<Arc<Snapshot>>,
    head: watch::Sender<u64>,
    /// There once somebody has asked for frames.
    frames: Option<broadcast::Sender<Frame>>,
    subscriptions: usize,
    /// How far each of those who read the events has got.
    positions: Vec<Arc<AtomicU64>>,
}

fn cost(event: &Event) -> usize {
    EVENT_COST + event.payload.as_ref().map_or(0, |payload| payload.data.len())
}

impl Tail {
    fn new() -> Self {
        Self {
            ring: VecDeque::new(),
            bytes: 0,
            used: 0,
            snapshot: None,
            head: watch::channel(0).0,
            frames: None,
            subscriptions: 0,
            positions: Vec::new(),
        }
    }

    /// Adds events and drops those that are too many. They come without gaps: a commit whose outcome is unknown is kept by the
    /// pipeline until somebody can see it, and nothing is committed meanwhile.
    fn extend(&mut self, events: &[Arc<Event>]) {
        debug_assert!(
            self.ring.back().zip(events.first()).is_none_or(|(last, next)| last.seq + 1 == next.seq),
            "events that were committed were not shown"
        );
        self.bytes += events.iter().map(|event| cost(event)).sum::<usize>();
        self.ring.extend(events.iter().cloned());
        let over = self.ring.len().saturating_sub(RING);
        self.bytes -= self.ring.drain(..over).map(|event| cost(&event)).sum::<usize>();
    }

    fn clear(&mut self) {
        self.ring = VecDeque::new();
        self.bytes = 0;
    }
}

impl Streams {
    /// Makes a stream the one that was asked for last.
    fn touch(&mut self, stream: StreamName) {
        let Some(tail) = self.tails.get_mut(&stream) else { return };
        self.used.remove(&tail.used);
        if !tail.ring.is_empty() {
            self.turn += 1;
            tail.used = self.turn;
            self.used.insert(self.turn, stream);
        }
    }

    fn publish(&mut self, new: &Published) {
        let Some(tail) = self.tails.get_mut(&new.stream) else { return };
        self.bytes -= tail.bytes;
        tail.extend(&new.events);
        self.bytes += tail.bytes;
        if new.snapshot.is_some() {
            tail.snapshot.clone_from(&new.snapshot);
        }
        tail.head.send_replace(new.head.seq);
        self.touch(new.stream);
    }

    /// Empties buffers until what is left fits.
    fn evict(&mut self) {
        while self.bytes > self.limit
            && let Some((_, stream)) = self.used.pop_first()
        {
            if let Some(tail) = self.tails.get_mut(&stream) {
                self.bytes -= tail.bytes;
                tail.clear();
                self.evicted += 1;
            }
        }
    }

    fn remove(&mut self, stream: StreamName) {
        if let Some(tail) = self.tails.remove(&stream) {
            self.bytes -= tail.bytes;
            self.used.remove(&tail.used);
        }
    }
}

impl Default for Tails {
    fn default() -> Self {
        Self::with_limit(limits::FOLLOWED_BYTES)
    }
}

impl Tails {
    /// With so many bytes of events in memory at most.
    pub fn with_limit(limit: usize) -> Self {
        let streams =
            Streams { tails: HashMap::new(), used: BTreeMap::new(), turn: 0, bytes: 0, limit, evicted: 0 };
        Self {
            streams: Mutex::new(streams),
            commits: watch::channel(0).0,
            feeds: FeedPlaces::default(),
            reads: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what was committed to whoever follows.
    pub fn publish(&self, published: &[Published]) {
        let mut streams = self.lock();
        published.iter().for_each(|new| streams.publish(new));
        streams.evict();
        drop(streams);
        if published.iter().any(|new| !new.events.is_empty()) {
            self.commits.send_modify(|commits| *commits += 1);
        }
    }

    /// Shows a frame to whoever asked for frames.
    pub fn frame(&self, stream: StreamName, frame: Frame) {
        if let Some(frames) = self.lock().tails.get(&stream).and_then(|tail| tail.frames.as_ref()) {
            // Nobody listening is no error.
            let _ = frames.send(frame);
        }
    }

    /// Begins to follow a stream, which need not exist yet.
    pub fn subscribe(self: &Arc<Self>, stream: StreamName) -> Subscription {
        let mut streams = self.lock();
        let tail = streams.tails.entry(stream).or_insert_with(Tail::new);
        tail.subscriptions += 1;
        Subscription { tails: self.clone(), stream, head: tail.head.subscribe(), position: None }
    }

    /// Counts commits.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }
}

/// A place among the followers of a stream, given back when dropped.
#[derive(Debug)]
pub struct Subscription {
    tails: Arc<Tails>,
    stream: StreamName,
    head: watch::Receiver<u64>,
    /// How far its holder has read the events, if it reads them.
    position: Option<Arc<AtomicU64>>,
}

impl Subscription {
    /// Says that the events are read from after this number on, of a stream whose last one is known to be `head`.
    fn reads(&mut self, after: u64, head: u64) {
        let position = Arc::new(AtomicU64::new(after));
        if let Some(tail) = self.tails.lock().tails.get_mut(&self.stream) {
            tail.positions.push(position.clone());
            tail.head.send_if_modified(|known| std::mem::replace(known, head.max(*known)) < head);
        }
        self.position = Some(position);
    }

    /// Says how far the events were read.
    fn at(&self, seq: u64) {
        if let Some(position) = &self.position {
            position.store(seq, Ordering::Relaxed);
        }
    }

    /// Frames from now on.
    fn frames(&self) -> Option<broadcast::Receiver<Frame>> {
        let mut streams = self.tails.lock();
        let tail = streams.tails.get_mut(&self.stream)?;
        Some(tail.frames.get_or_insert_with(|| broadcast::channel(FRAMES).0).subscribe())
    }

    /// The events after this number that are in memory, at most so many and, after the first one, so many bytes; none if the
    /// next one is not there.
    fn recent(&self, after: u64, limit: usize, bytes: usize) -> Vec<Arc<Event>> {
        let mut streams = self.tails.lock();
        let Some(tail) = streams.tails.get(&self.stream) else { return Vec::new() };
        let mut found = Vec::new();
        if let Some(first) = tail.ring.front().filter(|first| first.seq <= after + 1) {
            let skip = usize::try_from(after + 1 - first.seq).unwrap_or(usize::MAX);
            let mut left = bytes;
            for event in tail.ring.iter().skip(skip).take(limit) {
                if !found.is_empty() && cost(event) > left {
                    break;
                }
                left = left.saturating_sub(cost(event));
                found.push(event.clone());
            }
        }
        if !found.is_empty() {
            streams.touch(self.stream);
        }
        found
    }

    /// The task as it was at the last commit since somebody began to follow.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.tails.lock().tails.get(&self.stream).and_then(|tail| tail.snapshot.clone())
    }

    /// The stream's last event, if it is in memory.
    pub fn last_event(&self) -> Option<Arc<Event>> {
        self.tails.lock().tails.get(&self.stream).and_then(|tail| tail.ring.back().cloned())
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
        let mut streams = self.tails.lock();
        let Some(tail) = streams.tails.get_mut(&self.stream) else { return };
        tail.subscriptions -= 1;
        if let Some(own) = &self.position
            && let Some(place) = tail.positions.iter().position(|other| Arc::ptr_eq(own, other))
        {
            tail.positions.swap_remove(place);
        }
        if tail.subscriptions == 0 {
            streams.remove(self.stream);
        }
    }
}
