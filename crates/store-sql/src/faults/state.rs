//! What a disk is at a moment: files, names, locks.

use super::content::Content;
use super::locks::{FileLocks, HandleId, SharedMemory};
use super::plan::{Counts, Fault, Kind, Op, Plan};
use everloop_store::suite::dice::Dice;
use rusqlite::ffi;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;

/// A file, whatever its name is.
pub(super) type FileId = u64;

/// What SQLite is told; the error is one of its codes.
pub(super) type Answer<T> = Result<T, c_int>;

#[derive(Debug)]
pub(super) struct State {
    pub(super) dice: Dice,
    pub(super) plan: Plan,
    pub(super) counts: Counts,
    /// Bytes that all files may have together.
    pub(super) space: Option<usize>,
    /// Rises when all handles die.
    pub(super) epoch: u64,
    /// The power is off.
    pub(super) off: bool,
    names: Names,
    files: BTreeMap<FileId, Content>,
    open: BTreeMap<FileId, usize>,
    pub(super) locks: BTreeMap<FileId, FileLocks>,
    pub(super) memory: BTreeMap<FileId, SharedMemory>,
    next: u64,
}

/// Which file has which name, in the cache and on the platter.
#[derive(Debug, Default)]
struct Names {
    now: BTreeMap<String, FileId>,
    durable: BTreeMap<String, FileId>,
    /// What was made (some) and removed (none) since the folder was last synced, in order.
    pending: Vec<(String, Option<FileId>)>,
}

impl Names {
    fn set(&mut self, name: &str, file: Option<FileId>) {
        match file {
            Some(file) => self.now.insert(name.to_owned(), file),
            None => self.now.remove(name),
        };
        self.pending.push((name.to_owned(), file));
    }

    fn sync(&mut self) {
        self.pending.clear();
        self.durable.clone_from(&self.now);
    }

    /// Of what happened to each name, a first part is there.
    fn cut(&mut self, dice: &Dice, counts: &mut Counts) {
        let mut changes: BTreeMap<String, Vec<Option<FileId>>> = BTreeMap::new();
        for (name, file) in self.pending.drain(..) {
            changes.entry(name).or_default().push(file);
        }
        for (name, changes) in changes {
            let there = dice.below(changes.len() + 1);
            counts.names_undone += (changes.len() - there) as u64;
            match changes[..there].last() {
                Some(Some(file)) => drop(self.durable.insert(name, *file)),
                Some(None) => drop(self.durable.remove(&name)),
                None => {}
            }
        }
        self.now.clone_from(&self.durable);
    }

    fn knows(&self, file: FileId) -> bool {
        let pending = self.pending.iter().filter_map(|(_, file)| file.as_ref());
        self.now.values().chain(self.durable.values()).chain(pending).any(|known| *known == file)
    }
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            plan: Plan::none(),
            counts: Counts::default(),
            space: None,
            epoch: 0,
            off: false,
            names: Names::default(),
            files: BTreeMap::new(),
            open: BTreeMap::new(),
            locks: BTreeMap::new(),
            memory: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn named(&self, name: &str) -> Option<FileId> {
        self.names.now.get(name).copied()
    }

    pub(super) fn content(&mut self, file: FileId) -> &mut Content {
        self.files.entry(file).or_default()
    }

    /// Notes an operation and says what befalls it.
    fn draw(&mut self, op: Op, name: &str, words: &[u64]) -> Answer<Option<Fault>> {
        if self.off {
            return Err(ffi::SQLITE_IOERR);
        }
        let drawn = self.plan.draw(op, Kind::of(name), &self.dice);
        self.counts.trace(&[op as u64, drawn.map_or(0, |fault| 1 + fault as u64)], name);
        self.counts.trace(words, "");
        match drawn {
            Some(Fault::Cut) => self.off = true,
            Some(_) => self.counts.faults += 1,
            None => {}
        }
        Ok(drawn)
    }

    /// The file of a name, made if it is not there.
    pub(super) fn create(&mut self, name: &str) -> Answer<FileId> {
        if let Some(file) = self.named(name) {
            return Ok(file);
        }
        let cut = self.draw(Op::Change, name, &[1])?;
        let file = self.number();
        self.files.insert(file, Content::default());
        self.names.set(name, Some(file));
        cut.map_or(Ok(file), |_| Err(ffi::SQLITE_CANTOPEN))
    }

