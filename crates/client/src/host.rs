//! The machine's clocks and randomness: the only place that asks for them. Everything else is given them.
#![expect(clippy::disallowed_methods, reason = "this is where time and chance come from")]

use everloop_types::random::Random;
use everloop_types::time::{Clock, Timestamp};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The clocks of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Monotonic time counts from now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The operating system's randomness, fetched in stock: a task takes a hundred bytes in pieces of sixteen, and each call to
/// the system would cost more than all of them.
#[derive(Debug, Default)]
pub struct SystemRandom(Mutex<Stock>);

/// Bytes that nobody has seen. What is given out is overwritten.
#[derive(Debug)]
struct Stock {
    bytes: [u8; 1024],
    left: usize,
}

impl Default for Stock {
    fn default() -> Self {
        Self { bytes: [0; 1024], left: 0 }
    }
}

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut stock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() > stock.bytes.len() {
            return fetch(buffer);
        }
        if buffer.len() > stock.left {
            fetch(&mut stock.bytes);
            stock.left = stock.bytes.len();
        }
        let start = stock.left - buffer.len();
        let end = std::mem::replace(&mut stock.left, start);
        let given = &mut stock.bytes[start..end];
        buffer.copy_from_slice(given);
        given.fill(0);
    }
}

fn fetch(buffer: &mut [u8]) {
    if let Err(error) = getrandom::fill(buffer) {
        // Keys and salts made without randomness would be worse than no server.
        eprintln_and_abort(&error);
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a process that can't go on")]
fn eprintln_and_abort(error: &getrandom::Error) -> ! {
    eprintln!("error: the operating system gives no random bytes: {error}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_bytes_are_given_out_twice() {
        let random = SystemRandom::default();
        let mut seen = HashSet::new();
        for length in [16, 32, 8, 1024, 2000, 16].iter().cycle().take(3_000) {
            let mut buffer = vec![0; *length];
            random.fill(&mut buffer);
            assert!(seen.insert(buffer[..8].to_vec()), "eight bytes came twice");
            assert!(buffer.windows(8).all(|part| part != [0; 8]), "bytes that were overwritten");
        }
        let stock = random.0.lock().unwrap();
        assert!(stock.bytes[stock.left..].iter().all(|byte| *byte == 0), "what was given out is still there");
    }
}
