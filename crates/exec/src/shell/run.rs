//! The worker's side of a command: start its guard, carry its output, tell it to stop.

use super::folder::Folder;
use super::input::{Command, environment};
use super::wire::{GUARD_ARG, Order, Report, Request, Stdin, line};
use super::{ShellOptions, process};
use crate::output::Output;
use everloop_types::error::{Code, TaskError};
use everloop_types::json::Json;
use everloop_worker::context::{Context, Control, canonical};
use everloop_worker::executor::Stop;
use rustix::process::Signal;
use serde::Serialize;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

/// Bytes that are read of a pipe at once: as many as it holds.
const READ_BYTES: usize = 64 * 1024;
/// How long output is read after the last process has gone, if its end does not show.
const DRAIN: Duration = Duration::from_millis(200);
/// How long a guard may take to end after its socket has closed.
const GUARD_EXIT: Duration = Duration::from_secs(2);
/// What is kept of a grace for the guard's own work: a quarter, and not more than this.
const MARGIN: Duration = Duration::from_millis(500);
/// Grace of a command whose output can't be written any more.
const GRACE_UNHEARD: Duration = Duration::from_secs(2);

/// Outcome of the step. Its fields stand in the order of their names.
#[derive(Serialize)]
struct Outcome {
    duration_ms: u64,
    exit_code: i32,
    stderr_bytes: u64,
    stdout_bytes: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// How it went.
struct Ending {
    /// What the guard said; nothing if it was killed.
    report: Option<Report>,
    /// Since the command was started.
    duration: Duration,
}

/// Runs a command to its end.
pub(super) async fn run(
    context: &Context,
    options: &ShellOptions,
    command: &Command,
) -> Result<Json, TaskError> {
    let assignment = context.assignment();
    let internal = |what: &str, error: io::Error| TaskError::new(Code::Internal, format!("{what}: {error}"));
    let not_made = |error| {
        let root = options.workspace_root.display();
        internal(&format!("no working directory can be made in {root}"), error)
    };
    let name = format!("{}-{}", assignment.task, assignment.attempt);
    let mut folder = Folder::make(&options.workspace_root, &name).map_err(not_made)?;
    let work = match command.cwd {
        Some(_) => None,
        None => Some(folder.make_work().map_err(not_made)?),
    };
    let env = environment(&command.env, work.as_deref());
    let request = Request {
        folder: folder.path().to_owned(),
        argv: command.argv.clone(),
        cwd: command.cwd.clone().or(work).unwrap_or_default(),
        env,
        stdin: command.stdin.clone().map_or(Stdin::Nothing, Stdin::Text),
        grace_ms: millis(assignment.spec.policy.grace()),
    };
    let (mut guard, socket) = start_guard(options, Stdio::piped())
        .map_err(|error| internal("the guard of the command can't be started", error))?;
    folder.guard_has_it(true);
    let (Some(stdout), Some(stderr)) = (guard.stdout.take(), guard.stderr.take()) else {
        return Err(TaskError::new(Code::Internal, "the guard has no pipes"));
    };
    let (reports, orders) = socket.into_split();
    let (is_over, over) = oneshot::channel();
    let (is_unheard, unheard) = oneshot::channel();
    let mut output = Output::new(context, &["stdout", "stderr"]);
    let supervised = supervise(context, guard, &request, (reports, orders), unheard, is_over);
    // Both are run to their end: one that is dropped might be writing events.
    let (ending, carried) = tokio::join!(supervised, carry(&mut output, stdout, stderr, over, is_unheard));
    let ending = ending.map_err(|error| internal("the guard of the command can't be understood", error))?;
    folder.guard_has_it(ending.report.is_some());
    carried.map_err(crate::step_error)?;
    conclude(&ending, &output)
}

fn conclude(ending: &Ending, output: &Output<'_>) -> Result<Json, TaskError> {
    #[derive(Serialize)]
    struct ByCode {
        exit_code: i32,
    }
    #[derive(Serialize)]
    struct BySignal {
        signal: i32,
    }
    let lost = Report::Killed { signal: Signal::KILL.as_raw() };
    let report = ending.report.as_ref().unwrap_or(&lost);
    match report {
        Report::Exited { code: 0 } => {
            let outcome = Outcome {
                duration_ms: millis(ending.duration),
                exit_code: 0,
                stderr_bytes: output.read(1),
                stdout_bytes: output.read(0),
                truncated: output.is_truncated(),
            };
            canonical(&outcome).map_err(crate::step_error)
        }
        Report::Exited { code } => {
            let words = format!("the command ended with code {code}");
            Err(crate::with_details(Code::ExitStatus, words, &ByCode { exit_code: *code }))
        }
        Report::Killed { signal } => {
            let words = format!("the command was ended by {}", process::signal_name(*signal));
            Err(crate::with_details(Code::ExitSignal, words, &BySignal { signal: *signal }))
        }
        Report::NotStarted { message } => Err(TaskError::new(Code::CommandNotStarted, message.clone())),
        Report::Started => Err(TaskError::new(Code::Internal, "the guard of the command was lost")),
    }
}

/// Starts a guard, with a socket as its standard input, and as its standard output what is to be the command's. When the socket
/// is dropped, the guard ends everything it holds.
#[expect(
    clippy::disallowed_methods,
    reason = "commands are this executor's work, and the guard is how they are started"
)]
pub(crate) fn start_guard(options: &ShellOptions, stdout: Stdio) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let guard = tokio::process::Command::new(&options.guard)
        .arg0("everloop")
        .arg(GUARD_ARG)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()?;
    Ok((guard, UnixStream::from_std(ours)?))
}

