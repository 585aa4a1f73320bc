//! The grammar of `everloop mcp`.

use crate::cli::mcp::Host;
use crate::config::Flags;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct McpArgs {
    /// Where a server that is started for this keeps its files [default: the user's data folder]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Without one, messages are passed on between standard input and output and the server
    #[command(subcommand)]
    pub(crate) command: Option<McpCommand>,
}

#[derive(Subcommand)]
pub(crate) enum McpCommand {
    /// Write Everloop into the configuration of a host, after asking
    Install(InstallArgs),
}

#[derive(Args)]
pub(crate) struct InstallArgs {
    /// Which host
    pub(crate) host: Host,
    /// Put back what was there before
    #[arg(long)]
    pub(crate) undo: bool,
    /// Do it without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

impl McpArgs {
    /// What it says about settings.
    pub(super) fn flags(&self) -> Flags {
        let folder = self.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned());
        folder.map(|folder| ("data_dir", folder)).into_iter().collect()
    }
}
