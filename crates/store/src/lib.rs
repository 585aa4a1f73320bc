//! The ports of a store, the in-memory engine and the conformance suite.
