//! The input of the demo: files of the current folder, or a sample where there are too few.

use std::path::{Path, PathBuf};

/// At most so many files are read.
pub(super) const MOST: usize = 200;
/// With fewer files there is nothing to watch.
const LEAST: usize = 24;
/// Files of the sample.
const SAMPLE: usize = 60;
/// Larger files would make the demo wait for the disk.
const LARGEST: u64 = 1 << 20;
/// How deep folders are looked into.
const DEEPEST: usize = 8;

/// A folder and files below it.
pub(super) struct Files {
    pub(super) root: PathBuf,
    pub(super) names: Vec<String>,
    /// Whether they were made for the demo.
    pub(super) is_sample: bool,
}

/// Files of this folder, or a sample made in the other one.
///
/// # Errors
/// If the sample can't be written.
pub(super) fn find(folder: &Path, scratch: &Path) -> std::io::Result<Files> {
    let mut names = Vec::new();
    walk(folder, folder, 0, &mut names);
    if names.len() >= LEAST {
        return Ok(Files { root: folder.to_owned(), names, is_sample: false });
    }
    sample(scratch)
}

/// Whatever can't be read is passed over: this is a demo, not an audit.
fn walk(root: &Path, folder: &Path, depth: usize, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if names.len() >= MOST {
            return;
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
        if name.starts_with('.') || matches!(name, "target" | "node_modules") {
            continue;
        }
        // Not following links: they may lead out of the folder, or round in circles.
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() && depth < DEEPEST {
            walk(root, &path, depth + 1, names);
        } else if metadata.is_file()
            && metadata.len() <= LARGEST
            && let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str)
            && !relative.contains(['\n', '\r'])
        {
            names.push(relative.to_owned());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the sample is made of files")]
fn sample(scratch: &Path) -> std::io::Result<Files> {
    let root = scratch.join("sample");
    std::fs::create_dir_all(&root)?;
    let mut names = Vec::new();
    for n in 1..=SAMPLE {
        let name = format!("note-{n:02}.txt");
        let text = format!("This is note {n} of {SAMPLE}.\n").repeat(n * 7);
        std::fs::write(root.join(&name), text)?;
        names.push(name);
    }
    Ok(Files { root, names, is_sample: true })
}
