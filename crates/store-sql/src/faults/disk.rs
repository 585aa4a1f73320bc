//! The disk, and handles of its files.

use super::locks::{HandleId, Level, Region};
use super::plan::{Counts, Kind, Plan};
use super::state::{Answer, FileId, State};
use rusqlite::ffi;
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A disk in memory that forgets what was not synced when the power goes. Handles of it are cheap to clone.
///
/// What it does follows from its seed, its plans and what is done to it. A thread is never started, and no clock is read.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    number: u64,
    state: Mutex<State>,
}

/// Bytes that are written at a time where it is not SQLite that writes.
const CHUNK: usize = 64 * 1024;

/// All disks of the process: SQLite knows files by name alone, so a name begins with the number of its disk.
static DISKS: Mutex<BTreeMap<u64, Weak<Inner>>> = Mutex::new(BTreeMap::new());

impl Drop for Inner {
    fn drop(&mut self) {
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Disk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let inner = Arc::new(Inner { number, state: Mutex::new(State::new(seed)) });
        let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        disks.insert(number, Arc::downgrade(&inner));
        Self(inner)
    }

    /// What goes wrong from now on, in place of what was planned before.
    pub fn plan(&self, plan: Plan) {
        self.state().plan = plan;
    }

    /// Whether a plan has cut the power: everything fails until [`Disk::cut`].
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Cuts the power, if a plan has not done so, and turns it on again. Handles from before are dead; of what was not synced a
    /// random part is there. The plan is over.
    pub fn cut(&self) {
        self.state().cut();
    }

    /// Kills the process: handles are dead, and what was written is there, synced or not. The plan is over.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// How many bytes all files may have together. What is there already stays.
    pub fn limit_space(&self, bytes: Option<usize>) {
        self.state().space = bytes;
    }

