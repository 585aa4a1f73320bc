//! Typed ids: a prefix that names the kind of thing, `_`, and a UUIDv7 in Crockford's base 32.
//!
//! The text form follows TypeID 0.3 (<https://github.com/jetify-com/typeid/tree/main/spec>): 26 lower-case characters. The
//! bytes follow RFC 9562 section 5.7. [`IdGenerator`] makes them strictly increasing within one process.

use crate::random::Random;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The value of each character, 32 for one that is none: ids are read on the write path.
const VALUES: [u8; 256] = {
    let mut values = [32; 256];
    let mut value = 0;
    while value < 32 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and 26 characters")]
pub struct IdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

fn encode(bytes: &[u8; 16], out: &mut [u8; 26]) {
    let mut n = u128::from_be_bytes(*bytes);
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(n & 31) as usize];
        n >>= 5;
    }
}

fn decode(text: &[u8]) -> Option<[u8; 16]> {
    // 26 characters of 5 bits are 130 bits: the first one may not be above 7.
    if text.len() != 26 || text[0] > b'7' {
        return None;
    }
    let mut n: u128 = 0;
    for &c in text {
        let value = VALUES[usize::from(c)];
        if value == 32 {
            return None;
        }
        n = n << 5 | u128::from(value);
    }
    Some(n.to_be_bytes())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// What the text form begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = [0; 26];
                encode(&self.0, &mut out);
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(std::str::from_utf8(&out).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|rest| decode(rest.as_bytes()))
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A task, and the name of its stream.
    TaskId = "task";
    /// A worker.
    WorkerId = "wkr";
    /// A session.
    SessionId = "ses";
    /// A user: a pseudonym, never a name or an address.
    UserId = "usr";
    /// A tenant: whose everything is.
    TenantId = "ten";
    /// An API key (not its secret).
    ApiKeyId = "key";
    /// A wait, an input, a decision: whatever a task waits for or is sent.
    SignalId = "sig";
    /// An installation of Everloop: one database.
    InstallationId = "ins";
    /// One run of a server process.
    IncarnationId = "inc";
    /// One request, for the logs and the answer's `request_id`.
    RequestId = "req";
}

impl TenantId {
    /// The tenant of an installation that has only one.
    pub const DEFAULT: Self = Self([0; 16]);
}

impl UserId {
    /// The embedded user: whoever can use the machine in dev mode, or shows the local key.
    pub const LOCAL: Self = Self([0; 16]);
}

/// Makes UUIDv7 values that strictly increase, even within a millisecond and when the clock goes back.
///
/// RFC 9562 section 6.2, method 2: within one millisecond the 74 random bits are counted up by a random amount.
#[derive(Debug, Default)]
pub struct IdGenerator {
    last: Mutex<u128>,
}

impl IdGenerator {
    /// The next value for this time.
    pub fn next(&self, now: Timestamp, random: &dyn Random) -> [u8; 16] {
        // The 122 bits that are not version and variant, in order: 48 of time, 74 of chance.
        const RANDOM_BITS: u32 = 74;
        let fresh = {
            let mut noise = [0; 16];
            random.fill(&mut noise[..10]);
            let chance = u128::from_be_bytes(noise) >> (128 - 80) & ((1 << RANDOM_BITS) - 1);
            // The top bit of the counter starts clear, so that counting up does not reach the time.
            (u128::from(now.as_unix_millis()) & ((1 << 48) - 1)) << RANDOM_BITS
                | (chance & ((1 << (RANDOM_BITS - 1)) - 1))
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let value = if fresh >> RANDOM_BITS > *last >> RANDOM_BITS {
            fresh
        } else {
            *last + 1 + u128::from(random.next_u64() >> 32)
        };
        *last = value;
        let (time, rand_a, rand_b) = (value >> 74, value >> 62 & 0xfff, value & ((1 << 62) - 1));
        (time << 80 | 7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Counter(AtomicU64);
    impl Random for Counter {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = (self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 56) as u8;
            }
        }
    }

    #[test]
    fn fifty_thousand_ids_increase_and_are_version_7() {
        let random = Counter(AtomicU64::new(1));
        let generator = IdGenerator::default();
        let mut last = [0; 16];
        for i in 0..50_000_i64 {
            // The clock goes back by 10 ms every thousand ids.
            let id = generator
                .next(Timestamp::from_micros(1_700_000_000_000_000 + i - i / 1000 * 10_000), &random);
            assert!(id > last, "{i}");
            assert_eq!(id[6] >> 4, 7);
            assert_eq!(id[8] >> 6, 0b10);
            last = id;
        }
    }

    #[test]
    fn follows_the_published_typeid_vectors() {
        let id = TaskId([
            0x01, 0x88, 0xba, 0xc7, 0x4a, 0xfa, 0x78, 0xaa, 0xbc, 0x3b, 0xbd, 0x1e, 0xef, 0x28, 0xd8, 0x81,
        ]);
        assert_eq!(id.to_string(), "task_01h2xcejqtf2nbrexx3vqjhp41");
        assert_eq!(TaskId([0xff; 16]).to_string(), "task_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }

    #[test]
    fn refuses_what_is_not_an_id() {
        for text in [
            "",
            "task_",
            "wkr_01h2xcejqtf2nbrexx3vqjhp41",
            "task_01h2xcejqtf2nbrexx3vqjhp4",
            "task_81h2xcejqtf2nbrexx3vqjhp41",
            "task_01H2XCEJQTF2NBREXX3VQJHP41",
            "task_01h2xcejqtf2nbrexx3vqjhpu1",
        ] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_back_and_keeps_the_order(a: [u8; 16], b: [u8; 16]) {
            let (x, y) = (TaskId(a), TaskId(b));
            prop_assert_eq!(x.to_string().parse::<TaskId>(), Ok(x));
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
        }
    }
}
