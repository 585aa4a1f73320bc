//! Where the files of a project are, and the program `everloop`.

use crate::discover::DEV_FOLDER;
use std::env::{split_paths, var_os};
use std::path::{Path, PathBuf};

/// What makes a folder the project's own.
const MARKS: [&str; 3] = [DEV_FOLDER, "Cargo.toml", ".git"];
/// The program's name.
const PROGRAM: &str = "everloop";

/// The nearest folder upwards that has an `.everloop`, a `Cargo.toml` or a `.git`; the start itself where none has.
fn project_folder(start: &Path) -> &Path {
    let is_project = |folder: &&Path| MARKS.iter().any(|mark| folder.join(mark).exists());
    start.ancestors().find(is_project).unwrap_or(start)
}

/// The data folder of the project that the process runs in: `EVERLOOP_DATA_DIR`, else `.everloop` in the project's folder.
///
/// # Errors
/// If the process has no working folder.
pub fn data_folder() -> std::io::Result<PathBuf> {
    let here = std::env::current_dir()?;
    let given = var_os("EVERLOOP_DATA_DIR").filter(|given| !given.is_empty());
    Ok(given.map_or_else(|| project_folder(&here).join(DEV_FOLDER), |given| here.join(given)))
}

/// The program: `EVERLOOP_BIN`, else the one beside this program or in the folder above (where Cargo puts examples and tests
/// below it), else the one on `PATH`. None if it is nowhere.
pub fn program() -> Option<PathBuf> {
    if let Some(given) = var_os("EVERLOOP_BIN").filter(|given| !given.is_empty()) {
        return Some(given.into());
    }
    let own = std::env::current_exe().ok()?;
    let beside = own.ancestors().skip(1).take(2).map(Path::to_owned);
    let path = var_os("PATH").unwrap_or_default();
    beside.chain(split_paths(&path)).map(|folder| folder.join(PROGRAM)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_with_a_mark_is_the_project() {
        let root = std::env::temp_dir().join(format!("everloop-project-{}", std::process::id()));
        let deep = root.join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir_all(root.join("a").join(DEV_FOLDER)).unwrap();
        assert_eq!(project_folder(&deep), root.join("a"));
        std::fs::create_dir_all(root.join("a/b/.git")).unwrap();
        assert_eq!(project_folder(&deep), root.join("a/b"));
        std::fs::remove_dir_all(root).unwrap();
    }
}
