//! The write pipeline, the machines of a task, and live tails.
