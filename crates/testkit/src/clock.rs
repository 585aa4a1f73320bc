//! A clock that a test sets.

use everloop_types::time::{Clock, Timestamp};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A clock that stands still until it is moved. Share it by `Arc`.
#[derive(Debug)]
pub struct FakeClock {
    // Wall and monotonic time.
    times: Mutex<(Timestamp, Duration)>,
}

impl FakeClock {
    /// Starts at this wall time, with the monotonic time at zero.
    pub fn at(now: Timestamp) -> Self {
        Self { times: Mutex::new((now, Duration::ZERO)) }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        self.change(|(wall, monotonic)| (wall.plus(by), monotonic + by));
    }

    /// Sets the wall clock, backwards too, as an operator or NTP may; the monotonic one does not notice.
    pub fn set_wall(&self, now: Timestamp) {
        self.change(|(_, monotonic)| (now, monotonic));
    }

    fn change(&self, change: impl FnOnce((Timestamp, Duration)) -> (Timestamp, Duration)) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        *times = change(*times);
    }

    fn times(&self) -> (Timestamp, Duration) {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FakeClock {
    /// Starts at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_micros(1_767_225_600_000_000))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.times().0
    }

    fn monotonic(&self) -> Duration {
        self.times().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_jumps_and_the_monotonic_one_does_not() {
        let clock = FakeClock::default();
        let start = clock.now();
        assert_eq!(start.to_string(), "2026-01-01T00:00:00.000000Z");
        clock.advance(Duration::from_secs(5));
        clock.set_wall(start);
        assert_eq!((clock.now(), clock.monotonic()), (start, Duration::from_secs(5)));
    }
}
