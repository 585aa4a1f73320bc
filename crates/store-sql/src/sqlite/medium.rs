//! What a database lies on, and is held by for as long as it is open.

use super::lock::{self, FileLock};
use crate::open::{Medium, SqliteOptions};
use everloop_store::error::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A database that was taken.
#[derive(Debug)]
pub(super) enum Held {
    /// A file.
    File {
        /// For fsync. Closing any handle of a file drops this process's POSIX locks on it, and with them SQLite's: so this one
        /// stays open for as long as a connection does.
        file: File,
        /// Keeps other processes out.
        _lock: FileLock,
    },
    /// A file of a simulated disk.
    #[cfg(feature = "faults")]
    Simulated(crate::faults::Disk),
}

impl Held {
    /// Makes the database's folder and file if they are not there, and keeps other processes out.
    pub(super) fn take(options: &SqliteOptions) -> Result<Self, StoreError> {
        let path = &options.path;
        match &options.medium {
            Medium::Files => {
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder).map_err(|error| lock::folder_refused(path, &error))?;
                }
                let lock = FileLock::take(path, options.url.as_deref())?;
                let file = open_file(path).map_err(|error| lock::folder_refused(path, &error))?;
                Ok(Self::File { file, _lock: lock })
            }
            #[cfg(feature = "faults")]
            Medium::Simulated(disk) => {
                disk.create(path).map_err(|error| lock::folder_refused(path, &error))?;
                Ok(Self::Simulated(disk.clone()))
            }
        }
    }

    /// Writes the log of an earlier process again as it reads, and syncs it, before SQLite looks at it.
    ///
    /// If a sync of that process failed, the system may show what is not on the disk, and no sync would bring it there: pages
    /// that it takes for clean have to be written. Else SQLite moves commits into the database that the log on the disk does not
    /// have, and after a power cut replays that shorter log over them.
    pub(super) fn write_log_again(&self, path: &Path) -> io::Result<()> {
        let log = lock::beside(path, "-wal");
        match self {
            Self::File { .. } => match OpenOptions::new().read(true).write(true).open(&log) {
                Ok(file) => write_again(file),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            },
            #[cfg(feature = "faults")]
            Self::Simulated(disk) => disk.write_again(&log),
        }
    }

    /// Opens a connection to the database.
    pub(super) fn connect(&self, path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
        match self {
            Self::File { .. } => Connection::open_with_flags(path, flags),
            #[cfg(feature = "faults")]
            Self::Simulated(disk) => {
                let (path, vfs) = disk.address(path)?;
                Connection::open_with_flags_and_vfs(path, flags, vfs)
            }
        }
    }

    /// Syncs the database file.
    pub(super) fn sync(
        &self,
        #[cfg_attr(not(feature = "faults"), expect(unused))] path: &Path,
    ) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.sync_data(),
            #[cfg(feature = "faults")]
            Self::Simulated(disk) => disk.sync(path),
        }
    }
}

fn write_again(mut file: File) -> io::Result<()> {
    let mut chunk = vec![0; 1024 * 1024];
    let mut at = 0;
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return file.sync_all();
        }
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&chunk[..count])?;
        at += count as u64;
    }
}

/// The file itself, readable by its owner only: it holds secrets. SQLite gives its other files the same rights.
fn open_file(path: &Path) -> io::Result<File> {
    let mut open = OpenOptions::new();
    open.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    open.open(path)
}

/// Takes up space with a file, if it does not do so already.
pub(super) fn fill(medium: &Medium, path: &Path, bytes: usize) -> io::Result<()> {
    match medium {
        Medium::Files => {
            if std::fs::metadata(path).is_ok_and(|found| found.len() == bytes as u64) {
                return Ok(());
            }
            let write = || -> io::Result<()> {
                let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
                // Bytes that no file system leaves out.
                file.write_all(&vec![0xa5; bytes])?;
                file.sync_all()
            };
            // What can't be removed holds no less space than before.
            write().inspect_err(|_| drop(std::fs::remove_file(path)))
        }
        #[cfg(feature = "faults")]
        Medium::Simulated(disk) => disk.fill(path, bytes),
    }
}

/// Removes that file.
pub(super) fn clear(medium: &Medium, path: &Path) -> io::Result<()> {
    match medium {
        Medium::Files => match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        },
        #[cfg(feature = "faults")]
        Medium::Simulated(disk) => disk.clear(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_again_is_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(folder.path().join("everloop.db"));
        let held = Held::take(&options).unwrap();
        held.write_log_again(&options.path).unwrap();
        let log = lock::beside(&options.path, "-wal");
        assert!(!log.exists(), "none is made");
        let bytes: Vec<u8> = (0..2_500_001_u32).map(|n| (n % 251) as u8).collect();
        let mut file = OpenOptions::new().write(true).create_new(true).open(&log).unwrap();
        file.write_all(&bytes).unwrap();
        held.write_log_again(&options.path).unwrap();
        let mut found = Vec::new();
        OpenOptions::new().read(true).open(&log).unwrap().read_to_end(&mut found).unwrap();
        assert!(found == bytes);
    }
}
