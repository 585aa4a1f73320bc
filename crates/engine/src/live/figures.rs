//! How many follow, and how far behind they are: sums and extremes, however many there are.

use super::Tails;
use everloop_types::id::TenantId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Figures about those who follow streams of this server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Readers of the events of one stream.
    pub followers: usize,
    /// Requests that wait for the end of a task.
    pub waiters: usize,
    /// Events that followers have before them, in all.
    pub lag: u64,
    /// The most that one follower has before it.
    pub lag_max: u64,
    /// Readers of many streams.
    pub feeds: usize,
    /// Where the reader of many streams stands that is furthest behind, in the order of the database.
    pub feed_position_min: Option<i64>,
    /// Streams that somebody follows.
    pub streams: usize,
    /// Events in memory for them.
    pub events: usize,
    /// Bytes of those events, about.
    pub bytes: usize,
    /// Times that the events of a stream were dropped from memory because there were too many bytes.
    pub evicted: u64,
    /// Pages that followers read from the store.
    pub reads: u64,
}

/// Where the readers of many streams stand.
#[derive(Debug, Default)]
pub(super) struct FeedPlaces {
    next: AtomicU64,
    places: Mutex<HashMap<u64, (TenantId, Arc<AtomicI64>)>>,
}

/// A place among the readers of many streams, given back when dropped.
#[derive(Debug)]
pub struct FeedPlace {
    tails: Arc<Tails>,
    number: u64,
    position: Arc<AtomicI64>,
}

impl FeedPlace {
    /// Says how far the reader has got, in the order of the database.
    pub fn at(&self, position: i64) {
        self.position.store(position, Ordering::Relaxed);
    }
}

impl Drop for FeedPlace {
    fn drop(&mut self) {
        self.tails.feeds.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Tails {
    /// Counts a reader of many streams that stands at this position.
    pub fn feed(self: &Arc<Self>, tenant: TenantId, position: i64) -> FeedPlace {
        let number = self.feeds.next.fetch_add(1, Ordering::Relaxed);
        let position = Arc::new(AtomicI64::new(position));
        let mut places = self.feeds.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(number, (tenant, position.clone()));
        FeedPlace { tails: self.clone(), number, position }
    }

    /// The figures; of the readers of many streams, those of this tenant.
    pub fn figures(&self, tenant: TenantId) -> Figures {
        let mut figures = Figures { reads: self.reads.load(Ordering::Relaxed), ..Figures::default() };
        let streams = self.lock();
        figures.streams = streams.tails.len();
        figures.bytes = streams.bytes;
        figures.evicted = streams.evicted;
        for tail in streams.tails.values() {
            figures.events += tail.ring.len();
            figures.followers += tail.positions.len();
            figures.waiters += tail.subscriptions - tail.positions.len();
            let head = *tail.head.borrow();
            for position in &tail.positions {
                let lag = head.saturating_sub(position.load(Ordering::Relaxed));
                figures.lag += lag;
                figures.lag_max = figures.lag_max.max(lag);
            }
        }
        drop(streams);
        let places = self.feeds.places.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, position) in places.values().filter(|(whose, _)| *whose == tenant) {
            let position = position.load(Ordering::Relaxed);
            figures.feeds += 1;
            figures.feed_position_min =
                Some(figures.feed_position_min.map_or(position, |min| min.min(position)));
        }
        figures
    }
}
