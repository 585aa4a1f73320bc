//! The machine's clocks and randomness: the only place that asks for them.
#![expect(clippy::disallowed_methods, reason = "this is where time and chance come from")]

use everloop_types::random::Random;
use everloop_types::time::{Clock, Timestamp};
use std::time::{Duration, Instant, SystemTime};

/// Tasks are made on one thread and dropped on another, thousands in a second. With 64 of them at once over HTTP this allocator
/// gets twice as many through as the one of glibc (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The clocks of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Monotonic time counts from now.
    pub(crate) fn start() -> Self {
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

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            // Keys and salts made without randomness would be worse than no server.
            eprintln_and_abort(&error);
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a process that can't go on")]
fn eprintln_and_abort(error: &getrandom::Error) -> ! {
    eprintln!("error: the operating system gives no random bytes: {error}");
    std::process::abort()
}
