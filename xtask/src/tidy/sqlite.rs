//! The SQLite that is built in is not older than the one without the WAL corruption bug (3.51.3).

use super::Findings;
use super::tree::Tree;
use anyhow::Context;
use serde::Deserialize;

const LOCK: &str = "Cargo.lock";
const PACKAGE: &str = "libsqlite3-sys";
/// The first version that bundles SQLite ≥ 3.51.3. What really runs is checked again when a store opens.
const OLDEST: [u64; 3] = [0, 37, 0];

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// The check.
pub(super) fn check(tree: &Tree) -> Findings {
    let lock: Lock = toml::from_str(tree.need(LOCK)?).context(LOCK)?;
    let mut findings = Vec::new();
    for package in lock.package.iter().filter(|package| package.name == PACKAGE) {
        if version(&package.version).is_none_or(|version| version < OLDEST) {
            let [major, minor, patch] = OLDEST;
            findings.push(format!(
                "{LOCK}: {PACKAGE} is {}, and must be ≥ {major}.{minor}.{patch}",
                package.version
            ));
        }
    }
    Ok(findings)
}

/// The three numbers of a release. A pre-release has none.
fn version(text: &str) -> Option<[u64; 3]> {
    let (plain, _) = text.split_once('+').unwrap_or((text, ""));
    let numbers: Vec<u64> = plain.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::files::assert_findings;
    use super::*;

    #[test]
    fn an_old_sqlite_is_found() {
        let lock = |version: &str| format!("[[package]]\nname = \"{PACKAGE}\"\nversion = \"{version}\"\n");
        for good in ["0.37.0", "0.37.1", "0.38.0", "1.0.0+x"] {
            assert_findings(check(&Tree::of(&[(LOCK, &lock(good))])), &[]);
        }
        for bad in ["0.36.9", "0.37.0-rc.1"] {
            assert_findings(check(&Tree::of(&[(LOCK, &lock(bad))])), &[bad]);
        }
    }
}
