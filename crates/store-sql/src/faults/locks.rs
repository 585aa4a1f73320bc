//! Locks of one file, and the memory that its connections share.

use rusqlite::ffi;
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A handle, among all of a disk.
pub(super) type HandleId = u64;

/// How far a handle has a file to itself, lowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

impl Level {
    pub(super) fn of(code: c_int) -> Self {
        match code {
            ffi::SQLITE_LOCK_NONE => Self::None,
            ffi::SQLITE_LOCK_SHARED => Self::Shared,
            ffi::SQLITE_LOCK_RESERVED => Self::Reserved,
            ffi::SQLITE_LOCK_PENDING => Self::Pending,
            _ => Self::Exclusive,
        }
    }
}

/// The locks of a file (<https://sqlite.org/lockingv3.html>).
#[derive(Debug, Default)]
pub(super) struct FileLocks {
    held: BTreeMap<HandleId, Level>,
}

impl FileLocks {
    /// Takes a lock, if the others leave it. A handle that waits for the others to go keeps new ones out meanwhile.
    pub(super) fn lock(&mut self, handle: HandleId, wanted: Level) -> bool {
        let own = self.level(handle);
        if wanted <= own {
            return true;
        }
        let others = self.held.iter().filter(|(id, _)| **id != handle).map(|(_, level)| *level).max();
        let others = others.unwrap_or_default();
        let (gets, granted) = match wanted {
            Level::Exclusive if others == Level::Shared => (Level::Pending, false),
            Level::Shared => (Level::Shared, others < Level::Pending),
            Level::Exclusive => (Level::Exclusive, others == Level::None),
            other => (other, others < Level::Reserved),
        };
        if granted || gets == Level::Pending && others < Level::Reserved {
            self.held.insert(handle, gets);
        }
        granted
    }

    /// Goes down to a lock.
    pub(super) fn unlock(&mut self, handle: HandleId, left: Level) {
        if left == Level::None {
            self.held.remove(&handle);
        } else if self.level(handle) > left {
            self.held.insert(handle, left);
        }
    }

    /// Whether somebody means to write.
    pub(super) fn is_reserved(&self) -> bool {
        self.held.values().any(|level| *level >= Level::Reserved)
    }

    fn level(&self, handle: HandleId) -> Level {
        self.held.get(&handle).copied().unwrap_or_default()
    }
}

/// A piece of memory that connections share. Only SQLite looks into it.
pub(super) type Region = Arc<[AtomicU64]>;

/// The memory of a file, and the locks on it.
#[derive(Debug, Default)]
pub(super) struct SharedMemory {
    regions: Vec<Region>,
    locks: [SlotLock; ffi::SQLITE_SHM_NLOCK as usize],
    users: BTreeMap<HandleId, ()>,
}

#[derive(Debug, Default)]
struct SlotLock {
    shared: Vec<HandleId>,
    exclusive: Option<HandleId>,
}

impl SharedMemory {
    pub(super) fn join(&mut self, handle: HandleId) {
        self.users.insert(handle, ());
    }

    /// The region with this number, made with all before it if `extend` says so.
    pub(super) fn region(&mut self, number: usize, bytes: usize, extend: bool) -> Option<Region> {
        while extend && self.regions.len() <= number {
            self.regions.push((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect());
        }
        self.regions.get(number).cloned()
    }

    pub(super) fn lock_shared(&mut self, handle: HandleId, slot: usize) -> bool {
        let lock = &mut self.locks[slot];
        if lock.exclusive.is_some_and(|other| other != handle) {
            return false;
        }
        if !lock.shared.contains(&handle) {
            lock.shared.push(handle);
        }
        true
    }

    pub(super) fn lock_exclusive(&mut self, handle: HandleId, slots: std::ops::Range<usize>) -> bool {
        let is_free = |lock: &SlotLock| {
            lock.exclusive.is_none_or(|other| other == handle)
                && lock.shared.iter().all(|other| *other == handle)
        };
        let free = self.locks[slots.clone()].iter().all(is_free);
        if free {
            self.locks[slots].iter_mut().for_each(|lock| lock.exclusive = Some(handle));
        }
        free
    }

    pub(super) fn unlock(&mut self, handle: HandleId, slots: std::ops::Range<usize>) {
        for lock in &mut self.locks[slots] {
            lock.shared.retain(|other| *other != handle);
            lock.exclusive = lock.exclusive.filter(|other| *other != handle);
        }
    }

    /// A handle goes; says whether it was the last one.
    pub(super) fn leave(&mut self, handle: HandleId) -> bool {
        self.unlock(handle, 0..self.locks.len());
        self.users.remove(&handle);
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writes_while_others_read_and_alone_in_the_end() {
        let mut locks = FileLocks::default();
        assert!(locks.lock(1, Level::Shared) && locks.lock(2, Level::Shared));
        assert!(locks.lock(1, Level::Reserved) && locks.is_reserved());
        assert!(!locks.lock(2, Level::Reserved) && !locks.lock(2, Level::Exclusive));
        assert!(locks.lock(3, Level::Shared));
        assert!(!locks.lock(1, Level::Exclusive), "others read");
        assert!(!locks.lock(4, Level::Shared), "nobody comes any more");
        locks.unlock(2, Level::None);
        locks.unlock(3, Level::None);
        assert!(locks.lock(1, Level::Exclusive));
        assert!(!locks.lock(2, Level::Shared));
        locks.unlock(1, Level::Shared);
        assert!(locks.lock(2, Level::Shared) && !locks.is_reserved());
    }

    #[test]
    fn slots_are_taken_by_many_or_by_one() {
        let mut memory = SharedMemory::default();
        memory.join(1);
        memory.join(2);
        assert!(memory.lock_shared(1, 3) && memory.lock_shared(2, 3));
        assert!(!memory.lock_exclusive(1, 2..5));
        memory.unlock(2, 3..4);
        assert!(memory.lock_exclusive(1, 2..5) && !memory.lock_shared(2, 4) && memory.lock_shared(2, 5));
        assert!(memory.region(1, 32_768, false).is_none());
        assert_eq!(memory.region(1, 32_768, true).unwrap().len(), 4_096);
        assert!(!memory.leave(1));
        assert!(memory.lock_shared(2, 4) && memory.leave(2));
    }
}
