//! One process per file.

#![expect(clippy::disallowed_methods, reason = "this crate owns the files of the database")]

use everloop_store::error::StoreError;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A lock of the operating system on a file beside the database. It goes with the process, whatever happens to that.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of a database and writes into it who has it.
    ///
    /// # Errors
    /// `Refused` if another process has it, or the folder can't be written.
    pub(super) fn take(database: &Path, url: Option<&str>) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| folder_refused(database, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(database, &path)),
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::Refused {
                    what: format!("{} can't be locked: {error}", path.display()),
                    remedy: "put the data folder on a local file system".into(),
                });
            }
        }
        let owner = format!("pid {}\n{}\n", std::process::id(), url.unwrap_or_default());
        file.set_len(0)
            .and_then(|()| file.write_all(owner.as_bytes()))
            .map_err(|error| folder_refused(database, &error))?;
        Ok(Self { _file: file })
    }
}

/// The path of a file that belongs to a database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

fn in_use(database: &Path, lock: &Path) -> StoreError {
    // What can't be read is only missing from the message.
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let owner = match (lines.next(), lines.next()) {
        (Some(pid), Some(url)) => format!("{pid} at {url}"),
        (Some(pid), None) => pid.to_owned(),
        (None, _) => "unknown".to_owned(),
    };
    StoreError::Refused {
        what: format!("another process ({owner}) has {}", database.display()),
        remedy: "use the server that runs, stop it, or choose another folder with --data-dir".into(),
    }
}

/// Why a file in the folder of the database can't be written.
pub(super) fn folder_refused(database: &Path, error: &io::Error) -> StoreError {
    let folder = database.parent().unwrap_or(database);
    StoreError::Refused {
        what: format!("the folder {} can't be written: {error}", folder.display()),
        remedy: "give this user write access to the folder, or choose another one with --data-dir".into(),
    }
}
