//! Where PostgreSQL's server programs are.

use super::install;
use crate::process::output;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest major version that Everloop runs on.
const OLDEST: u32 = 15;

/// Folders that hold one folder for each version, and the programs' folder in it. Debian keeps them out of PATH.
const PLACES: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", "bin"),
    ("/usr/local/opt", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr", "bin"), // `/usr/pgsql-17/bin`
];

/// The folder of `postgres`, `initdb` and `pg_ctl`, all of one version.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// Their version, as they print it: `15.18`.
    pub(crate) version: String,
}

impl Binaries {
    /// Finds them, and installs PostgreSQL first where there are none.
    pub(crate) fn find_or_install() -> Result<Self> {
        if let Ok(found) = Self::find() {
            return Ok(found);
        }
        install::install().context("PostgreSQL's server is missing here and could not be installed")?;
        Self::find().context("PostgreSQL was installed")
    }

    /// Finds those in PATH, or the newest elsewhere.
    pub(crate) fn find() -> Result<Self> {
        let mut old = Vec::new();
        let mut newest: Option<(u32, Self)> = None;
        for (index, dir) in candidates().into_iter().enumerate() {
            let Some((major, binaries)) = inspect(&dir) else { continue };
            if major < OLDEST {
                old.push(format!("{} in {}", binaries.version, dir.display()));
            } else if index < path_dirs().len() {
                return Ok(binaries);
            } else if newest.as_ref().is_none_or(|(best, _)| *best < major) {
                newest = Some((major, binaries));
            }
        }
        match newest {
            Some((_, binaries)) => Ok(binaries),
            None if old.is_empty() => {
                bail!("there is no PostgreSQL ≥ {OLDEST} in PATH or where packages put it")
            }
            None => bail!("PostgreSQL ≥ {OLDEST} is needed, and here is only {}", old.join(", ")),
        }
    }
}

fn path_dirs() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// First the folders of PATH, then those where packages put the programs.
fn candidates() -> Vec<PathBuf> {
    let mut found = path_dirs();
    for (place, inner) in PLACES {
        let Ok(entries) = std::fs::read_dir(place) else { continue };
        let named = entries.filter_map(Result::ok).filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("postgresql")
                || name.starts_with("pgsql")
                || name.starts_with(|c: char| c.is_ascii_digit())
        });
        found.extend(named.map(|entry| entry.path().join(inner)));
    }
    found
}

/// Major version and folder, where all three programs are. Links are followed, because the server looks for its files beside
/// its program.
fn inspect(dir: &Path) -> Option<(u32, Binaries)> {
    let real = dir.join("postgres").canonicalize().ok()?.parent()?.to_owned();
    if !["postgres", "initdb", "pg_ctl"].iter().all(|program| real.join(program).is_file()) {
        return None;
    }
    let text = output(Command::new(real.join("postgres")).arg("--version")).ok()?;
    let version = version_in(&text)?;
    let major = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some((major, Binaries { dir: real, version }))
}

/// `15.18` in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version_in(text: &str) -> Option<String> {
    text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_server_prints() {
        assert_eq!(
            version_in("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)").as_deref(),
            Some("15.18")
        );
        assert_eq!(version_in("postgres (PostgreSQL) 18beta1").as_deref(), Some("18beta1"));
        assert_eq!(version_in("nothing"), None);
    }
}
