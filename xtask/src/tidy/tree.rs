//! The files of the repository, read once.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// Folders that hold what is built, not what is written.
const SKIPPED: &[&str] = &["target", "node_modules", "__pycache__", "dist", "build", "vendor"];
/// Hidden folders that are ours.
const HIDDEN: &[&str] = &[".ci", ".cargo", ".github"];

/// The files by their path from the root, with `/` between folders. Files that aren't text have none.
pub(super) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads everything below the root.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        read_dir(root, "", &mut files)?;
        Ok(Self { files })
    }

    /// A tree of these texts.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())));
        Self { files: files.collect() }
    }

    /// Paths and texts, sorted by path.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// Those whose path ends with one of these.
    pub(super) fn ending(&self, ends: &'static [&'static str]) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| ends.iter().any(|end| path.ends_with(end)))
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// The text of a file that must be there.
    pub(super) fn need(&self, path: &str) -> Result<&str> {
        self.text(path).with_context(|| format!("{path} is missing"))
    }

    /// Whether there is a file or folder of this path.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let inside = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.keys().any(|file| file.starts_with(&inside))
    }
}

fn read_dir(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Option<String>>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("{} can't be listed", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let ours = !name.starts_with('.') || HIDDEN.contains(&name.as_str());
            if ours && !SKIPPED.contains(&name.as_str()) {
                read_dir(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file() && name != ".git" {
            match std::fs::read(entry.path()) {
                Ok(bytes) => drop(files.insert(path, String::from_utf8(bytes).ok())),
                // An editor's temporary file may go while we look.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("{path} can't be read")),
            }
        }
    }
    Ok(())
}
