//! The writer that a server gets: the medium's, with faults, and with an oracle that looks over its shoulder.

use super::dice::Dice;
use super::server::Life;
use super::world::World;
use everloop_store::error::StoreError;
use everloop_store::memory::Fault;
use everloop_store::port::{ReadStore, WriteStore};
use everloop_store::work::{Committed, Wanted, WorkingSet, WriteSet};
use everloop_types::time::Timestamp;
use std::sync::Arc;
use tokio::time::Instant;

pub(crate) struct Watched {
    pub(crate) inner: Box<dyn WriteStore>,
    pub(crate) reader: Arc<dyn ReadStore>,
    pub(crate) world: Arc<World>,
    pub(crate) life: Arc<Life>,
    pub(crate) dice: Dice,
    /// The disk is full until then, and when that begins.
    pub(crate) full: Option<(Instant, Instant)>,
}

impl Watched {
    fn dead(&self) -> Result<(), StoreError> {
        if self.life.alive() { Ok(()) } else { Err(StoreError::Unavailable("the server is dead".into())) }
    }

    /// How this commit fails, if it does.
    fn fate(&mut self) -> Option<Fault> {
        let faults = &self.world.plan.faults;
        if !self.world.faulty() {
            return None;
        }
        if let Some(mean) = faults.full_disk {
            let now = Instant::now();
            let (from, until) = *self.full.get_or_insert_with(|| {
                let from = now + self.dice.about(mean);
                (from, from + self.dice.within(faults.stuck))
            });
            if now > until {
                self.full = None;
            } else if now > from {
                return Some(Fault::Full);
            }
        }
        if self.dice.per_mille(faults.unknown) {
            return Some(Fault::Unknown { applied: self.dice.per_mille(500) });
        }
        if self.dice.per_mille(faults.fsync_fails) {
            return Some(Fault::Failed { kept: self.dice.per_mille(500) });
        }
        None
    }

    /// Whoever looks what became of a commit finds no database for a while.
    fn away(&self) {
        self.world.fault("times without a database after a commit", "disk");
        self.world.medium().set_available(false);
        let (world, length) = (self.world.clone(), self.dice.within(self.world.plan.faults.stuck));
        self.world.spawn(async move {
            tokio::time::sleep(length).await;
            world.medium().set_available(true);
        });
    }

    fn dies(&self, chance: u32, what: &'static str) -> bool {
        let dies = self.world.faulty() && self.dice.per_mille(chance);
        if dies {
            self.world.fault(what, "host");
            self.life.die();
        }
        dies
    }
}

fn named(fault: Fault, sqlite: bool) -> &'static str {
    match fault {
        Fault::Full => "commits on a full disk",
        Fault::Failed { .. } if sqlite => "commits in which a sync was to fail",
        Fault::Unavailable | Fault::Unknown { .. } if sqlite => "commits in which a write was to fail",
        Fault::Unavailable => "commits refused by a database that was away",
        Fault::Unknown { applied: true } => "commits whose outcome was not seen, and that were written",
        Fault::Unknown { applied: false } => "commits whose outcome was not seen, and that were not written",
        Fault::Failed { .. } => "fsyncs that failed",
    }
}

impl WriteStore for Watched {
    fn load(&mut self, wanted: &Wanted, now: Timestamp) -> Result<WorkingSet, StoreError> {
        self.dead()?;
        self.inner.load(wanted, now)
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        self.dead()?;
        let faults = self.world.plan.faults.clone();
        if self.dies(faults.dies_before, "servers killed before a commit") {
            return Err(StoreError::Unavailable("killed".into()));
        }
        let fate = self.fate();
        if let Some(fault) = fate {
            self.world.fault(named(fault, self.world.plan.sqlite), "disk");
            self.world.medium().fail_next(fault);
        }
        if self.world.faulty() && self.dice.per_mille(faults.cut) {
            self.world.fault("times that the power was to go during a commit", "disk");
            self.world.medium().cut_soon();
        }
        let committed = self.inner.commit(writes);
        let off = self.world.medium().settled();
        let known = committed.is_ok();
        let (streams, events) =
            (writes.streams.len(), writes.streams.iter().map(|stream| stream.events.len()).sum::<usize>());
        self.world.say("disk", format_args!("{streams} streams, {events} events, written: {known}"));
        if let Ok(_) | Err(StoreError::Unknown(_)) = committed {
            self.world.oracle().committed(&*self.reader, writes, known);
        }
        if matches!(committed, Err(StoreError::Failed(_))) {
            self.world.oracle().in_doubt(writes);
            self.life.fail();
        }
        self.world.count("commits");
        if matches!(fate, Some(Fault::Unknown { .. })) && self.dice.per_mille(200) {
            self.away();
        }
        if off {
            self.world.say("disk", "the power is gone");
            self.world.oracle().in_doubt(writes);
            self.life.die();
            return Err(StoreError::Unavailable("the power is gone".into()));
        }
        if known && self.dies(faults.dies_after, "servers killed between a commit and its answer") {
            return Err(StoreError::Unavailable("killed".into()));
        }
        committed
    }

    fn idle(&mut self) -> Result<(), StoreError> {
        self.dead()?;
        self.inner.idle()
    }
}
