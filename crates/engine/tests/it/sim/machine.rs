//! A computer of the world: its clocks, and whether it runs.

use everloop_types::time::{Clock, Timestamp};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600_000_000;

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How far the wall clock is off, in microseconds.
    off: i64,
    /// How long the monotonic clock stood still in all.
    stood: Duration,
    /// What the monotonic clock showed last: it never goes back.
    shown: Duration,
    frozen_until: Option<Instant>,
    /// When it was frozen last.
    froze_at: Option<Instant>,
    /// When it was last suspended until.
    woke_at: Option<Instant>,
}

impl Machine {
    pub(crate) fn new(name: &str, start: Instant, off: i64) -> Self {
        Self { name: name.to_owned(), start, state: Mutex::new(State { off, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the wall clock forward or back; the monotonic one does not notice.
    pub(crate) fn jump(&self, micros: i64) {
        self.state().off += micros;
    }

    /// Nothing on this machine runs for a while. With `suspend` its monotonic clock does not either, as that of a virtual
    /// machine that was put to sleep.
    pub(crate) fn freeze(&self, length: Duration, suspend: bool) {
        let now = Instant::now();
        let mut state = self.state();
        state.frozen_until = Some(now + length);
        state.froze_at = Some(now);
        if suspend {
            state.stood += length;
            state.woke_at = state.frozen_until;
        }
    }

    /// Whether nobody can tell from here what has happened since then: it was frozen, or its monotonic clock stood still so
    /// lately that a lease may seem to live.
    pub(crate) fn is_out_of_time(&self, then: Instant) -> bool {
        let state = self.state();
        let lately = |woke: Instant| woke + everloop_types::limits::LEASE > Instant::now();
        state.woke_at.is_some_and(lately)
            || state.froze_at.is_some_and(|at| at >= then)
            || state.frozen_until.is_some_and(|until| until > then)
    }

    fn frozen(&self) -> Option<Instant> {
        self.state().frozen_until.filter(|until| *until > Instant::now())
    }

    /// Waits until it runs.
    pub(crate) async fn runs(&self) {
        while let Some(until) = self.frozen() {
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.start.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(BEGINNING + passed + self.state().off)
    }

    fn monotonic(&self) -> Duration {
        let mut state = self.state();
        state.shown = state.shown.max(self.start.elapsed().saturating_sub(state.stood));
        state.shown
    }
}

/// A loop that is only polled when this gives no delay: on a machine that may be frozen, or over a disk that takes its time.
pub(crate) struct Slowed<F, D> {
    inner: Pin<Box<F>>,
    delay: D,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<F, D> Slowed<F, D> {
    /// `delay` is asked each time before the loop goes on.
    pub(crate) fn new(inner: F, delay: D) -> Self {
        Self { inner: Box::pin(inner), delay, sleep: None }
    }
}

impl<F: Future, D: FnMut() -> Duration + Unpin> Future for Slowed<F, D> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.sleep = None;
            } else {
                let delay = (self.delay)();
                if !delay.is_zero() {
                    self.sleep = Some(Box::pin(tokio::time::sleep(delay)));
                    continue;
                }
            }
            return self.inner.as_mut().poll(context);
        }
    }
}

impl Machine {
    /// How long it is still frozen.
    pub(crate) fn frozen_for(&self) -> Duration {
        self.frozen().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}
