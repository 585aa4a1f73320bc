//! Randomness as an argument, so that a simulation can replay it.

/// A source of random bytes. The product's one is the operating system's; tests and the simulation pass a seeded one.
pub trait Random: Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// Sixteen random bytes: the size of a payload's salt.
    fn bytes16(&self) -> [u8; 16] {
        let mut out = [0; 16];
        self.fill(&mut out);
        out
    }

    /// A uniformly distributed number.
    fn next_u64(&self) -> u64 {
        let mut out = [0; 8];
        self.fill(&mut out);
        u64::from_be_bytes(out)
    }
}