/// Tells the guard what to run and when to stop, and hears how the command has ended. Returns when everything is gone.
async fn supervise(
    context: &Context,
    mut guard: Child,
    request: &Request,
    (reports, mut orders): (OwnedReadHalf, OwnedWriteHalf),
    unheard: oneshot::Receiver<()>,
    is_over: oneshot::Sender<()>,
) -> io::Result<Ending> {
    let session = guard.id().and_then(|id| i32::try_from(id).ok());
    let mut reports = BufReader::new(reports).lines();
    let mut ending: Option<Ending> = None;
    let mut started = Instant::now();
    let mut is_told = false;
    let mut unheard = Some(unheard);
    // A guard that can't be started to the end has closed its socket: that shows when it is read.
    let _ = orders.write_all(&line(request)?).await;
    loop {
        tokio::select! {
            report = reports.next_line() => match report {
                Ok(Some(text)) => match serde_json::from_str(&text)? {
                    Report::Started => started = Instant::now(),
                    report => ending = Some(Ending { report: Some(report), duration: started.elapsed() }),
                },
                Ok(None) | Err(_) => break,
            },
            control = context.stopped(), if !is_told => {
                is_told = true;
                tell(&mut orders, grace_of(control)).await;
            }
            broken = async { match unheard.as_mut() { Some(unheard) => unheard.await, None => std::future::pending().await } } => {
                unheard = None;
                // Dropped without a word, the output has come to its end.
                if broken.is_ok() {
                    tell(&mut orders, GRACE_UNHEARD).await;
                }
            }
        }
    }
    // Ours has to be reaped by us; killed, if it hangs, or if it was stopped in its last step.
    if timeout(GUARD_EXIT, guard.wait()).await.is_err() {
        let _ = guard.kill().await;
    }
    if ending.is_none()
        && let Some(session) = session
    {
        // Somebody has killed the guard. Its id stays taken while its session has members.
        for left in process::session_members(session) {
            process::signal(left.pid, Signal::KILL);
        }
    }
    let _ = is_over.send(());
    Ok(ending.unwrap_or_else(|| Ending { report: None, duration: started.elapsed() }))
}

async fn tell(orders: &mut OwnedWriteHalf, grace: Duration) {
    // A guard that does not take it is about to end.
    if let Ok(order) = line(&Order::Stop { grace_ms: millis(grace) }) {
        let _ = orders.write_all(&order).await;
    }
}

/// What of a grace the command gets: the guard's own work has to be done before the attempt is dropped.
fn grace_of(control: Control) -> Duration {
    match control {
        Control::Cancel { grace } | Control::Timeout { grace } => grace - MARGIN.min(grace / 4),
        Control::Run | Control::Pause | Control::HandBack | Control::Lost => Duration::ZERO,
    }
}

/// Carries output into the stream until both pipes have come to their end, or everything is gone.
async fn carry(
    output: &mut Output<'_>,
    mut stdout: impl AsyncRead + Unpin,
    mut stderr: impl AsyncRead + Unpin,
    mut over: oneshot::Receiver<()>,
    is_unheard: oneshot::Sender<()>,
) -> Result<(), Stop> {
    let (mut from_stdout, mut from_stderr) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let (mut out_open, mut err_open) = (true, true);
    let mut deadline = None;
    while out_open || err_open {
        let due = output.due();
        let read = tokio::select! {
            many = stdout.read(&mut from_stdout), if out_open => {
                let many = many.unwrap_or(0);
                out_open = many > 0;
                output.push(0, &from_stdout[..many])
            }
            many = stderr.read(&mut from_stderr), if err_open => {
                let many = many.unwrap_or(0);
                err_open = many > 0;
                output.push(1, &from_stderr[..many])
            }
            () = at(due) => {
                output.write_due();
                continue;
            }
            _ = &mut over, if deadline.is_none() => {
                deadline = Some(Instant::now() + DRAIN);
                continue;
            }
            () = at(deadline) => break,
        };
        if let Err(stop) = read.await {
            // Nobody takes what the command says: it is ended, and heard out.
            let _ = is_unheard.send(());
            if deadline.is_none() {
                let _ = over.await;
            }
            return Err(stop);
        }
    }
    output.finish();
    Ok(())
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
