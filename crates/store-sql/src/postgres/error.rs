//! What an error of PostgreSQL means.

use everloop_store::error::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Sorts an error of a statement that changed nothing, or whose transaction is known not to have been committed.
pub(super) fn classify(error: Error) -> StoreError {
    let Some(state) = error.code() else {
        return if is_ours(&error) { StoreError::Bug(error.into()) } else { StoreError::Unavailable(error.into()) };
    };
    if *state == SqlState::DISK_FULL {
        return StoreError::Full(error.into());
    }
    if *state == SqlState::DATA_CORRUPTED || *state == SqlState::INDEX_CORRUPTED {
        return StoreError::Corrupt { what: error.to_string() };
    }
    match &state.code()[..2] {
        // Connection, resources, operator, system; deadlocks; locks that could not be had; standby; limits on time.
        "08" | "53" | "57" | "58" | "40" | "55" | "25" => StoreError::Unavailable(error.into()),
        _ => StoreError::Bug(error.into()),
    }
}

/// Whether we called the driver in a wrong way: then nothing reached the server.
fn is_ours(error: &Error) -> bool {
    // The driver tells its kinds apart by their texts only.
    ["error serializing parameter", "error deserializing column", "error converting", "expected "]
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
