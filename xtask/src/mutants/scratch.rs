//! The copy of the sources that bugs are planted in.

use super::patch::Patch;
use crate::process::{output, root, target};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The copy, and the folder that it is built in.
pub(super) struct Scratch {
    /// The sources.
    pub(super) tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// The place of the copy; it is filled by [`Scratch::restore`].
    pub(super) fn new() -> Result<Self> {
        let folder = target().join("mutants");
        let new = Self { tree: folder.join("tree"), target: folder.join("target") };
        std::fs::create_dir_all(&new.tree)?;
        Ok(new)
    }

    /// Makes the copy equal to the sources. What is equal keeps its age, so that it is not built again.
    pub(super) fn restore(&self) -> Result<()> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
        let listed = output(&mut git)?;
        let mut files = BTreeSet::new();
        for file in listed.split('\0').filter(|file| !file.is_empty()) {
            let text = match std::fs::read(root().join(file)) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("{file} can't be read")),
            };
            files.insert(PathBuf::from(file));
            let copy = self.tree.join(file);
            if std::fs::read(&copy).is_ok_and(|old| old == text) {
                continue;
            }
            std::fs::create_dir_all(copy.parent().unwrap_or(&self.tree))?;
            std::fs::write(&copy, text).with_context(|| format!("{} can't be written", copy.display()))?;
        }
        ensure!(!files.is_empty(), "git lists no sources");
        self.remove_others(Path::new(""), &files)
    }

    /// Removes what is in the copy and not in the sources.
    fn remove_others(&self, folder: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
        for entry in std::fs::read_dir(self.tree.join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.remove_others(&path, files)?;
            } else if !files.contains(&path) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Plants a bug.
    pub(super) fn apply(&self, patch: &Patch) -> Result<()> {
        patch.apply(&self.tree, false).with_context(|| format!("{} can't be applied", patch.path))
    }

    /// Where the output of a seed goes while it runs.
    pub(super) fn log(&self, seed: u64) -> PathBuf {
        self.target.join(format!("seed-{seed}.log"))
    }

    /// A program to be run on the copy.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        // These would speak of the sources that this tool was built from.
        for set in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
            if set.starts_with("CARGO_PKG_") || set == "CARGO_MANIFEST_DIR" || set == "CARGO_MANIFEST_PATH" {
                command.env_remove(set);
            }
        }
        command
    }
}
