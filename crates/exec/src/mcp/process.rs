//! One process of a server that the operator has named, for one exchange.
//!
//! A guard holds it, as it holds a command: nothing of it outlives this server, however either of them ends.

use super::servers::Program;
use crate::shell::{
    Folder, Order, Report, Request, ShellOptions, Stdin, environment, line, signal_name, start_guard,
};
use everloop_types::error::{Code, TaskError};
use everloop_worker::context::Context;
use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

/// How long a process may take to end by itself, once its input has ended.
const ENDS: Duration = Duration::from_secs(1);
/// How long it may clean up when it is asked to end; then it is killed.
const GRACE_MS: u64 = 1_000;
/// How long its guard may take for all that.
const GUARD: Duration = Duration::from_secs(3);

/// A process. When it is dropped, its guard ends it.
pub(super) struct Process {
    guard: Child,
    reports: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
    stderr: ChildStderr,
    /// What it said on standard error.
    said: Vec<u8>,
    /// How much of that is kept.
    room: usize,
    is_cut: bool,
}

/// How a process ended, and what it left to be told.
pub(super) struct Ended {
    /// What it said on standard error.
    pub(super) said: Vec<u8>,
    /// Whether it said more than that.
    pub(super) is_cut: bool,
    /// How it ended, in words, where it did not end well.
    pub(super) how: Option<String>,
}

impl Process {
    /// Starts a program. Gives the process, and the socket that is its standard input and output.
    pub(super) async fn start(
        context: &Context,
        options: &ShellOptions,
        program: &Program,
        room: usize,
    ) -> Result<(Self, UnixStream), TaskError> {
        let assignment = context.assignment();
        let name = format!("{}-{}", assignment.task, assignment.attempt);
        let not_made = |error| broken("no working directory can be made", error);
        let mut folder = Folder::make(&options.workspace_root, &name).map_err(not_made)?;
        let work = folder.make_work().map_err(not_made)?;
        let (socket, theirs) = pair().map_err(|error| broken("there is no socket for it", error))?;
        let unguarded = |error| broken("its guard can't be started", error);
        let (mut guard, control) = start_guard(options, OwnedFd::from(theirs).into()).map_err(unguarded)?;
        folder.guard_has_it(true);
        let stderr = guard.stderr.take().ok_or_else(|| broken("its guard", "it has no pipes"))?;
        let (reports, mut orders) = control.into_split();
        let mut argv = vec![program.command.clone()];
        argv.extend(program.args.iter().cloned());
        let env = environment(&program.env, Some(&work));
        let request = Request {
            folder: folder.path().to_owned(),
            argv,
            cwd: work,
            env,
            stdin: Stdin::Stdout,
            grace_ms: GRACE_MS,
        };
        orders.write_all(&line(&request).map_err(unguarded)?).await.map_err(unguarded)?;
        let mut reports = BufReader::new(reports).lines();
        match report(&mut reports).await {
            Some(Report::NotStarted { message }) => Err(TaskError::new(Code::CommandNotStarted, message)),
            Some(_) => {
                Ok((Self { guard, reports, orders, stderr, said: Vec::new(), room, is_cut: false }, socket))
            }
            None => Err(unguarded(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Reads what it says on standard error, for as long as it can say anything.
    pub(super) async fn listen(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(many @ 1..) = self.stderr.read(&mut buffer).await {
            let kept = many.min(self.room - self.said.len());
            self.said.extend_from_slice(&buffer[..kept]);
            self.is_cut |= kept < many;
        }
    }

    /// Waits for its end, which is near: its input has ended. What takes too long is ended.
    pub(super) async fn end(mut self) -> Ended {
        let _ = timeout(ENDS, self.listen()).await;
        // A guard that is gone needs no order.
        if let Ok(order) = line(&Order::Stop { grace_ms: GRACE_MS }) {
            let _ = self.orders.write_all(&order).await;
        }
        let mut last = None;
        let ended = async {
            while let Some(report) = report(&mut self.reports).await {
                last = Some(report);
            }
            let _ = self.guard.wait().await;
        };
        if timeout(GUARD, ended).await.is_err() {
            let _ = self.guard.kill().await;
        }
        let how = match last {
            Some(Report::Exited { code: 0 }) => None,
            Some(Report::Exited { code }) => Some(format!("ended with code {code}")),
            Some(Report::Killed { signal }) => Some(format!("was ended by {}", signal_name(signal))),
            Some(Report::Started | Report::NotStarted { .. }) | None => Some("was lost".to_owned()),
        };
        Ended { said: self.said, is_cut: self.is_cut, how }
    }
}

async fn report(reports: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Report> {
    serde_json::from_str(&reports.next_line().await.ok()??).ok()
}

/// A socket of ours, and one for a process.
fn pair() -> io::Result<(UnixStream, std::os::unix::net::UnixStream)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}

fn broken(what: &str, error: impl Display) -> TaskError {
    TaskError::new(Code::Internal, format!("the MCP server can't be started: {what}: {error}"))
}
