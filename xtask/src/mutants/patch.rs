//! A planted bug: a patch, and above it what it does.

use crate::process::output;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// Where the patches lie.
pub(super) const FOLDER: &str = "tests/mutants";
/// What the head of a patch has to say.
const BUG: &str = "Bug: ";
const BREAKS: &str = "Breaks: ";
/// What it says where the simulation can't find it: the command that fails.
const FOUND_BY: &str = "found-by: ";

/// A planted bug.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// The name of its file, without the ending: `01-ack-before-commit`.
    pub(super) name: String,
    /// The path of its file from the root.
    pub(super) path: String,
    /// The command that fails with it; none if the simulation finds it.
    pub(super) found_by: Option<String>,
}

/// Names of all patches, in their order.
pub(super) fn names(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(FOLDER);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{FOLDER} can't be listed"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".patch").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// All patches, in their order.
pub(super) fn read_all(root: &Path) -> Result<Vec<Patch>> {
    names(root)?.iter().map(|name| Patch::read(root, name)).collect()
}

impl Patch {
    /// Reads a patch and its head.
    pub(super) fn read(root: &Path, name: &str) -> Result<Self> {
        let path = format!("{FOLDER}/{name}.patch");
        let text =
            std::fs::read_to_string(root.join(&path)).with_context(|| format!("{path} can't be read"))?;
        Self::parse(name, path, &text)
    }

    fn parse(name: &str, path: String, text: &str) -> Result<Self> {
        let (number, words) = name.split_once('-').unwrap_or((name, ""));
        let is_named = number.len() == 2 && number.bytes().all(|c| c.is_ascii_digit()) && !words.is_empty();
        ensure!(is_named, "{path}: its name is no NN-name.patch");
        let head: Vec<_> = text.lines().take_while(|line| !line.starts_with("diff --git ")).collect();
        let said = |what: &str| head.iter().find_map(|line| line.strip_prefix(what));
        ensure!(said(BUG).is_some(), "{path}: no line {BUG:?} says what is wrong");
        ensure!(said(BREAKS).is_some(), "{path}: no line {BREAKS:?} says which promise is broken");
        let found_by = said(FOUND_BY).map(str::to_owned);
        Ok(Self { name: name.to_owned(), path, found_by })
    }

    /// Whether this is its name, or the number or the words of it.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name
            || self.name.split_once('-').is_some_and(|(number, words)| number == name || words == name)
    }

    /// Applies it to these sources, or only looks whether it could be.
    pub(super) fn apply(&self, to: &Path, only_check: bool) -> Result<()> {
        let mut git = Command::new("git");
        git.arg("apply").args(only_check.then_some("--check")).arg(crate::process::root().join(&self.path));
        // A copy lies in a folder that git ignores: there it would skip every file.
        git.current_dir(to).env("GIT_CEILING_DIRECTORIES", to.parent().unwrap_or(to));
        output(&mut git).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_says_what_it_breaks_and_who_finds_it() {
        let read = |name: &str, text: &str| Patch::parse(name, format!("{name}.patch"), text);
        let diff = "diff --git a/x b/x\nfound-by: nobody\n";
        let patch = read("07-lost-hint", &format!("Bug: a\nBreaks: b\n{diff}")).unwrap();
        assert_eq!(patch.found_by, None);
        assert!(patch.is_called("07") && patch.is_called("lost-hint") && patch.is_called("07-lost-hint"));
        assert!(!patch.is_called("hint"));
        let patch = read("08-other", &format!("Bug: a\nBreaks: b\nfound-by: cargo test\n{diff}")).unwrap();
        assert_eq!(patch.found_by.as_deref(), Some("cargo test"));
        for (name, text) in [("07-a", "Bug: a\n"), ("07-a", "Breaks: b\n"), ("a", "Bug: a\nBreaks: b\n")] {
            assert!(read(name, text).is_err(), "{name} {text}");
        }
    }
}
