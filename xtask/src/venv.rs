//! Python environments beneath the target folder.

use crate::examples::python;
use crate::process::{succeed, target};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An environment with what a list of pinned versions names. It is made anew when the list changes.
pub(crate) fn install(name: &str, list: &Path) -> Result<PathBuf> {
    let home = target().join("tools").join(name);
    let wanted = std::fs::read_to_string(list)?;
    let mark = home.join("installed.txt");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(home);
    }
    let mut venv = Command::new(python()?);
    succeed(venv.args(["-m", "venv", "--clear"]).arg(&home))
        .context("python3 can't make an environment; Debian has that in python3-venv")?;
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]).arg(list);
    succeed(&mut pip).with_context(|| format!("{} could not be installed", list.display()))?;
    std::fs::write(&mark, wanted)?;
    Ok(home)
}
