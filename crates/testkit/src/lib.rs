//! Fake clock, scripted executor, matchers.
