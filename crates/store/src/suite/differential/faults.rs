//! Random operations on a store whose medium fails and loses what was not synced, held against an engine that loses nothing.
//!
//! After every failure the store must show exactly what the other engine does: each commit that was answered, whole; nothing
//! of one that was refused; and of one that was not answered all or nothing.

#![expect(clippy::panic, reason = "the suite is test code, behind a feature of its own")]

use super::generate::{Model, Planned};
use super::{Seed, snapshot};
use crate::error::StoreError;
use crate::suite::dice::Dice;
use crate::suite::fixtures::{OURS, THEIRS, key_hash};
use crate::suite::harness::Harness;
use crate::work::{Committed, Wanted, WriteSet};
use everloop_journal::chain::Verifier;
use everloop_types::id::{TaskId, TenantId};
use everloop_types::stream::StreamName;

/// What a store lies on, and how that fails.
pub trait Medium {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// Those of a store on a medium that fails.
    fn open(&mut self) -> Result<Harness, StoreError>;
    /// Something may fail from now on.
    fn arm(&mut self, dice: &Dice);
    /// Nothing fails any more. What is off stays so.
    fn disarm(&mut self);
    /// Whether everything fails until [`Medium::end`].
    fn is_off(&self) -> bool;
    /// The process ends, by itself or not, and perhaps the power goes. Nothing is off or armed afterwards.
    fn end(&mut self, store: Option<Harness>, dice: &Dice);
    /// Looks at the files of the open database by other means.
    fn check(&mut self);
}

/// What a run met, summed up over runs by [`Met::add`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Commits that were answered.
    pub answered: u64,
    /// Commits without an answer of which everything was there.
    pub there: u64,
    /// Commits without an answer of which nothing was there, or that had changed nothing.
    pub gone: u64,
    /// Commits that were refused, because nothing could be written.
    pub refused: u64,
    /// Commits after which the process may not write any more.
    pub failed: u64,
    /// Starts of a process.
    pub starts: u64,
    /// Starts that failed.
    pub starts_failed: u64,
}

impl Met {
    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.there += other.there;
        self.gone += other.gone;
        self.refused += other.refused;
        self.failed += other.failed;
        self.starts += other.starts;
        self.starts_failed += other.starts_failed;
    }
}

/// Applies so many random operations to a store on a medium that fails. The oracle is opened empty and never fails.
///
/// # Panics
/// If a promise was broken; the message says which seed repeats it.
pub fn faults(medium: &mut dyn Medium, oracle: Harness, seed: u64, operations: usize) -> Met {
    let _seed = Seed(seed);
    let dice = Dice::new(seed ^ 0xd15c);
    let model = Model::new(seed);
    let mut run = Run { medium, dice, model, oracle, met: Met::default(), last_pos: 0 };
    let mut store = run.start();
    for n in 0..operations {
        store = run.operation(store);
        if run.dice.chance(3) {
            run.medium.end(Some(store), &run.dice);
            store = run.start();
            run.same(&mut store, &WriteSet::default(), "after a restart");
        } else if n % 20 == 19 && !run.medium.is_off() {
            run.medium.disarm();
            run.same(&mut store, &WriteSet::default(), "with nothing in doubt");
        }
    }
    run.medium.end(Some(store), &run.dice);
    let mut store = run.start();
    run.same(&mut store, &WriteSet::default(), "in the end");
    run.met
}

struct Run<'a> {
    medium: &'a mut dyn Medium,
    dice: Dice,
    model: Model,
    oracle: Harness,
    met: Met,
    last_pos: i64,
}

