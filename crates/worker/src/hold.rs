//! How long a lease can be counted on.

use everloop_types::time::Clock;
use std::time::Duration;
use tokio::sync::watch;

/// How long a worker elsewhere may go on without a word from the server.
pub(crate) struct Hold {
    /// The life of the lease.
    pub(crate) life: Duration,
    /// When it was last renewed, by the worker's monotonic clock: before the server was asked, never after.
    pub(crate) renewed: watch::Receiver<Duration>,
}

impl Hold {
    /// What is left of the two thirds of the lease after which a worker gives up.
    fn left(&self, now: Duration) -> Duration {
        (*self.renewed.borrow() + self.life * 2 / 3).saturating_sub(now)
    }

    /// Whether nothing is left of them.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.left(now).is_zero()
    }

    /// Waits until nothing is left of them.
    pub(crate) async fn over(&self, clock: &dyn Clock) {
        let mut renewed = self.renewed.clone();
        loop {
            renewed.mark_unchanged();
            let left = self.left(clock.monotonic());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                Ok(()) = renewed.changed() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}
