//! Retry policies and their backoff.

use crate::random::Random;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often, and how far apart, a task that failed is tried again.
///
/// The delay before try n + 1 is drawn evenly from zero to `min(max, initial * 2^(n-1))`: "full jitter", after
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Largest delay before the second try, in milliseconds.
    pub initial_ms: u64,
    /// Largest delay before any try, in milliseconds.
    pub max_ms: u64,
    /// Tries in all, the first one counted; at least 1.
    pub max_tries: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_tries: 3, initial_ms: 1_000, max_ms: 60_000 }
    }
}

impl RetryPolicy {
    /// The largest delay after this many failed tries (at least one).
    pub fn ceiling(&self, failed_tries: u32) -> Duration {
        let doubled = self.initial_ms.saturating_mul(1 << failed_tries.saturating_sub(1).min(32));
        Duration::from_millis(doubled.min(self.max_ms))
    }

    /// The delay after this many failed tries.
    pub fn delay(&self, failed_tries: u32, random: &dyn Random) -> Duration {
        let ceiling = u64::try_from(self.ceiling(failed_tries).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random.next_u64() % ceiling.saturating_add(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Fixed(u64);
    impl Random for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.0.to_be_bytes()[..buffer.len()]);
        }
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let policy = RetryPolicy::default();
        let seconds: Vec<_> = (1..=8).map(|n| policy.ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.ceiling(u32::MAX).as_secs(), 60);
    }

    proptest! {
        #[test]
        fn no_delay_is_above_its_ceiling(max_tries: u32, initial_ms: u64, max_ms: u64, n in 1_u32.., chance: u64) {
            let policy = RetryPolicy { max_tries, initial_ms, max_ms };
            prop_assert!(policy.delay(n, &Fixed(chance)) <= policy.ceiling(n));
            prop_assert!(policy.ceiling(n) <= policy.ceiling(n.saturating_add(1)));
        }
    }
}
