//! The lane of the TypeScript SDK: its tools installed as its lock file says, lint, types, and its tests against the program.

use crate::examples::{built, kit, python};
use crate::npm;
use crate::process::{root, succeed};
use anyhow::Result;
use std::process::Command;

/// Runs the lane.
pub(crate) fn lane() -> Result<()> {
    let everloop = built()?;
    install()?;
    succeed(&mut npm(&["run", "--silent", "lint"]))?;
    succeed(npm(&["test", "--silent"]).env("EVERLOOP_BIN", everloop))?;
    kit(&python()?, &["--", "node", "sdks/typescript/build/conformance/worker.js"])
}

/// `npm` with the arguments, in the folder of the SDK.
pub(crate) fn npm(args: &[&str]) -> Command {
    npm::npm(&root().join("sdks/typescript"), args)
}

/// Installs Node where it is missing, and the tools of the SDK.
pub(crate) fn install() -> Result<()> {
    npm::node("the TypeScript SDK", (20, 3))?;
    npm::install(&root().join("sdks/typescript"))
}
