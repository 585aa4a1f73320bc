//! Space that is held back for the moment when the disk is full.

use super::medium;
use crate::open::{Medium, SqliteOptions};
use everloop_store::error::StoreError;
use std::io::ErrorKind;
use std::path::PathBuf;

const BYTES: usize = 4 * 1024 * 1024;

/// A file that takes up space until it is given up.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    medium: Medium,
}

impl Reserve {
    pub(super) fn beside(options: &SqliteOptions) -> Self {
        Self { path: super::lock::beside(&options.path, ".reserve"), medium: options.medium.clone() }
    }
}

impl everloop_store::port::Reserve for Reserve {
    fn hold(&self) -> Result<(), StoreError> {
        medium::fill(&self.medium, &self.path, BYTES).map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full(error.into()),
            _ => StoreError::Unavailable(error.into()),
        })
    }

    fn release(&self) -> Result<(), StoreError> {
        medium::clear(&self.medium, &self.path).map_err(|error| StoreError::Unavailable(error.into()))
    }
}