    /// How long a file is, in bytes, if it is there.
    pub fn len_of(&self, path: &Path) -> Option<usize> {
        let mut state = self.state();
        let file = state.named(&path.to_string_lossy())?;
        Some(state.content(file).len())
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// How SQLite has to be asked for a file of this disk: the path and the name of the VFS.
    ///
    /// # Errors
    /// If SQLite does not take the VFS.
    pub fn address(&self, path: &Path) -> rusqlite::Result<(PathBuf, &'static std::ffi::CStr)> {
        super::vfs::register()?;
        Ok((PathBuf::from(format!("{}:{}", self.0.number, path.display())), super::vfs::NAME))
    }

    /// Makes an empty file, unless it is there.
    pub(crate) fn create(&self, path: &Path) -> io::Result<()> {
        self.state().create(&path.to_string_lossy()).map(drop).map_err(io_error)
    }

    /// Syncs a file.
    pub(crate) fn sync(&self, path: &Path) -> io::Result<()> {
        let name = path.to_string_lossy();
        let mut state = self.state();
        let file = state.create(&name).map_err(io_error)?;
        state.sync(file, &name, false).map_err(io_error)
    }

    /// Writes a file again as it reads, if it is there, and syncs it.
    pub(crate) fn write_again(&self, path: &Path) -> io::Result<()> {
        let name = path.to_string_lossy();
        let mut state = self.state();
        let Some(file) = state.named(&name) else { return Ok(()) };
        let mut bytes = vec![0; state.content(file).len()];
        for (place, chunk) in bytes.chunks_mut(CHUNK).enumerate() {
            state.read(file, &name, place * CHUNK, chunk).map_err(io_error)?;
            state.write(file, &name, place * CHUNK, chunk).map_err(io_error)?;
        }
        state.sync(file, &name, false).map_err(io_error)
    }

    /// Makes a file of so many bytes that takes up space, unless it is there.
    pub(crate) fn fill(&self, path: &Path, bytes: usize) -> io::Result<()> {
        let name = path.to_string_lossy();
        let mut state = self.state();
        let file = state.create(&name).map_err(io_error)?;
        if state.content(file).len() == bytes {
            return Ok(());
        }
        let written = state.write(file, &name, 0, &vec![0xa5; bytes]);
        written.and_then(|()| state.sync(file, &name, true)).map_err(io_error)
    }

    /// Removes a file, if it is there.
    pub(crate) fn clear(&self, path: &Path) -> io::Result<()> {
        match self.state().remove(&path.to_string_lossy(), false) {
            Err(ffi::SQLITE_IOERR_DELETE_NOENT) | Ok(()) => Ok(()),
            Err(code) => Err(io_error(code)),
        }
    }

    /// The disk that a full name says, and the name on it.
    pub(super) fn of(full: &str) -> Option<(Self, &str)> {
        let (number, name) = full.split_once(':')?;
        let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        Some((Self(disks.get(&number.parse().ok()?)?.upgrade()?), name))
    }

    /// Opens a file for SQLite.
    pub(super) fn open(&self, name: &str, flags: c_int) -> Answer<Handle> {
        let mut state = self.state();
        let may_create = flags & ffi::SQLITE_OPEN_CREATE != 0;
        let file = match state.named(name) {
            _ if state.off => return Err(ffi::SQLITE_CANTOPEN),
            Some(file) => file,
            None if may_create => state.create(name)?,
            None => return Err(ffi::SQLITE_CANTOPEN),
        };
        state.opened(file);
        let (id, epoch) = (state.number(), state.epoch);
        drop(state);
        let sync_names = may_create && Kind::of(name) != Kind::Database;
        let read_only = flags & ffi::SQLITE_OPEN_READWRITE == 0;
        let name = name.to_owned();
        Ok(Handle { disk: self.clone(), id, epoch, file, name, read_only, sync_names, regions: Vec::new() })
    }

    pub(super) fn remove(&self, name: &str, sync_names: bool) -> Answer<()> {
        self.state().remove(name, sync_names)
    }

    /// Whether there is a file; an empty one is none to SQLite.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut state = self.state();
        state.named(name).is_some_and(|file| state.content(file).len() > 0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the operating system would have said.
fn io_error(code: c_int) -> io::Error {
    match code {
        ffi::SQLITE_FULL => io::ErrorKind::StorageFull.into(),
        code => io::Error::other(format!("simulated fault, SQLite's code {code}")),
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct Handle {
    disk: Disk,
    id: HandleId,
    epoch: u64,
    file: FileId,
    name: String,
    read_only: bool,
    /// Whether the next sync is for the names too: SQLite syncs the folder with the first sync of a log or a journal.
    sync_names: bool,
    /// Keeps what SQLite was given pointers to.
    regions: Vec<Region>,
}

impl Handle {
    fn state(&self) -> Answer<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.off || state.epoch != self.epoch { Err(ffi::SQLITE_IOERR) } else { Ok(state) }
    }

    fn writable(&self) -> Answer<MutexGuard<'_, State>> {
        if self.read_only { Err(ffi::SQLITE_READONLY) } else { self.state() }
    }

    pub(super) fn read(&self, at: usize, buffer: &mut [u8]) -> Answer<()> {
        self.state()?.read(self.file, &self.name, at, buffer)
    }

    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> Answer<()> {
        self.writable()?.write(self.file, &self.name, at, bytes)
    }

    pub(super) fn truncate(&self, len: usize) -> Answer<()> {
        self.writable()?.truncate(self.file, &self.name, len)
    }

    pub(super) fn sync(&mut self) -> Answer<()> {
        self.state()?.sync(self.file, &self.name, self.sync_names)?;
        self.sync_names = false;
        Ok(())
    }

    pub(super) fn len(&self) -> Answer<usize> {
        Ok(self.state()?.content(self.file).len())
    }

    pub(super) fn lock(&self, level: Level) -> Answer<()> {
        let state = if level > Level::Shared { self.writable() } else { self.state() };
        let granted = state?.locks.entry(self.file).or_default().lock(self.id, level);
        if granted { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    pub(super) fn unlock(&self, level: Level) {
        if let Ok(mut state) = self.state() {
            state.locks.entry(self.file).or_default().unlock(self.id, level);
        }
    }

    pub(super) fn is_reserved(&self) -> Answer<bool> {
        Ok(self.state()?.locks.entry(self.file).or_default().is_reserved())
    }

    /// A piece of shared memory; none if there is not so much yet and it is not to be made.
    pub(super) fn region(&mut self, number: usize, bytes: usize, extend: bool) -> Answer<Option<Region>> {
        let mut state = self.state()?;
        let memory = state.memory.entry(self.file).or_default();
        memory.join(self.id);
        let region = memory.region(number, bytes, extend);
        drop(state);
        self.regions.extend(region.clone());
        Ok(region)
    }

    /// Takes or leaves locks on shared memory.
    pub(super) fn lock_memory(&self, first: usize, count: usize, flags: c_int) -> Answer<()> {
        let mut state = self.state()?;
        let memory = state.memory.entry(self.file).or_default();
        let slots = first..first + count;
        let granted = if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            memory.unlock(self.id, slots);
            true
        } else if flags & ffi::SQLITE_SHM_SHARED != 0 {
            memory.lock_shared(self.id, first)
        } else {
            memory.lock_exclusive(self.id, slots)
        };
        if granted { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    pub(super) fn leave_memory(&mut self) {
        if let Ok(mut state) = self.state()
            && state.memory.get_mut(&self.file).is_some_and(|memory| memory.leave(self.id))
        {
            state.memory.remove(&self.file);
        }
        self.regions.clear();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.epoch == self.epoch {
            state.closed(self.file, self.id);
        }
    }
}
