//! Canonical JSON, hash chain, receipts, export and offline verifier.
