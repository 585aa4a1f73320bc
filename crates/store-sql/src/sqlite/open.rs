//! Opening a file.

use super::medium::Held;
use super::migrate::Session;
use super::reader::Readers;
use super::reserve::Reserve;
use super::writer::Writer;
use super::{Shared, checkpoint, error::classify, settings};
use crate::migrate;
use crate::open::{Birth, Opened, SqliteOptions};
use crate::read::Reader;
use everloop_store::error::StoreError;
use everloop_store::port::{InstallationRead, ReadStore};
use rusqlite::{Connection, params};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Opens a file, or makes it.
pub(crate) fn open(options: &SqliteOptions, birth: &Birth) -> Result<Opened, StoreError> {
    let mut session = Session::open(options)?;
    if options.migrate {
        migrate::run_up(&mut session, None, birth.installation.created_at)?;
    } else {
        migrate::check_complete(&mut session)?;
    }
    let Session { connection, shared } = session;
    // What an earlier process moved into the file may never have reached the disk: move the whole log again, with an fsync of
    // our own, before anything is built on it.
    checkpoint::sync(&shared)?;
    checkpoint::pass(&connection, "PRAGMA wal_checkpoint(TRUNCATE)")?;
    checkpoint::sync(&shared)?;
    be_born(&connection, birth).map_err(classify)?;
    let pos = last_pos(&connection).map_err(classify)?;
    let reader = Reader(Readers::new(Arc::clone(&shared), options.readers));
    let writer = Writer::new(connection, pos, shared, options.checkpoints)?;
    let installation = reader.installation()?;
    let reader: Arc<dyn ReadStore> = Arc::new(reader);
    let reserve = Some(Reserve::beside(options));
    Ok(Opened { writer: Box::new(writer), reader, installation, reserve })
}

/// Takes the lock, and opens the file for the one handle that stays open.
pub(super) fn take(options: &SqliteOptions) -> Result<Arc<Shared>, StoreError> {
    settings::check_version()?;
    let held = Held::take(options)?;
    held.write_log_again(&options.path).map_err(|error| StoreError::Failed(error.into()))?;
    Ok(Arc::new(Shared { path: options.path.clone(), held, failed: AtomicBool::new(false) }))
}

fn be_born(connection: &Connection, birth: &Birth) -> rusqlite::Result<()> {
    let installation = &birth.installation;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let made = connection.execute(
        "INSERT INTO installation (one, id, epoch, created_at, last_pos) VALUES (1, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
        params![installation.id.0, installation.epoch, installation.created_at.as_micros()],
    )?;
    if made == 1 {
        for tenant in &birth.tenants {
            connection.execute(
                "INSERT INTO tenant (id, name, secret, created_at) VALUES (?, ?, ?, ?)",
                params![tenant.id.0, tenant.name, tenant.secret, tenant.created_at.as_micros()],
            )?;
        }
    }
    connection.execute_batch("COMMIT")
}

/// The last position that may have been given out.
fn last_pos(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT max(last_pos, coalesce((SELECT max(pos) FROM event), 0)) FROM installation";
    connection.query_row(sql, [], |row| row.get(0))
}
