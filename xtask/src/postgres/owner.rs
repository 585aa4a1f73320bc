//! Whose the private server is: it refuses to run as root.

use crate::process::{on_path, output};
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The system user that is made for it where we are root.
const USER: &str = "everloop-pg";

/// The user that the server runs as.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner {
    /// We ourselves.
    Ourselves,
    /// A user of its own, by user id and group id.
    Its { uid: u32, gid: u32 },
}

impl Owner {
    /// Ourselves, or a user of its own where we are root.
    pub(super) fn find_or_make() -> Result<Self> {
        if number(&["-u"])? != 0 {
            return Ok(Self::Ourselves);
        }
        if number(&["-u", USER]).is_err() {
            make().with_context(|| {
                format!("PostgreSQL refuses root, and its own user {USER} could not be made")
            })?;
        }
        Ok(Self::Its { uid: number(&["-u", USER])?, gid: number(&["-g", USER])? })
    }

    /// A command that runs as this user, with nothing of our environment but PATH.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Self::Its { uid, gid } = self {
            command.uid(uid).gid(gid); // Leaving root in this way drops its groups too.
        }
        command
    }

    /// Gives it a file or folder.
    pub(super) fn take(self, path: &Path) -> Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Its { uid, gid } => chown(path, Some(uid), Some(gid))
                .with_context(|| format!("{} could not be given to {USER}", path.display())),
        }
    }
}

fn number(args: &[&str]) -> Result<u32> {
    Ok(output(Command::new("id").args(args))?.parse()?)
}

fn make() -> Result<()> {
    let program = on_path("useradd").unwrap_or_else(|| PathBuf::from("/usr/sbin/useradd"));
    let args = [
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        "/bin/false",
    ];
    let made = output(Command::new(program).args(args).arg(USER));
    // Two runs may make it at the same time; then it is there whoever won.
    if made.is_err() && number(&["-u", USER]).is_ok() {
        return Ok(());
    }
    made.map(|_| ())
}
