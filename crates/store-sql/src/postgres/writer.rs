//! The writer: one connection, opened again when it was lost.

use super::commit::{Outcome, commit};
use super::connect::{Purpose, connect};
use super::load::load;
use super::session::{Backend, Session};
use crate::open::PostgresOptions;
use everloop_store::error::StoreError;
use everloop_store::port::WriteStore;
use everloop_store::work::{Committed, Wanted, WorkingSet, WriteSet};
use everloop_types::time::Timestamp;

/// How often a commit that met another server's row is tried: each time one of the two has got through.
const TRIES: usize = 8;

pub(super) struct Writer {
    options: PostgresOptions,
    session: Option<Session>,
    /// What is behind the connection that was lost last, until it is known to have ended.
    lost: Option<Backend>,
}

impl Writer {
    pub(super) fn new(options: PostgresOptions, session: Session) -> Self {
        Self { options, session: Some(session), lost: None }
    }

    /// Runs `work` on the connection; once more on a new one if the old one was found lost and nothing was written.
    fn with<T>(
        &mut self,
        mut work: impl FnMut(&mut Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let kept = self.session.as_ref().is_some_and(|session| !session.is_broken());
        let result = self.once(&mut work);
        let lost = self.session.as_ref().is_none_or(Session::is_broken);
        match result {
            Err(StoreError::Unavailable(error)) if kept && lost => {
                tracing::warn!(%error, "the connection to PostgreSQL was lost and is opened again");
                self.once(&mut work)
            }
            other => other,
        }
    }

    fn once<T>(
        &mut self,
        work: &mut impl FnMut(&mut Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(broken) = self.session.take_if(|session| session.is_broken()) {
            self.lost = broken.backend();
        }
        let session = match &mut self.session {
            Some(session) => session,
            None => {
                let mut session = connect(&self.options.url, Purpose::Write)?;
                if let Some(lost) = &self.lost {
                    session.end(lost)?;
                }
                self.lost = None;
                self.session.insert(session)
            }
        };
        work(session)
    }
}

impl WriteStore for Writer {
    fn load(&mut self, wanted: &Wanted, _now: Timestamp) -> Result<WorkingSet, StoreError> {
        self.with(|session| load(session, wanted))
    }

    fn commit(&mut self, writes: &WriteSet) -> Result<Committed, StoreError> {
        writes.validate()?;
        let mut met = None;
        for _ in 0..TRIES {
            match self.with(|session| commit(session, writes))? {
                Outcome::Done(committed) => return Ok(committed),
                Outcome::Again(error) => met = Some(error),
            }
        }
        Err(met.unwrap_or_else(|| StoreError::Bug("a commit was never tried".into())))
    }
}
