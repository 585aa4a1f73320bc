//! What goes wrong, and when.

use everloop_store::suite::dice::Dice;

/// Which file of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The database itself.
    Database,
    /// Its write-ahead log.
    Log,
    /// Its rollback journal.
    Journal,
}

impl Kind {
    pub(super) fn of(name: &str) -> Self {
        match name {
            name if name.ends_with("-wal") => Self::Log,
            name if name.ends_with("-journal") => Self::Journal,
            _ => Self::Database,
        }
    }
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes in the middle of a change: a write, a truncation, a sync, a file made or removed. Everything fails from
    /// then on, until [`Disk::cut`](super::Disk::cut).
    Cut,
    /// A write fails, after nothing, some or all of it was done.
    WriteFails,
    /// A sync fails: part of what was to be synced arrives, and later syncs take the rest for done.
    SyncFails,
    /// A sync says that it is done, and nothing was.
    SyncLies,
    /// A read fails.
    ReadFails,
    /// A read gives some of what is there.
    ReadShort,
    /// A bit of what is read is another.
    ReadFlipped,
    /// What is read is what lies elsewhere in the file.
    ReadMisplaced,
}

/// What is done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Read,
    Write,
    Sync,
    /// A truncation, a file made or removed.
    Change,
}

impl Fault {
    fn concerns(self, op: Op) -> bool {
        match self {
            Self::Cut => op != Op::Read,
            Self::WriteFails => op == Op::Write,
            Self::SyncFails | Self::SyncLies => op == Op::Sync,
            Self::ReadFails | Self::ReadShort | Self::ReadFlipped | Self::ReadMisplaced => op == Op::Read,
        }
    }
}

/// When a fault comes, among the operations that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once, after so many that went well.
    After(u64),
    /// By the dice, so many times in a hundred.
    Chance(u8),
    /// Every time.
    Always,
}

/// Faults to come.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    fault: Fault,
    on: Option<Kind>,
    when: When,
    seen: u64,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// The power goes after so many changes.
    pub fn cut_after(changes: u64) -> Self {
        Self::none().with(Fault::Cut, None, When::After(changes))
    }

    /// Adds a fault, on one kind of file or on any.
    #[must_use]
    pub fn with(mut self, fault: Fault, on: Option<Kind>, when: When) -> Self {
        self.entries.push(Entry { fault, on, when, seen: 0 });
        self
    }

    /// What befalls an operation. Each entry counts on, the first one that comes is taken.
    pub(super) fn draw(&mut self, op: Op, kind: Kind, dice: &Dice) -> Option<Fault> {
        let mut drawn = None;
        for entry in &mut self.entries {
            if !entry.fault.concerns(op) || entry.on.is_some_and(|on| on != kind) {
                continue;
            }
            let comes = match entry.when {
                When::After(changes) => entry.seen == changes,
                When::Chance(percent) => dice.chance(percent.into()),
                When::Always => true,
            };
            entry.seen += 1;
            if comes {
                drawn.get_or_insert(entry.fault);
            }
        }
        drawn
    }
}

/// What has happened to a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes and truncations.
    pub writes: u64,
    /// Syncs that did what they said.
    pub syncs: u64,
    /// Times that the power went.
    pub cuts: u64,
    /// Writes and truncations of which nothing was there after a cut or a failed sync.
    pub dropped: u64,
    /// Writes of which some sectors were there.
    pub torn: u64,
    /// Files that were made or removed, and were not after a cut.
    pub names_undone: u64,
    /// Faults of the plan that came, cuts apart.
    pub faults: u64,
    /// Writes that found no space.
    pub full: u64,
    /// A digest of every operation and its outcome, in order, without the bytes: SQLite salts its log at random.
    pub trace: u64,
}

impl Counts {
    /// Takes an operation into the digest (FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>).
    pub(super) fn trace(&mut self, words: &[u64], name: &str) {
        let bytes = words.iter().flat_map(|word| word.to_be_bytes());
        for byte in bytes.chain(name.bytes()) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
