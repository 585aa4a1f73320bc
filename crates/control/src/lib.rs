//! Every use-case, once.