    pub(super) fn remove(&mut self, name: &str, sync_names: bool) -> Answer<()> {
        let Some(file) = self.named(name) else { return Err(ffi::SQLITE_IOERR_DELETE_NOENT) };
        let cut = self.draw(Op::Change, name, &[2])?;
        self.names.set(name, None);
        if cut.is_some() {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        if sync_names {
            self.names.sync();
        }
        self.forget_if_gone(file);
        Ok(())
    }

    pub(super) fn opened(&mut self, file: FileId) {
        *self.open.entry(file).or_default() += 1;
    }

    pub(super) fn closed(&mut self, file: FileId, handle: HandleId) {
        if let Some(locks) = self.locks.get_mut(&file) {
            locks.unlock(handle, super::locks::Level::None);
        }
        if let Some(count) = self.open.get_mut(&file) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&file);
                self.forget_if_gone(file);
            }
        }
    }

    fn forget_if_gone(&mut self, file: FileId) {
        if !self.names.knows(file) && !self.open.contains_key(&file) {
            self.files.remove(&file);
        }
    }

    pub(super) fn read(&mut self, file: FileId, name: &str, at: usize, buffer: &mut [u8]) -> Answer<()> {
        let fault = self.draw(Op::Read, name, &[at as u64, buffer.len() as u64])?;
        let Self { files, dice, .. } = self;
        let content = files.entry(file).or_default();
        let mut count = content.read(at, buffer);
        match fault {
            Some(Fault::ReadFails) => return Err(ffi::SQLITE_IOERR_READ),
            Some(Fault::ReadShort) => count = dice.below(count),
            Some(Fault::ReadFlipped) if count > 0 => {
                let bit = dice.below(count * 8);
                buffer[bit / 8] ^= 1 << (bit % 8);
            }
            Some(Fault::ReadMisplaced) => {
                let places = content.len().div_ceil(buffer.len().max(1));
                count = content.read(dice.below(places) * buffer.len(), buffer);
            }
            _ => {}
        }
        buffer[count..].fill(0);
        if count < buffer.len() { Err(ffi::SQLITE_IOERR_SHORT_READ) } else { Ok(()) }
    }

    pub(super) fn write(&mut self, file: FileId, name: &str, at: usize, bytes: &[u8]) -> Answer<()> {
        let fault = self.draw(Op::Write, name, &[at as u64, bytes.len() as u64])?;
        let taken = self.taken();
        let Self { files, dice, counts, .. } = self;
        let content = files.entry(file).or_default();
        let grows = (at + bytes.len()).saturating_sub(content.len());
        if grows > 0 && self.space.is_some_and(|space| taken + grows > space) {
            counts.full += 1;
            return Err(ffi::SQLITE_FULL);
        }
        if fault.is_some() {
            let done = [0, dice.below(bytes.len() + 1), bytes.len()][dice.below(3)];
            if done > 0 {
                content.write(at, &bytes[..done]);
            }
            return Err(ffi::SQLITE_IOERR_WRITE);
        }
        counts.writes += 1;
        content.write(at, bytes);
        Ok(())
    }

    /// Bytes of the files that have a name or are open: others hold no space, though a power cut may bring them back.
    fn taken(&self) -> usize {
        let named: BTreeSet<_> = self.names.now.values().chain(self.open.keys()).collect();
        named.into_iter().filter_map(|file| self.files.get(file)).map(Content::len).sum()
    }

    pub(super) fn truncate(&mut self, file: FileId, name: &str, len: usize) -> Answer<()> {
        let cut = self.draw(Op::Change, name, &[3, len as u64])?;
        self.content(file).truncate(len);
        self.counts.writes += 1;
        cut.map_or(Ok(()), |_| Err(ffi::SQLITE_IOERR_TRUNCATE))
    }

    /// Syncs a file, and the names too where SQLite does so.
    pub(super) fn sync(&mut self, file: FileId, name: &str, names_too: bool) -> Answer<()> {
        let fault = self.draw(Op::Sync, name, &[names_too.into()])?;
        let Self { files, dice, counts, names, .. } = self;
        let content = files.entry(file).or_default();
        match fault {
            Some(Fault::SyncLies) => return Ok(()),
            Some(Fault::SyncFails) => content.sync_failing(dice, counts),
            // It may have been done all the same, and nobody heard of it.
            Some(_) if dice.chance(50) => {}
            Some(_) | None => {
                content.sync();
                if names_too {
                    names.sync();
                }
                counts.syncs += u64::from(fault.is_none());
            }
        }
        if fault.is_some() { Err(ffi::SQLITE_IOERR_FSYNC) } else { Ok(()) }
    }

    /// All handles die, and what SQLite holds in memory goes with them. What was written stays in the cache.
    pub(super) fn kill(&mut self) {
        self.epoch += 1;
        self.off = false;
        self.plan = Plan::none();
        self.open.clear();
        self.locks.clear();
        self.memory.clear();
        let Self { files, names, .. } = self;
        files.retain(|file, _| names.knows(*file));
    }

    /// The power goes and comes back.
    pub(super) fn cut(&mut self) {
        self.names.cut(&self.dice, &mut self.counts);
        self.kill();
        for content in self.files.values_mut() {
            content.cut(&self.dice, &mut self.counts);
        }
        self.counts.cuts += 1;
    }
}
