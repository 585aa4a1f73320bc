//! `cargo xtask bench`: builds what is measured, and measures it.

use crate::process::{cargo, root, succeed};
use anyhow::Result;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Everything after `bench` goes to the bench itself.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    succeed(&mut cargo(&["build", "--release", "-p", "everloop", "-p", "everloop-benches"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    succeed(Command::new(target.join("release/everloop-benches")).args(args).current_dir(root()))?;
    Ok(ExitCode::SUCCESS)
}
