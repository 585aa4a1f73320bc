//! What is volatile, what is durable, and how a commit fails.

use super::state::State;
use crate::error::StoreError;
use crate::rows::Installation;
use crate::work::{Committed, WriteSet};
use std::collections::VecDeque;

/// How a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No space: nothing was written.
    Full,
    /// Not reached: nothing was written.
    Unavailable,
    /// Sent, and no answer came.
    Unknown {
        /// Whether it is there all the same.
        applied: bool,
    },
    /// The fsync failed: nothing may be written until the power was cut.
    Failed {
        /// Whether it is there after that.
        kept: bool,
    },
}

/// Both states of a database. What was committed and is not durable stands in `pending`, so that durable is always a prefix
/// of what was committed.
pub(super) struct Disk {
    volatile: State,
    durable: State,
    pending: Vec<WriteSet>,
    faults: VecDeque<Option<Fault>>,
    hold: bool,
    available: bool,
    failed: bool,
}

impl Disk {
    pub(super) fn new(installation: Installation) -> Self {
        Self::of(State::new(installation))
    }

    /// With this in it, all of it durable.
    pub(super) fn of(state: State) -> Self {
        Self {
            volatile: state.clone(),
            durable: state,
            pending: Vec::new(),
            faults: VecDeque::new(),
            hold: false,
            available: true,
            failed: false,
        }
    }

    pub(super) fn read(&self) -> Result<&State, StoreError> {
        if self.available { Ok(&self.volatile) } else { Err(StoreError::Unavailable("switched off".into())) }
    }

    pub(super) fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        writes.validate()?;
        self.read()?;
        if self.failed {
            return Err(StoreError::Failed("an fsync failed before".into()));
        }
        match self.faults.pop_front().flatten() {
            None => self.write(writes),
            Some(Fault::Full) => Err(StoreError::Full("planned".into())),
            Some(Fault::Unavailable) => Err(StoreError::Unavailable("planned".into())),
            Some(Fault::Unknown { applied }) => {
                if applied {
                    self.write(writes)?;
                }
                Err(StoreError::Unknown("planned".into()))
            }
            Some(Fault::Failed { kept }) => {
                self.failed = true;
                if kept {
                    self.sync();
                    // Nobody sees it before the next start: only the durable state has it. One that a rule refuses is lost.
                    let before = self.durable.clone();
                    if self.durable.apply(writes).is_err() {
                        self.durable = before;
                    }
                }
                Err(StoreError::Failed("planned".into()))
            }
        }
    }

    /// Applies a write set to the volatile state, all of it or nothing.
    fn write(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        match self.volatile.apply(writes) {
            Ok(committed) => {
                self.pending.push(writes.clone());
                if !self.hold {
                    self.sync();
                }
                Ok(committed)
            }
            Err(error) => {
                // Half of it may be there: the durable state and what followed it give the state before.
                self.volatile = self.durable.clone();
                for earlier in &self.pending {
                    self.volatile.apply(earlier)?;
                }
                Err(error)
            }
        }
    }

    pub(super) fn crash(&mut self) {
        self.volatile = self.durable.clone();
        self.pending.clear();
        self.faults.clear();
        self.failed = false;
        self.available = true;
    }

    pub(super) fn sync(&mut self) {
        for writes in self.pending.drain(..) {
            // It was applied to the volatile state, which had come from this one in the same order.
            let again = self.durable.apply(&writes);
            debug_assert!(again.is_ok(), "{again:?}");
        }
    }

    pub(super) fn hold_syncs(&mut self, hold: bool) {
        self.hold = hold;
        if !hold {
            self.sync();
        }
    }

    pub(super) fn fail_next(&mut self, fault: Option<Fault>) {
        self.faults.push_back(fault);
    }

    pub(super) fn set_available(&mut self, available: bool) {
        self.available = available;
    }
}
