//! What an error of PostgreSQL means.

use everloop_store::error::{Source, StoreError};
use std::fmt;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Sorts an error of a statement that changed nothing, or whose transaction is known not to have been committed.
pub(super) fn classify(error: Error) -> StoreError {
    let Some(state) = error.code() else {
        return if is_ours(&error) {
            StoreError::Bug(told(error))
        } else {
            StoreError::Unavailable(told(error))
        };
    };
    if *state == SqlState::DISK_FULL {
        return StoreError::Full(told(error));
    }
    if *state == SqlState::DATA_CORRUPTED || *state == SqlState::INDEX_CORRUPTED {
        return StoreError::Corrupt { what: told(error).to_string() };
    }
    match &state.code()[..2] {
        // Connection, resources, operator, system; deadlocks; locks that could not be had; standby; limits on time.
        "08" | "53" | "57" | "58" | "40" | "55" | "25" => StoreError::Unavailable(told(error)),
        _ => StoreError::Bug(told(error)),
    }
}

/// Whether we called the driver in a wrong way: then nothing reached the server.
fn is_ours(error: &Error) -> bool {
    // The driver tells its kinds apart by their texts only.
    ["error serializing", "error deserializing", "error encoding", "expected ", "invalid column"]
        .iter()
        .any(|text| error.to_string().starts_with(text))
}

/// Whether the connection is gone or will be.
pub(super) fn ends_connection(error: &Error) -> bool {
    match error.as_db_error() {
        Some(error) => matches!(error.severity(), "FATAL" | "PANIC"),
        None => !is_ours(error),
    }
}

/// Whether a row was there already.
pub(super) fn is_double(error: &Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// An error with what it says: the driver's own text for an answer of the server is `db error`.
#[derive(Debug)]
struct Told(Error);

/// See [`Told`].
pub(super) fn told(error: Error) -> Source {
    Box::new(Told(error))
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_db_error() {
            // Not the detail: it repeats what is stored.
            Some(error) => write!(f, "{}: {} ({})", error.severity(), error.message(), error.code().code()),
            None => match std::error::Error::source(&self.0) {
                Some(source) => write!(f, "{}: {source}", self.0),
                None => write!(f, "{}", self.0),
            },
        }
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
