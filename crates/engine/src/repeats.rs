//! What happens again and again is said now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long nothing is said after something was.
const SILENCE: Duration = Duration::from_secs(10);

/// Counts what happens, and says when to speak of it.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    /// When it was last spoken of, by the monotonic clock, and how often it has happened since.
    state: Mutex<Option<(Duration, u64)>>,
}

impl Repeats {
    /// It has happened. If it is to be spoken of: how often it has happened without that since the last time.
    pub(crate) fn happened(&self, now: Duration) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.as_mut() {
            Some((last, unsaid)) if now.saturating_sub(*last) < SILENCE => {
                *unsaid += 1;
                None
            }
            spoken => {
                let unsaid = spoken.map_or(0, |(_, unsaid)| *unsaid);
                *state = Some((now, 0));
                Some(unsaid)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_spoken_of_and_then_a_count_now_and_then() {
        let repeats = Repeats::default();
        let said: Vec<_> =
            [0, 1, 9, 10, 11, 25, 90].map(|second| repeats.happened(Duration::from_secs(second))).into();
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }
}
