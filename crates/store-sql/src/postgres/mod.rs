//! The PostgreSQL engine: set-wise statements over pipelined connections, behind synchronous ports.
//!
//! Every connection has a runtime of its own, on the thread that waits for it: no thread is woken for another.
//!
//! A position is made of the transaction's id and the place in it (see [`sql::POSITION`]), and a reader sees only those of
//! transactions that are older than every running one: an event never appears behind one that was read before.

mod changes;
mod columns;
mod commit;
mod connect;
mod error;
mod load;
pub(crate) mod migrate;
mod reader;
mod remove;
mod session;
pub(crate) mod sql;
#[cfg(test)]
mod tests;
mod writer;

use crate::migrate as schema;
use crate::open::{Birth, Opened, PostgresOptions};
use crate::read::Reader;
use everloop_store::error::StoreError;
use everloop_store::port::{InstallationRead, ReadStore};
use std::sync::Arc;

/// Opens a database, and makes its tables if it is empty.
pub(crate) fn open(options: &PostgresOptions, birth: &Birth) -> Result<Opened, StoreError> {
    let mut session = migrate::Session::open(options)?;
    if options.migrate {
        schema::run_up(&mut session, None, birth.installation.created_at)?;
    } else {
        schema::check_complete(&mut session)?;
    }
    session.be_born(birth)?;
    let reader = Reader(reader::Readers::new(options.clone()));
    let writer = writer::Writer::new(options.clone(), session.into_inner());
    let installation = reader.installation()?;
    let reader: Arc<dyn ReadStore> = Arc::new(reader);
    Ok(Opened { writer: Box::new(writer), reader, installation, reserve: None })
}
