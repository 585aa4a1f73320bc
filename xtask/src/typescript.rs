//! The lane of the TypeScript SDK: its tools installed as its lock file says, lint, types, and its tests against the program.

use crate::examples::{built, kit, python};
use crate::process::{on_path, output, root, succeed};
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;

/// The first major version of Node that the SDK runs on.
const NODE: u32 = 20;

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
    let mut npm = Command::new("npm");
    npm.args(args).current_dir(root().join("sdks/typescript"));
    npm
}

/// Installs Node where it is missing, and the tools of the SDK.
pub(crate) fn install() -> Result<()> {
    node()?;
    // What npm installs takes longer than the tests of many a file: it is done anew when the lock file changes.
    let folder = root().join("sdks/typescript");
    let (wanted, mark) =
        (fs::read(folder.join("package-lock.json"))?, folder.join("node_modules/.installed"));
    if !fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        succeed(&mut npm(&["ci", "--prefer-offline", "--no-audit", "--no-fund"]))
            .context("the tools of the TypeScript SDK could not be installed")?;
        fs::write(&mark, wanted)?;
    }
    Ok(())
}

/// Makes sure that Node is here, and is new enough.
fn node() -> Result<()> {
    if on_path("node").is_none() && on_path("apt-get").is_some() {
        succeed(Command::new("apt-get").args(["install", "-y", "--no-install-recommends", "nodejs", "npm"]))?;
    }
    let needed = format!("the TypeScript SDK needs Node {NODE} or later, with npm");
    if on_path("node").is_none() || on_path("npm").is_none() {
        bail!("{needed}, which is not here and could not be installed");
    }
    let version = output(Command::new("node").arg("--version"))?;
    match major(&version) {
        Some(major) if major >= NODE => Ok(()),
        Some(_) | None => bail!("{needed}; here is {version}"),
    }
}

/// The first number of `v20.11.1`.
pub(crate) fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(major("v20.11.1"), Some(20));
        assert_eq!(major("nightly"), None);
    }
}
