//! The fencing token of an attempt.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// What a worker shows with every call about an attempt. A later attempt, and a restored backup, make it worthless.
///
/// Text form, as in the header `Everloop-Lease`: `epoch.attempt.nonce` with the nonce as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    /// How many times this installation was restored from a backup.
    pub epoch: u32,
    /// The attempt of the task.
    pub attempt: u32,
    /// Chance, so that a token cannot be guessed from the attempt.
    pub nonce: u64,
}

/// Why a text is not a lease token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a lease token: take it, as it is, from the answer to the claim")]
pub struct LeaseTokenError;

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:016x}", self.epoch, self.attempt, self.nonce)
    }
}

impl FromStr for LeaseToken {
    type Err = LeaseTokenError;
    fn from_str(text: &str) -> Result<Self, LeaseTokenError> {
        let read = || {
            let mut parts = text.split('.');
            let token = Self {
                epoch: parts.next()?.parse().ok()?,
                attempt: parts.next()?.parse().ok()?,
                nonce: u64::from_str_radix(parts.next()?, 16).ok()?,
            };
            (parts.next().is_none() && token.to_string() == text).then_some(token)
        };
        read().ok_or(LeaseTokenError)
    }
}

impl Serialize for LeaseToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_text_is_a_token() {
        let token = LeaseToken { epoch: 1, attempt: 3, nonce: 0xfeed };
        assert_eq!("1.3.000000000000feed".parse(), Ok(token));
        for text in
            ["", "1.3", "1.3.feed", "1.3.000000000000FEED", "+1.3.000000000000feed", "1.3.000000000000feed."]
        {
            assert_eq!(text.parse::<LeaseToken>(), Err(LeaseTokenError), "{text}");
        }
    }
}
