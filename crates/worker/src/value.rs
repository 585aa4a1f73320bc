//! What would be different in every attempt: taken once, and recorded.

use crate::context::{Context, canonical};
use crate::executor::Stop;
use crate::journal::{Found, Outcome};
use everloop_journal::digest;
use everloop_types::json::Json;
use everloop_types::random::Random;
use everloop_types::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The kind of the record of such a value.
const VALUE: &str = "value";

/// Chance that belongs to an attempt: nobody can know it who does not know the lease, and it needs no source of its own.
pub(crate) struct Chance([u8; 32]);

impl Random for Chance {
    fn fill(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(self.0) {
            *to = from;
        }
    }
}

impl Context {
    /// Thirty-two bytes of chance for a use in this attempt.
    pub(crate) fn chance(&self, what: &str) -> Chance {
        let (task, lease) = (self.assignment().task, self.assignment().lease);
        Chance(digest::sha256(format!("everloop/chance/v1/{task}/{lease}/{what}").as_bytes()))
    }

    fn value<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        make: impl FnOnce(Chance) -> T,
    ) -> Result<T, Stop> {
        let key = self.next_key(name);
        self.boundary()?;
        let nothing = digest::intent(&Json::null());
        match self.journal().find(&key, VALUE, &nothing)? {
            Found::Outcome(Outcome::Completed(value)) => return Ok(value.parse()?),
            Found::Outcome(Outcome::Failed(error)) => return Err(Stop::Failed(error)),
            Found::Nothing { .. } | Found::InDoubt(..) if self.is_dry() => {
                return Err(Stop::Replayed(vec![key]));
            }
            Found::Nothing { .. } | Found::InDoubt(..) => {}
        }
        let value = canonical(&make(self.chance(&key)))?;
        self.record(key.clone(), VALUE, nothing, value.clone());
        self.go_on(&key)?;
        Ok(value.parse()?)
    }

    /// The time: taken once and recorded, the same in every replay.
    ///
    /// # Errors
    /// The reason to stop.
    pub fn now(&self) -> Result<Timestamp, Stop> {
        self.value("now", |_| self.wall_clock())
    }

    /// A number from 0 to 1: drawn once and recorded.
    ///
    /// # Errors
    /// The reason to stop.
    pub fn random(&self) -> Result<f64, Stop> {
        // A double has 53 bits for it.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        self.value("random", |chance| (chance.next_u64() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// A new UUID: made once and recorded.
    ///
    /// # Errors
    /// The reason to stop.
    pub fn new_id(&self) -> Result<String, Stop> {
        self.value("id", |chance| {
            let mut bits = u128::from_be_bytes(chance.bytes16());
            // Version 4, variant of RFC 9562.
            bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
            let hex = format!("{bits:032x}");
            [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
        })
    }
}
