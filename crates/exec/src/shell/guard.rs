//! The guard: the process between a worker and a command, so that nothing of the command outlives it.
//!
//! It leads a session of its own, starts the command in a process group of its own, and gets every descendant that loses its
//! parent (Linux: it is their subreaper), however often it was forked and whatever session it made. It ends them all when the
//! command has ended, when the worker says so, and when the worker's end of the socket closes, which a SIGKILL does too. It
//! removes the attempt's folder last.
//!
//! It is the same program, started with [`GUARD_ARG`](super::GUARD_ARG), and runs before anything else of it.

#![expect(
    clippy::disallowed_methods,
    reason = "the guard starts the command, and measures its grace by itself"
)]

use super::folder;
use super::process::{Process, descendants, signal_family, signal_group};
use super::wire::{GRACE_OF_ORPHANS, Order, Report, Request, Stdin, line};
use rustix::io::FdFlags;
use rustix::process::{Resource, Rlimit, Signal, WaitOptions, WaitStatus};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what the command has left behind may go on: the other end of a pipe reads what is in it.
const LINGER: Duration = Duration::from_millis(100);
/// How long it may clean up after that.
const CLEAN_UP: Duration = Duration::from_millis(500);
/// How long killed processes may take to vanish before the guard gives up on them.
const VANISH: Duration = Duration::from_secs(10);
/// How often the guard looks what is left.
const LOOK: Duration = Duration::from_millis(10);

/// Runs the guard to its end. To be called first of all, from a program that was started with [`super::GUARD_ARG`].
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The worker sees that the socket has closed without a word about the command.
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> std::io::Result<()> {
    let control = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut orders = BufReader::new(control.try_clone()?);
    let mut reports = control;
    let mut text = String::new();
    if orders.read_line(&mut text)? == 0 {
        return Ok(());
    }
    let request: Request = serde_json::from_str(&text)?;
    let ended = hold(&request, orders, &mut reports);
    let removed = folder::remove(&request.folder);
    ended.and(removed)
}

fn hold(request: &Request, orders: BufReader<UnixStream>, reports: &mut UnixStream) -> std::io::Result<()> {
    rustix::process::setsid()?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // What a crashed command had in memory belongs into no file.
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    keep_descriptors();
    let own = rustix::process::getpid().as_raw_pid();
    folder::record(&request.folder, own, None)?;
    let mut child = match start(request) {
        Ok(child) => child,
        Err(message) => return reports.write_all(&line(&Report::NotStarted { message })?),
    };
    let command = i32::try_from(child.id()).map_err(|_| ErrorKind::InvalidData)?;
    let family = Arc::new(Family { own, command, state: Mutex::default() });
    // From here on nothing may fail before the command has ended: it would be let go.
    let _ = folder::record(&request.folder, own, Some(command));
    let _ = line(&Report::Started).and_then(|line| reports.write_all(&line));
    feed(&mut child, &request.stdin);
    let listener =
        Listener { orders, family: family.clone(), grace: Duration::from_millis(request.grace_ms) };
    std::thread::spawn(move || listener.listen());
    let report = wait_for(command);
    family.state.lock().unwrap_or_else(PoisonError::into_inner).has_ended = true;
    // Whoever reads the output sees its end as soon as the last process of the family is gone.
    let _ = line(&report).and_then(|line| reports.write_all(&line));
    family.end_rest();
    Ok(())
}

/// Marks every descriptor but the three standard ones to be closed in the command: what the server itself has inherited is
/// not meant for it.
fn keep_descriptors() {
    // Where there is none, Rust's own descriptors are marked all the same.
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    for entry in entries.flatten() {
        let Some(number) =
            entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|number| *number > 2)
        else {
            continue;
        };
        #[expect(unsafe_code, reason = "a descriptor that somebody else has left open has no owner in Rust")]
        // SAFETY: the descriptor is open: it was listed, and the guard has one thread and closes nothing here.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
}