impl Run<'_> {
    /// Starts processes until one opens the database.
    fn start(&mut self) -> Harness {
        for attempt in 0.. {
            self.met.starts += 1;
            // In the end every start has to do.
            if attempt < 5 && self.dice.chance(40) {
                self.medium.arm(&self.dice);
            }
            match self.medium.open() {
                Ok(store) if !self.medium.is_off() => {
                    self.medium.disarm();
                    self.medium.check();
                    return store;
                }
                Ok(store) => self.medium.end(Some(store), &self.dice),
                Err(_) if self.medium.is_off() => self.medium.end(None, &self.dice),
                Err(StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Failed(_))
                    if attempt < 5 =>
                {
                    self.medium.end(None, &self.dice);
                }
                Err(error) => panic!("attempt {attempt}: the database can't be opened: {error:?}"),
            }
            self.met.starts_failed += 1;
        }
        unreachable!("the last attempt returns or panics")
    }

    fn operation(&mut self, mut store: Harness) -> Harness {
        if self.dice.chance(50) {
            self.medium.arm(&self.dice);
        }
        let planned = self.model.plan(&mut self.oracle);
        let outcome = store.commit(&planned.writes);
        match outcome {
            Ok(committed) => {
                self.met.answered += 1;
                self.answered(planned, &committed);
            }
            Err(StoreError::Bug(_)) => {
                let same = self.oracle.commit(&planned.writes);
                assert!(matches!(same, Err(StoreError::Bug(_))), "{same:?} for {:#?}", planned.writes);
            }
            Err(_) if self.medium.is_off() => return self.in_doubt(store, planned),
            Err(StoreError::Failed(_)) => {
                self.met.failed += 1;
                self.medium.disarm();
                let again = store.commit(&WriteSet::default());
                assert!(
                    matches!(again, Err(StoreError::Failed(_))),
                    "written after a failed sync: {again:?}"
                );
                let idle = store.writer.idle();
                assert!(matches!(idle, Err(StoreError::Failed(_))), "written after a failed sync: {idle:?}");
                return self.in_doubt(store, planned);
            }
            Err(StoreError::Unknown(_)) => return self.in_doubt(store, planned),
            Err(StoreError::Full(_) | StoreError::Unavailable(_)) => {
                self.met.refused += 1;
                self.medium.disarm();
                self.same(&mut store, &planned.writes, "after a commit that was refused");
                if self.dice.chance(40) {
                    self.medium.end(Some(store), &self.dice);
                    store = self.start();
                    self.same(&mut store, &planned.writes, "after a restart, a commit was refused");
                }
            }
            Err(error) => panic!("{error:?}"),
        }
        if self.dice.chance(30) && !self.medium.is_off() {
            match store.writer.idle() {
                Ok(()) | Err(StoreError::Full(_) | StoreError::Unavailable(_)) => {}
                Err(StoreError::Failed(_)) if !self.medium.is_off() => {
                    self.met.failed += 1;
                    let again = store.commit(&WriteSet::default());
                    assert!(matches!(again, Err(StoreError::Failed(_))), "after a failed sync: {again:?}");
                    self.medium.end(Some(store), &self.dice);
                    store = self.start();
                }
                Err(error) => assert!(self.medium.is_off(), "{error:?}"),
            }
        }
        if self.medium.is_off() {
            self.medium.end(Some(store), &self.dice);
            store = self.start();
            self.same(&mut store, &WriteSet::default(), "after the power went between commits");
        }
        store
    }

    fn answered(&mut self, planned: Planned, committed: &Committed) {
        let known = self.oracle.commit(&planned.writes);
        let moved = |committed: &Committed| {
            let mut moved = committed.moved.clone();
            moved.sort();
            moved
        };
        let known_moved = known.as_ref().map(moved).unwrap();
        assert_eq!(moved(committed), known_moved, "{:#?}", planned.writes);
        if let Some(pos) = committed.last_pos {
            assert!(pos > self.last_pos, "position {pos} after {}", self.last_pos);
            self.last_pos = pos;
        }
        self.model.settle(planned, &known);
    }

    /// A process has ended before its commit was answered: all of it is there, or nothing.
    fn in_doubt(&mut self, store: Harness, planned: Planned) -> Harness {
        self.medium.end(Some(store), &self.dice);
        let mut store = self.start();
        let without = self.difference(&mut store, &planned.writes);
        if let Some(without) = without {
            let known = self.oracle.commit(&planned.writes);
            if let Some(with) = self.difference(&mut store, &planned.writes) {
                panic!(
                    "a commit without an answer is neither there nor gone:\nwithout it {without}\nwith it {with}\n{:#?}",
                    planned.writes
                );
            }
            self.model.settle(planned, &known);
            self.met.there += 1;
        } else {
            self.met.gone += 1;
        }
        store
    }

    /// Both engines show the same.
    fn same(&mut self, store: &mut Harness, touched: &WriteSet, when: &str) {
        if let Some(difference) = self.difference(store, touched) {
            panic!("{when} {difference}\nlast touched by {touched:#?}");
        }
    }

    /// In what the engines differ.
    fn difference(&mut self, store: &mut Harness, touched: &WriteSet) -> Option<String> {
        let mut tasks = self.model.some_tasks(usize::MAX);
        tasks.extend(touched.streams.iter().filter_map(|write| Some((write.tenant, write.stream.task()?))));
        let expected = shown(&mut self.oracle, &tasks);
        let found = shown(store, &tasks);
        verify(store, &tasks);
        let n = (0..expected.len().max(found.len())).find(|n| expected.get(*n) != found.get(*n))?;
        Some(format!("expected: {:#?}\nfound: {:#?}", expected.get(n), found.get(n)))
    }
}

/// All that an engine shows.
fn shown(h: &mut Harness, tasks: &[(TenantId, TaskId)]) -> Vec<String> {
    let mut lines = snapshot::rows(h);
    lines.extend(snapshot::tasks(h, tasks));
    let keys = (0..30).flat_map(|n| [OURS, THEIRS].map(|tenant| key_hash(tenant, &format!("key-{n}"))));
    lines.extend(snapshot::loaded(h, &Wanted { keys: keys.collect(), ..Wanted::default() }));
    lines
}

/// Every history that nothing was taken from verifies up to its head.
fn verify(h: &Harness, tasks: &[(TenantId, TaskId)]) {
    for (tenant, task) in tasks {
        let name = StreamName::Task(*task);
        let events = h.reader.events(*tenant, name, 0, 100_000).unwrap();
        if events.first().is_none_or(|first| first.seq > 1) {
            continue;
        }
        let mut verifier = Verifier::new(*tenant, name);
        for event in &events {
            verifier.check(event).unwrap();
        }
        assert_eq!(Some(verifier.head()), h.reader.head(*tenant, name).unwrap());
    }
}
