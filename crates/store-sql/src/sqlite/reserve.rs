//! Space that is held back for the moment when the disk is full.

use everloop_store::error::StoreError;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

const BYTES: usize = 4 * 1024 * 1024;

/// A file that takes up space until it is given up.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(super) fn beside(database: &Path) -> Self {
        Self { path: super::lock::beside(database, ".reserve") }
    }
}

impl everloop_store::port::Reserve for Reserve {
    fn hold(&self) -> Result<(), StoreError> {
        if std::fs::metadata(&self.path).is_ok_and(|found| found.len() == BYTES as u64) {
            return Ok(());
        }
        let write = || -> io::Result<()> {
            let mut file: File =
                OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
            // Bytes that no file system leaves out.
            file.write_all(&vec![0xa5; BYTES])?;
            file.sync_all()
        };
        write().map_err(|error| {
            // What can't be removed holds no less space than before.
            let _ = std::fs::remove_file(&self.path);
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full(error.into()),
                _ => StoreError::Unavailable(error.into()),
            }
        })
    }

    fn release(&self) -> Result<(), StoreError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::Unavailable(error.into())),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
