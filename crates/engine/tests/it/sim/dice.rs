//! Chance that can be had again: everybody in the world throws dice of their own, made from the seed and a name. So what one
//! of them draws does not depend on when another one is asked.

use everloop_testkit::random::Seeded;
use everloop_types::random::Random;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

pub(crate) struct Dice(Seeded);

impl Dice {
    pub(crate) fn new(seed: u64, who: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, who).hash(&mut hasher);
        Self(Seeded::new(hasher.finish()))
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Both ends included.
    pub(crate) fn range(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    pub(crate) fn small(&self, low: u32, high: u32) -> u32 {
        u32::try_from(self.range(low.into(), high.into())).unwrap()
    }

    pub(crate) fn per_mille(&self, chance: u32) -> bool {
        self.below(1000) < u64::from(chance)
    }

    /// Anything up to this, in milliseconds.
    pub(crate) fn within(&self, longest: Duration) -> Duration {
        Duration::from_millis(self.range(0, u64::try_from(longest.as_millis()).unwrap()))
    }

    /// Half to one and a half of this.
    pub(crate) fn about(&self, mean: Duration) -> Duration {
        mean / 2 + self.within(mean)
    }

    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.next_u64()
    }
}