fn start(request: &Request) -> Result<Child, String> {
    let Some((program, arguments)) = request.argv.split_first() else {
        return Err("there is no command".to_owned());
    };
    let stdin = match request.stdin {
        Stdin::Nothing => Stdio::null(),
        Stdin::Text(_) => Stdio::piped(),
        Stdin::Stdout => {
            std::io::stdout().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?.into()
        }
    };
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&request.env)
        .current_dir(&request.cwd)
        .stdin(stdin)
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            _ if !request.cwd.is_dir() => {
                format!("there is no folder {:?} on this machine: create it, or leave out cwd", request.cwd)
            }
            ErrorKind::NotFound => format!(
                "there is no command {program:?}: PATH is {:?}; give the whole path, or PATH in env",
                request.env.get("PATH").map_or("", String::as_str)
            ),
            ErrorKind::PermissionDenied => {
                format!("{program:?} can't be executed: is it executable (chmod +x), and can the folder be entered?")
            }
            ErrorKind::ArgumentListTooLong => {
                "the command with its environment is too long: give it in a file or by stdin".to_owned()
            }
            _ => format!("{program:?} can't be started: {error}"),
        })?;
    // The guard keeps no end of the command's pipes: who reads them shall see when they close.
    if let Ok(nothing) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&nothing);
        let _ = rustix::stdio::dup2_stderr(&nothing);
    }
    Ok(child)
}

fn feed(child: &mut Child, text: &Stdin) {
    if let (Some(mut stdin), Stdin::Text(text)) = (child.stdin.take(), text) {
        let text = text.clone();
        // A command may end without having read everything.
        std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    }
}

/// Waits until the command has ended, and for whoever ends before it.
fn wait_for(command: i32) -> Report {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == command => return report(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // There is no child any more, which can't be while the command was not seen to end.
            Err(_) => return Report::Killed { signal: Signal::KILL.as_raw() },
        }
    }
}

fn report(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited { code },
        (None, Some(signal)) => Report::Killed { signal },
        (None, None) => Report::Killed { signal: Signal::KILL.as_raw() },
    }
}

/// The command and all that came from it.
struct Family {
    own: i32,
    command: i32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the command itself has ended, and was waited for.
    has_ended: bool,
    /// Until when everything has to be gone.
    deadline: Option<Instant>,
}

impl Family {
    fn left(&self) -> Vec<Process> {
        descendants(self.own)
    }

    fn signal(&self, signal: Signal) {
        signal_family(&self.left(), self.command, signal);
        // Where there is no /proc, the group is all that is known.
        if cfg!(not(target_os = "linux"))
            && !self.state.lock().unwrap_or_else(PoisonError::into_inner).has_ended
        {
            signal_group(self.command, signal);
        }
    }

    /// Asks everybody to end. Those that stand still are woken to hear it.
    fn ask_to_end(&self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    fn deadline(&self) -> Option<Instant> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).deadline
    }

    /// Asks everybody to end within the grace; of two deadlines the earlier one holds.
    fn stop(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.deadline = Some(state.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        }
        self.ask_to_end();
    }

    /// Ends what is left after the command.
    fn end_rest(&self) {
        self.wait_until(Instant::now() + LINGER);
        let deadline = self.deadline().unwrap_or_else(|| {
            self.ask_to_end();
            Instant::now() + CLEAN_UP
        });
        self.wait_until(deadline);
        let given_up = Instant::now() + VANISH;
        while !self.is_gone() && Instant::now() < given_up {
            self.signal(Signal::KILL);
            std::thread::sleep(LOOK);
        }
    }

    fn wait_until(&self, deadline: Instant) {
        while !self.is_gone() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }

    fn is_gone(&self) -> bool {
        // Whoever has ended and has only us as a parent is waited for.
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        self.left().is_empty()
    }
}

/// Hears what the worker says, and that it is gone.
struct Listener {
    orders: BufReader<UnixStream>,
    family: Arc<Family>,
    grace: Duration,
}

impl Listener {
    /// Goes on until the guard ends.
    fn listen(mut self) {
        let mut is_heard = true;
        let mut text = String::new();
        loop {
            let left =
                self.family.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => {
                    self.family.signal(Signal::KILL);
                    std::thread::sleep(LOOK);
                }
                Some(left) if !is_heard => std::thread::sleep(left),
                left => {
                    // Without a time limit this can't be refused, and with one it is above zero.
                    let _ = self.orders.get_ref().set_read_timeout(left);
                    is_heard = self.hear(&mut text);
                }
            }
        }
    }

    /// Reads an order, if one comes in time. Gives whether another one can come.
    fn hear(&mut self, text: &mut String) -> bool {
        match self.orders.read_line(text) {
            Ok(many) if many > 0 && text.ends_with('\n') => {
                if let Ok(Order::Stop { grace_ms }) = serde_json::from_str(text) {
                    self.family.stop(Duration::from_millis(grace_ms));
                }
                text.clear();
                true
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                true
            }
            Ok(_) | Err(_) => {
                self.family.stop(self.grace.min(GRACE_OF_ORPHANS));
                false
            }
        }
    }
}
