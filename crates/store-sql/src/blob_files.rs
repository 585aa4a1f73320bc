//! Blobs as files: `blobs/<tenant>/<two digits>/<id>` in the data folder.

#![expect(clippy::disallowed_methods, reason = "this crate owns the files of blobs")]

use everloop_store::error::StoreError;
use everloop_store::port::Blob;
use everloop_types::id::TenantId;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Blobs below one folder.
#[derive(Debug)]
pub struct BlobFiles {
    root: PathBuf,
    /// Tells apart the unfinished files of this process.
    next: AtomicU64,
}

impl BlobFiles {
    /// Blobs in `<data_dir>/blobs`. Nothing is made before the first blob.
    pub fn new(data_dir: &Path) -> Self {
        Self { root: data_dir.join("blobs"), next: AtomicU64::new(0) }
    }

    /// The folder and path of a blob. An id is hexadecimal: anything else could name a file elsewhere.
    fn path(&self, tenant: TenantId, id: &str) -> Result<(PathBuf, PathBuf), StoreError> {
        let is_id =
            (4..=128).contains(&id.len()) && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id {
            return Err(StoreError::Bug(format!("{id:?} is not the id of a blob").into()));
        }
        let folder = self.root.join(tenant.to_string()).join(&id[..2]);
        let path = folder.join(id);
        Ok((folder, path))
    }

    /// Makes a folder and those above it up to the root, each one durable in the one above it.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(above) = folder.parent().filter(|above| above.starts_with(&self.root)) {
            self.make_folder(above)?;
        } else if let Some(above) = folder.parent() {
            std::fs::create_dir_all(above)?;
        }
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        folder.parent().map_or(Ok(()), sync_folder)
    }

    fn write(&self, folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.make_folder(folder)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let unfinished = folder.join(format!(".{}-{number}", std::process::id()));
        let written = write_synced(&unfinished, bytes).and_then(|()| std::fs::rename(&unfinished, path));
        if let Err(error) = written {
            // The next sweep of the folder finds what can't be removed now.
            let _ = std::fs::remove_file(&unfinished);
            return Err(error);
        }
        sync_folder(folder)
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let mut file = open.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn classify(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full(error.into()),
        _ => StoreError::Unavailable(error.into()),
    }
}

impl Blob for BlobFiles {
    fn put(&self, tenant: TenantId, id: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (folder, path) = self.path(tenant, id)?;
        // A name is given only to bytes that were synced, and the id stands for the bytes: what is there is right, though
        // a crash may have come before its name was durable.
        match std::fs::metadata(&path) {
            Ok(found) if found.len() == bytes.len() as u64 => sync_folder(&folder).map_err(classify),
            Ok(_) | Err(_) => self.write(&folder, &path, bytes).map_err(classify),
        }
    }

    fn get(&self, tenant: TenantId, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (_, path) = self.path(tenant, id)?;
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(classify(error)),
        }
    }

    fn delete(&self, tenant: TenantId, id: &str) -> Result<(), StoreError> {
        let (folder, path) = self.path(tenant, id)?;
        match std::fs::remove_file(path) {
            Ok(()) => sync_folder(&folder).map_err(classify),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(classify(error)),
        }
    }
}
