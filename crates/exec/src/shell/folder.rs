//! The folders of attempts: the working directory, and the record of who runs in it.
//!
//! `<root>/<task>-<attempt>/` holds `work/`, the working directory unless the task names its own, and `group`, the record by
//! which a starting server finds what the last one has left running.

#![expect(clippy::disallowed_methods, reason = "the folders of commands are this executor's own files")]

use super::process::{self, Process, boot_id, descendants, session_members, signal, signal_family};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The working directory within an attempt's folder.
const WORK: &str = "work";
/// The record within it.
const GROUP: &str = "group";
/// How long the processes of the last server are given to vanish after they were killed.
const VANISH: Duration = Duration::from_secs(3);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The folder of an attempt. Removed when it is dropped, unless a guard has it: then that one removes it, when nobody is left
/// in it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    guard_has_it: bool,
}

impl Folder {
    /// Makes one.
    pub(crate) fn make(root: &Path, name: &str) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        let root = root.canonicalize()?;
        // A restored backup may give the same attempt again, beside a folder that was left over.
        for n in 1..=1000 {
            let path = if n == 1 { root.join(name) } else { root.join(format!("{name}-{n}")) };
            match builder.create(&path) {
                Ok(()) => return Ok(Self { path, guard_has_it: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the working directory in it.
    pub(crate) fn make_work(&self) -> io::Result<PathBuf> {
        let work = self.path.join(WORK);
        DirBuilder::new().mode(0o700).create(&work)?;
        Ok(work)
    }

    /// Says who removes it.
    pub(crate) fn guard_has_it(&mut self, has_it: bool) {
        self.guard_has_it = has_it;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.guard_has_it {
            return;
        }
        if let Err(error) = remove(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "a working directory could not be removed");
        }
    }
}

/// Removes a folder and all that is in it, also below folders that nobody may write to.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let removed = match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_up(folder);
            std::fs::remove_dir_all(folder)
        }
        other => other,
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn open_up(folder: &Path) {
    // What can't be changed shows when it can't be removed.
    let _ = std::fs::set_permissions(folder, Permissions::from_mode(0o700));
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // The type of the entry itself: a link to a folder is none.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// Who runs in a folder.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    boot_id: String,
    /// The guard, and its start.
    guard: (i32, u64),
    /// The command, and its start.
    command: Option<(i32, u64)>,
}

/// Writes down who runs in a folder. Does nothing where a process has no start that could be compared later.
pub(super) fn record(folder: &Path, guard: i32, command: Option<i32>) -> io::Result<()> {
    let (Some(boot_id), Some(guard)) = (boot_id(), process::find(guard)) else { return Ok(()) };
    let command = command.and_then(process::find).map(|command| (command.pid, command.start));
    let record = Record { boot_id, guard: (guard.pid, guard.start), command };
    let new = folder.join("group.new");
    std::fs::write(&new, serde_json::to_vec(&record)?)?;
    std::fs::rename(new, folder.join(GROUP))
}

/// What [`reap_leftovers`] has found and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Commands that still ran.
    pub commands: usize,
    /// Folders of attempts that were still there.
    pub folders: usize,
}

/// Ends what the last server on this root has left running, and removes the folders that it has left behind.
///
/// To be called before the first task is claimed, by whoever owns the root alone. A process is killed only where the machine
/// has not been started since and the process is the very one that was recorded. Blocks while processes vanish.
pub fn reap_leftovers(root: &Path) -> Reaped {
    let mut reaped = Reaped::default();
    let Ok(entries) = std::fs::read_dir(root) else { return reaped };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let folder = entry.path();
        let record = std::fs::read(folder.join(GROUP)).ok();
        if let Some(record) = record.and_then(|text| serde_json::from_slice::<Record>(&text).ok())
            && Some(&record.boot_id) == boot_id().as_ref()
            && end_recorded(&record)
        {
            reaped.commands += 1;
        }
        match remove(&folder) {
            Ok(()) => reaped.folders += 1,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "a leftover folder could not be removed")
            }
        }
    }
    reaped
}

/// Kills what a record names. Gives whether there was anything.
fn end_recorded(record: &Record) -> bool {
    let is_same =
        |(pid, start): (i32, u64)| process::find(pid).filter(|found| found.start == start && found.runs);
    let guard = is_same(record.guard);
    let command = record.command.and_then(is_same);
    if guard.is_none() && command.is_none() {
        return false;
    }
    let group = record.command.map_or(0, |(pid, _)| pid);
    let looks = VANISH.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        let left = family(record.guard.0, guard.is_some(), command);
        // A guard that has nothing left to hold ends by itself, and removes its folder.
        if left.is_empty() && is_same(record.guard).is_none() {
            return true;
        }
        signal_family(&left, group, Signal::KILL);
        std::thread::sleep(LOOK);
    }
    if let Some(guard) = is_same(record.guard) {
        signal(guard.pid, Signal::KILL);
    }
    true
}

fn family(guard: i32, guard_runs: bool, command: Option<Process>) -> Vec<Process> {
    if guard_runs {
        return descendants(guard);
    }
    // Nobody can get the id of a session that still has members: they are the guard's.
    let mut left = session_members(guard);
    if let Some(command) = command {
        left.extend(descendants(command.pid));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_nobody_may_write_to_and_follows_no_link() {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("file"), "").unwrap();
        let folder = Folder::make(&root.path().join("a/b"), "task_x-1").unwrap();
        let work = folder.make_work().unwrap();
        std::fs::create_dir_all(work.join("deep/er")).unwrap();
        std::os::unix::fs::symlink(&outside, work.join("deep/link")).unwrap();
        std::fs::set_permissions(work.join("deep"), Permissions::from_mode(0o500)).unwrap();
        open_up(folder.path());
        assert_eq!(std::fs::metadata(work.join("deep")).unwrap().permissions().mode() & 0o777, 0o700);
        remove(folder.path()).unwrap();
        remove(folder.path()).unwrap();
        assert!(!folder.path().exists() && outside.join("file").exists());
    }

    #[test]
    fn an_attempt_that_comes_again_gets_a_folder_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let mut first = Folder::make(root.path(), "task_x-1").unwrap();
        let second = Folder::make(root.path(), "task_x-1").unwrap();
        assert_ne!(first.path(), second.path());
        first.guard_has_it(true);
        drop(second);
        assert_eq!(std::fs::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(reap_leftovers(root.path()), Reaped { commands: 0, folders: 1 });
        assert_eq!(reap_leftovers(&root.path().join("missing")), Reaped::default());
    }

    #[test]
    fn a_record_of_another_start_kills_nobody() {
        let root = tempfile::tempdir().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let start = process::find(own).unwrap().start;
        let boot = boot_id().unwrap();
        // Were one of them taken for real, this test would end here.
        for (boot_id, start) in [("another".to_owned(), start), (boot.clone(), start - 1), (boot, start + 1)]
        {
            let mut folder = Folder::make(root.path(), "task_x-1").unwrap();
            folder.guard_has_it(true);
            let record = Record { boot_id, guard: (own, start), command: Some((own, start)) };
            std::fs::write(folder.path().join(GROUP), serde_json::to_vec(&record).unwrap()).unwrap();
            assert_eq!(reap_leftovers(root.path()), Reaped { commands: 0, folders: 1 });
        }
    }
}
