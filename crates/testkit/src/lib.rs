//! Fake clock, seeded randomness: what tests put in place of the ambient ones.

pub mod clock;
pub mod random;
pub mod system;
