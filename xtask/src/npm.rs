//! Node, and what npm installs as lock files say.

use crate::process::{on_path, output, succeed};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// npm in a folder.
pub(crate) fn npm(folder: &Path, args: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(args).current_dir(folder);
    npm
}

/// Installs what the lock file of a folder says. It takes longer than the tests of many a file: it is done anew when the lock
/// file changes.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let (wanted, mark) =
        (fs::read(folder.join("package-lock.json"))?, folder.join("node_modules/.installed"));
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    succeed(&mut npm(folder, &["ci", "--prefer-offline", "--no-audit", "--no-fund"]))
        .with_context(|| format!("what {} needs could not be installed", folder.display()))?;
    fs::write(&mark, wanted)?;
    Ok(())
}

/// Makes sure that Node is here, and is at least this version.
pub(crate) fn node(who: &str, least: (u32, u32)) -> Result<()> {
    if on_path("node").is_none() && on_path("apt-get").is_some() {
        succeed(Command::new("apt-get").args(["install", "-y", "--no-install-recommends", "nodejs", "npm"]))?;
    }
    let needed = format!("{who} needs Node {}.{} or later, with npm", least.0, least.1);
    if on_path("node").is_none() || on_path("npm").is_none() {
        bail!("{needed}, which is not here and could not be installed");
    }
    let version = output(Command::new("node").arg("--version"))?;
    match numbers(&version) {
        Some(found) if found >= least => Ok(()),
        Some(_) | None => bail!("{needed}; here is {version}"),
    }
}

/// The first two numbers of `v20.11.1`.
pub(crate) fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(numbers("v20.11.1\n"), Some((20, 11)));
        assert_eq!(numbers("nightly"), None);
        assert!(numbers("v20.11.1") < Some((20, 19)));
    }
}
