//! What servers keep their data on: something that can be opened, lose its power, and be opened again.

use super::dice::Dice;
use everloop_store::error::StoreError;
use everloop_store::memory::{Fault, MemoryStore};
use everloop_store::port::{Blob, ReadStore, WriteStore};
use everloop_store::rows::Installation;
use everloop_store_sql::faults::{Disk, Fault as DiskFault, Kind, Plan as DiskPlan, When};
use everloop_store_sql::{Birth, CheckpointOptions, SqliteOptions};
use everloop_types::id::InstallationId;
use everloop_types::time::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// An opened medium.
pub(crate) struct Opened {
    pub(crate) writer: Box<dyn WriteStore>,
    pub(crate) reader: Arc<dyn ReadStore>,
    pub(crate) blobs: Arc<dyn Blob>,
}

/// Where the data lies. Whatever was opened before a crash is dead, and fails.
pub(crate) trait Medium: Send {
    /// A server starts.
    fn open(&mut self) -> Result<Opened, StoreError>;
    /// The server is gone, or the power: what was not synced may be gone with it.
    fn crash(&mut self);
    /// The next commit fails in this way, or as much like it as the medium can.
    fn fail_next(&mut self, fault: Fault);
    /// The power goes in the middle of the next commit, if the medium has one.
    fn cut_soon(&mut self);
    /// The commit is over; gives whether the power has gone in it.
    fn settled(&mut self) -> bool;
    /// Whether the database answers at all.
    fn set_available(&mut self, available: bool);
    /// Reads whatever the running server sees, past all faults but a crash.
    fn inspect(&self) -> Arc<dyn ReadStore>;
    /// What happened to it, for the sum of a run.
    fn counts(&self) -> Vec<(&'static str, u64)>;
}

fn installation() -> Installation {
    let created_at = Timestamp::from_micros(1_767_225_600_000_000);
    Installation { id: InstallationId([7; 16]), epoch: 1, created_at }
}

/// The store in memory.
pub(crate) struct Memory(pub(crate) MemoryStore);

impl Memory {
    pub(crate) fn new() -> Self {
        Self(MemoryStore::new(installation()))
    }
}

impl Medium for Memory {
    fn open(&mut self) -> Result<Opened, StoreError> {
        Ok(Opened { writer: Box::new(self.0.writer()), reader: self.0.reader(), blobs: self.0.blob() })
    }

    fn crash(&mut self) {
        self.0.crash();
    }

    fn fail_next(&mut self, fault: Fault) {
        self.0.fail_next(fault);
    }

    fn cut_soon(&mut self) {}

    fn settled(&mut self) -> bool {
        false
    }

    fn set_available(&mut self, available: bool) {
        self.0.set_available(available);
    }

    fn inspect(&self) -> Arc<dyn ReadStore> {
        self.0.reader()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// The real SQLite on a simulated disk.
pub(crate) struct Sqlite {
    disk: Disk,
    dice: Dice,
    options: SqliteOptions,
    blobs: MemoryStore,
    reader: Arc<dyn ReadStore>,
    /// Whether a commit may still meet what was planned for it.
    planned: bool,
}

impl Sqlite {
    pub(crate) fn new(seed: u64) -> Self {
        let dice = Dice::new(seed, "sqlite");
        let disk = Disk::new(dice.bytes());
        let start_pages = *dice.pick(&[4, 20, 60, 1_000]);
        let bound_pages = *dice.pick(&[start_pages, start_pages * 2, 16_000]);
        let options = SqliteOptions {
            checkpoints: CheckpointOptions { thread: false, start_pages, bound_pages },
            medium: everloop_store_sql::Medium::Simulated(disk.clone()),
            readers: 2,
            ..SqliteOptions::new("everloop.db")
        };
        let blobs = MemoryStore::new(installation());
        Self { disk, dice, options, reader: blobs.reader(), blobs, planned: false }
    }

    fn plan(&mut self, fault: DiskFault, most: u64) {
        let when = When::After(self.dice.below(most));
        let on = *self.dice.pick(&[None, None, Some(Kind::Log), Some(Kind::Database)]);
        self.disk.plan(DiskPlan::none().with(fault, on, when));
        self.planned = true;
    }
}

impl Medium for Sqlite {
    fn open(&mut self) -> Result<Opened, StoreError> {
        let birth = Birth { installation: installation(), tenants: Vec::new() };
        let opened = everloop_store_sql::open_sqlite(&self.options, &birth)?;
        self.reader = opened.reader.clone();
        Ok(Opened { writer: opened.writer, reader: opened.reader, blobs: self.blobs.blob() })
    }

    fn crash(&mut self) {
        if self.dice.per_mille(500) {
            self.disk.kill();
        } else {
            self.disk.cut();
        }
    }

    fn fail_next(&mut self, fault: Fault) {
        match fault {
            Fault::Full => {
                let files = ["everloop.db", "everloop.db-wal", "everloop.db-journal"];
                let taken: usize = files.iter().filter_map(|file| self.disk.len_of(Path::new(file))).sum();
                let left = usize::try_from(self.dice.below(20_000)).unwrap();
                self.disk.limit_space(Some(taken + left));
                self.planned = true;
            }
            Fault::Unavailable | Fault::Unknown { .. } => self.plan(DiskFault::WriteFails, 6),
            Fault::Failed { .. } => self.plan(DiskFault::SyncFails, 2),
        }
    }

    fn cut_soon(&mut self) {
        self.plan(DiskFault::Cut, 10);
    }

    fn settled(&mut self) -> bool {
        if std::mem::take(&mut self.planned) {
            self.disk.limit_space(None);
            if !self.disk.is_off() {
                self.disk.plan(DiskPlan::none());
            }
        }
        self.disk.is_off()
    }

    fn set_available(&mut self, _: bool) {}

    fn inspect(&self) -> Arc<dyn ReadStore> {
        self.reader.clone()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.disk.counts();
        vec![
            ("simulated disk: writes", counts.writes),
            ("simulated disk: syncs", counts.syncs),
            ("simulated disk: cuts of the power", counts.cuts),
            ("simulated disk: writes that were lost", counts.dropped),
            ("simulated disk: writes that were torn", counts.torn),
            ("simulated disk: writes and syncs that failed", counts.faults),
            ("simulated disk: writes that found no space", counts.full),
        ]
    }
}
