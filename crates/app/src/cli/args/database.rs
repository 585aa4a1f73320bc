//! Commands about a database and its files.

use crate::config::Flags;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Which database.
#[derive(Args)]
pub(crate) struct DatabaseArgs {
    /// The data folder [default: ./.everloop]
    #[arg(long, value_name = "FOLDER", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Another database: sqlite:FILE or postgres://HOST/NAME, without a password
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) database_url: Option<String>,
}

impl DatabaseArgs {
    pub(super) fn flags(&self) -> Flags {
        let folder = self.data_dir.as_ref().map(|path| ("data_dir", path.to_string_lossy().into_owned()));
        folder.into_iter().chain(self.database_url.clone().map(|url| ("database_url", url))).collect()
    }
}

#[derive(Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    pub(crate) command: MigrateCommand,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Subcommand)]
pub(crate) enum MigrateCommand {
    /// List migrations and when each was applied
    Status,
    /// Apply what is missing; a server does so by itself when it starts
    Up {
        /// Apply none above this number
        #[arg(long, value_name = "NUMBER")]
        to: Option<u32>,
    },
    /// Take back the last migrations, with what their tables hold
    Down {
        /// How many
        #[arg(value_name = "N", default_value_t = 1)]
        steps: u32,
        /// Yes, drop what the tables hold
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
pub(crate) struct BackupArgs {
    /// The file to write, which must not be there yet; - for standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Put the private key into it that signs receipts
    #[arg(long)]
    pub(crate) include_signing_key: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only check the backup; write nothing
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}
