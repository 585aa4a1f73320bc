//! Chance that can be had again: the same seed and label give the same throws, whatever other parts of a run do.

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>). Good enough for tests, and for nothing secret.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// A sequence of its own for each seed and label.
    pub(crate) fn new(seed: u64, label: &str, n: u64) -> Self {
        let mut dice = Self { state: seed };
        for byte in label.bytes() {
            dice.state = dice.next() ^ u64::from(byte);
        }
        dice.state = dice.next() ^ n;
        dice
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % high.saturating_sub(low).saturating_add(1).max(1)
    }

    /// Yes, once in so many throws.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.between(1, n.max(1)) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_label_and_number_decide_and_nothing_else() {
        let throws = |seed, label, n| {
            let mut dice = Dice::new(seed, label, n);
            [0; 8].map(|_| dice.between(1, 6))
        };
        assert_eq!(throws(1, "task", 2), throws(1, "task", 2));
        let others = [throws(2, "task", 2), throws(1, "kill", 2), throws(1, "task", 3)];
        assert!(others.iter().all(|other| *other != throws(1, "task", 2)));
        assert!(throws(1, "task", 2).iter().all(|throw| (1..=6).contains(throw)));
    }
}
