//! Executors: mock, http, shell.
