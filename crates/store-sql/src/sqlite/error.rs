//! What an error of SQLite means.

use everloop_store::error::StoreError;
use rusqlite::ffi;
use rusqlite::{Error, ErrorCode};

/// Sorts an error by what it leaves behind.
pub(super) fn classify(error: Error) -> StoreError {
    let Error::SqliteFailure(failure, _) = &error else {
        return StoreError::Bug(error.into());
    };
    if matches!(failure.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) {
        return StoreError::Failed(error.into());
    }
    match failure.code {
        ErrorCode::DiskFull => StoreError::Full(error.into()),
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::PermissionDenied
        | ErrorCode::NoLargeFileSupport => StoreError::Unavailable(error.into()),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            StoreError::Corrupt { what: error.to_string() }
        }
        _ => StoreError::Bug(error.into()),
    }
}
