//! SQLite on a simulated disk that loses what was not synced.

use crate::engines::{birth, folder};
use everloop_store::error::StoreError;
use everloop_store::memory::MemoryStore;
use everloop_store::suite::Harness;
use everloop_store::suite::dice::Dice;
use everloop_store::suite::differential::faults::{Medium, Met, faults};
use everloop_store_sql::blob_files::BlobFiles;
use everloop_store_sql::faults::{Counts, Disk, Fault, Kind, Plan, When};
use everloop_store_sql::{CheckpointOptions, SqliteOptions};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Pages that no log of these tests has: the writer waits for no reader.
const NEVER: i32 = 16_000;

const PATH: &str = "everloop.db";

pub(crate) fn options(disk: &Disk) -> SqliteOptions {
    SqliteOptions { medium: everloop_store_sql::Medium::Simulated(disk.clone()), ..SqliteOptions::new(PATH) }
}

pub(crate) fn open_on(options: SqliteOptions) -> Result<Harness, StoreError> {
    opened(options, folder())
}

/// A connection that reads, beside the store's.
pub(crate) fn raw(disk: &Disk) -> Connection {
    try_raw(disk).unwrap()
}

fn try_raw(disk: &Disk) -> rusqlite::Result<Connection> {
    let (path, vfs) = disk.address(Path::new(PATH))?;
    Connection::open_with_flags_and_vfs(path, OpenFlags::SQLITE_OPEN_READ_ONLY, vfs)
}

/// For the conformance suite: as in production, with the thread that moves the log.
pub(crate) fn open_simulated() -> Harness {
    let disk = Disk::new(7);
    opened(options(&disk), folder()).unwrap()
}

fn opened(options: SqliteOptions, folder: Arc<TempDir>) -> Result<Harness, StoreError> {
    let opened = everloop_store_sql::open_sqlite(&options, &birth())?;
    Ok(Harness {
        name: "sqlite on a simulated disk",
        writer: opened.writer,
        reader: opened.reader,
        blob: Arc::new(BlobFiles::new(folder.path())),
        own_clock: false,
        another: None,
        reopen: Box::new(move || self::opened(options, folder).unwrap()),
    })
}

fn memory() -> Harness {
    let store = MemoryStore::new(birth().installation);
    Harness {
        name: "memory",
        writer: Box::new(store.writer()),
        reader: store.reader(),
        blob: store.blob(),
        own_clock: false,
        another: None,
        reopen: Box::new(|| unreachable!("the oracle is never opened again")),
    }
}

/// What goes wrong in a run.
#[derive(Clone, Copy)]
enum Trouble {
    /// The power goes.
    Cuts,
    /// Writes and syncs fail, space runs out, and the power goes.
    Everything,
    /// The power goes, and no sync does what it says.
    LyingSyncs,
}

struct Simulated {
    disk: Disk,
    trouble: Trouble,
    options: SqliteOptions,
    folder: Arc<TempDir>,
    /// Reads for long, so that the log can be moved in part only.
    reader: Option<Connection>,
    is_open: bool,
}

impl Simulated {
    fn new(seed: u64, trouble: Trouble) -> Self {
        let disk = Disk::new(seed);
        let dice = Dice::new(seed);
        let start_pages = [4, 20, 60, 1_000][dice.below(4)];
        let bound_pages = [start_pages, start_pages * 2, NEVER, NEVER][dice.below(4)];
        let checkpoints = CheckpointOptions { thread: false, start_pages, bound_pages };
        let options = SqliteOptions { checkpoints, ..options(&disk) };
        Self { disk, trouble, options, folder: folder(), reader: None, is_open: false }
    }

    fn base(&self) -> Plan {
        match self.trouble {
            Trouble::LyingSyncs => Plan::none().with(Fault::SyncLies, None, When::Always),
            Trouble::Cuts | Trouble::Everything => Plan::none(),
        }
    }
}

impl Medium for Simulated {
    fn open(&mut self) -> Result<Harness, StoreError> {
        let opened = opened(self.options.clone(), Arc::clone(&self.folder));
        self.is_open = opened.is_ok();
        opened
    }

