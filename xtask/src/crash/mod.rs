//! `cargo xtask crash`: kills the real server at random instants, under load, and holds it to what it has promised.
//!
//! Three processes take part. The *killer* (this one) starts the server, kills it with SIGKILL and starts it again; with
//! PostgreSQL it kills the database, too. The *oracle* loads the server, writes down everything that is acknowledged to it,
//! with fsync, and judges in the end. The *server* knows of neither. `docs/reliability.md` says what is checked.

pub(crate) mod dice;
pub(crate) mod judge;
pub(crate) mod killer;
pub(crate) mod options;
pub(crate) mod oracle;
mod plan;
pub(crate) mod rig;
pub(crate) mod sqlite;

use anyhow::{Result, bail};
use options::{Engine, Options};
use std::ffi::OsString;
use std::process::ExitCode;

/// The hidden subcommand that the oracle runs.
pub(crate) const ORACLE: &str = "crash-oracle";

/// `cargo xtask crash`
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let ended_well = killer::run(&Options::parse(args)?)?;
    Ok(if ended_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lane of SQLite.
pub(crate) fn lane_sqlite() -> Result<()> {
    lane(&Options::new(Engine::Sqlite))
}

/// The lane of PostgreSQL. Its database is killed, too, so that it can't be the one that other lanes share.
pub(crate) fn lane_postgres() -> Result<()> {
    lane(&Options { database_kills: 4, ..Options::new(Engine::Postgres) })
}

fn lane(options: &Options) -> Result<()> {
    if !killer::run(options)? {
        bail!("promises were broken; again with: {}", options.command());
    }
    Ok(())
}
