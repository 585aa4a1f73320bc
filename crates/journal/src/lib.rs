//! Canonical JSON, hash chain, receipts, export and offline verifier.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, no randomness. The formats are described, with
//! test vectors, in `docs/formats.md`; what they do and don't prove in `docs/threat-model.md`.

pub mod canonical;
pub mod chain;
pub mod digest;
pub mod export;
pub mod hex;
pub mod keys;
pub mod receipt;