    fn arm(&mut self, dice: &Dice) {
        // Who opens waits for readers.
        if self.is_open && self.options.checkpoints.bound_pages == NEVER {
            match dice.below(5) {
                0 => {
                    // The disk may be off.
                    let reads =
                        |raw: &Connection| raw.execute_batch("BEGIN; SELECT count(*) FROM event").is_ok();
                    self.reader = try_raw(&self.disk).ok().filter(reads);
                }
                1 => self.reader = None,
                _ => {}
            }
        }
        let soon = When::After(dice.below([3, 12, 40, 120][dice.below(4)]) as u64);
        let on = [None, Some(Kind::Database), Some(Kind::Log)][dice.below(3)];
        let fault = match self.trouble {
            Trouble::Cuts | Trouble::LyingSyncs => Fault::Cut,
            Trouble::Everything => {
                [Fault::Cut, Fault::WriteFails, Fault::WriteFails, Fault::SyncFails][dice.below(4)]
            }
        };
        if matches!(self.trouble, Trouble::Everything) && dice.chance(20) {
            let len = |name| self.disk.len_of(Path::new(name)).unwrap_or(0);
            let taken = len(PATH) + len("everloop.db-wal") + len("everloop.db-journal");
            self.disk.limit_space(Some(taken + dice.below(60_000)));
        } else {
            self.disk.plan(self.base().with(fault, on, soon));
        }
    }

    fn disarm(&mut self) {
        self.disk.limit_space(None);
        self.disk.plan(self.base());
    }

    fn is_off(&self) -> bool {
        self.disk.is_off()
    }

    fn end(&mut self, store: Option<Harness>, dice: &Dice) {
        let cut = self.disk.is_off() || dice.chance(50);
        if dice.chance(50) {
            self.reader = None;
        }
        if dice.chance(50) {
            // Gone without a word.
            if cut {
                self.disk.cut()
            } else {
                self.disk.kill()
            }
            drop(store);
        } else {
            drop(store);
            if cut { self.disk.cut() } else { self.disk.kill() }
        }
        self.reader = None;
        self.is_open = false;
        self.disarm();
    }

    fn check(&mut self) {
        let raw = raw(&self.disk);
        let found: String = raw.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok");
        let mut foreign = raw.prepare("PRAGMA foreign_key_check").unwrap();
        assert!(foreign.query([]).unwrap().next().unwrap().is_none(), "foreign keys are broken");
    }
}

fn run(seed: u64, trouble: Trouble) -> (Met, Counts) {
    let mut medium = Simulated::new(seed, trouble);
    let met = faults(&mut medium, memory(), seed, 40);
    (met, medium.disk.counts())
}

/// `EVERLOOP_SEED` repeats one seed, `EVERLOOP_DISK_SEEDS` asks for another number of them.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match number("EVERLOOP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("EVERLOOP_DISK_SEEDS").unwrap_or(usual),
    }
}

#[expect(clippy::print_stdout, reason = "with --nocapture it says what the run was worth")]
fn report(met: &Met, counts: &Counts) {
    println!("{met:?}\n{counts:?}");
}

fn sum(usual: u64, trouble: Trouble) -> (Met, Counts) {
    let (mut met, mut counts) = (Met::default(), Counts::default());
    for seed in seeds(usual) {
        let (more_met, more) = run(seed, trouble);
        met.add(more_met);
        counts.writes += more.writes;
        counts.syncs += more.syncs;
        counts.cuts += more.cuts;
        counts.dropped += more.dropped;
        counts.torn += more.torn;
        counts.names_undone += more.names_undone;
        counts.faults += more.faults;
        counts.full += more.full;
    }
    report(&met, &counts);
    (met, counts)
}

/// The power goes in the middle of commits, of moving the log, of making the database, and between them.
#[test]
fn power_cuts_take_nothing_that_was_answered() {
    let (met, counts) = sum(30, Trouble::Cuts);
    assert!(counts.cuts > 0 && counts.dropped > 0 && counts.torn > 0, "{counts:?}");
    if seeds(30).end - seeds(30).start > 1 {
        assert!(met.there > 0 && met.gone > 0 && met.starts_failed > 0 && counts.names_undone > 0, "{met:?}");
    }
}

#[test]
fn failing_writes_syncs_and_space_take_nothing_that_was_answered() {
    let (met, counts) = sum(30, Trouble::Everything);
    if seeds(30).end - seeds(30).start > 1 {
        assert!(met.failed > 0 && met.refused > 0 && counts.full > 0, "{met:?} {counts:?}");
    }
}

/// What the two above are worth: where syncs lie, they find that commits are lost.
#[test]
fn lying_syncs_are_found_out() {
    let found = (0..8).filter(|seed| std::panic::catch_unwind(|| run(*seed, Trouble::LyingSyncs)).is_err());
    assert!(found.count() > 4);
}

#[test]
fn one_seed_is_one_run() {
    for trouble in [Trouble::Cuts, Trouble::Everything] {
        assert_eq!(run(3, trouble), run(3, trouble));
    }
}
