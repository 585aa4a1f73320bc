//! Processes of this machine: who descends from whom, and how they are ended.

#![expect(clippy::disallowed_methods, reason = "what runs is read from /proc")]

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::HashSet;

/// A process, as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// Clock ticks from the machine's start to its own: with the pid and the machine's start it names one process for ever.
    pub(super) start: u64,
    /// Whether it still runs: one that has ended and was not waited for does not.
    pub(super) runs: bool,
}

fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    // The name stands in parentheses and may hold any byte, parentheses too.
    let rest = &stat[stat.rfind(')')? + 1..];
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        runs: !matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The process of this id, if there is one.
pub(super) fn find(pid: i32) -> Option<Process> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(pid, &String::from_utf8_lossy(&stat))
}

/// Every process that can be seen; none where there is no `/proc`.
fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(find).collect()
}

/// What descends from a process and still runs.
pub(super) fn descendants(of: i32) -> Vec<Process> {
    let all = all();
    let mut family = HashSet::from([of]);
    // A child can have a lower id than its parent: ids begin anew.
    loop {
        let before = family.len();
        family.extend(
            all.iter()
                .filter(|process| family.contains(&process.parent))
                .map(|process| process.pid)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            break;
        }
    }
    family.remove(&of);
    all.into_iter().filter(|process| process.runs && family.contains(&process.pid)).collect()
}

/// What belongs to a session and still runs, its leader apart.
pub(super) fn session_members(session: i32) -> Vec<Process> {
    all()
        .into_iter()
        .filter(|process| process.runs && process.session == session && process.pid != session)
        .collect()
}

/// Signals one process. That it is gone already is no error.
pub(super) fn signal(pid: i32, signal: Signal) {
    // The first process, and what `kill` takes for a group or for everybody, is never meant.
    if let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 1) {
        let _ = kill_process(pid, signal);
    }
}

/// Signals a group as a whole.
pub(super) fn signal_group(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group).filter(|_| group > 1) {
        let _ = kill_process_group(group, signal);
    }
}

/// Signals a family: those in this group at once, the others one by one.
pub(super) fn signal_family(family: &[Process], group: i32, kind: Signal) {
    if family.iter().any(|process| process.group == group) {
        signal_group(group, kind);
    }
    family.iter().filter(|process| process.group != group).for_each(|process| signal(process.pid, kind));
}

/// The id of the machine's run, which changes with every start of it.
pub(super) fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// What a signal is called.
pub(crate) fn signal_name(number: i32) -> String {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ];
    match names.iter().find(|(signal, _)| signal.as_raw() == number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_hold_anything() {
        let stat = "7 (a) Z 1 (b) S 3 4 5 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0";
        let expected = Process { pid: 7, parent: 3, group: 4, session: 5, start: 987_654, runs: true };
        assert_eq!(parse_stat(7, stat), Some(expected));
        assert_eq!(parse_stat(7, "7 (a"), None);
        assert_eq!(parse_stat(7, "7 (a) S 1"), None);
    }

    #[test]
    fn we_find_ourselves() {
        let own = i32::try_from(std::process::id()).unwrap();
        let process = find(own).unwrap();
        assert!(process.runs && process.start > 0);
        assert!(descendants(process.parent).contains(&process));
        assert_eq!(signal_name(15), "SIGTERM");
        assert_eq!(signal_name(64), "signal 64");
    }
}
