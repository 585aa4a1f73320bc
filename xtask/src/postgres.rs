//! A private PostgreSQL for tests: its own folder, port and, where we are root, its own user.
//!
//! [`Guarded`] is what a test run holds. Behind it stands a second process of ours, the guard, which owns the server and waits
//! for its stdin to close. That happens however the holder ends (done, failed, panicked, Ctrl-C, even SIGKILL), so the server
//! is stopped and its folder removed every time.

mod binaries;
mod install;
mod owner;
mod server;

pub(crate) use binaries::Binaries;

use crate::process::status;
use anyhow::{Context, Result, bail};
use owner::Owner;
use server::Server;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

/// The environment variable that names the server to the tests. Each test makes a database of its own from it.
pub(crate) const URL: &str = "EVERLOOP_TEST_POSTGRES_URL";

/// The hidden subcommand that the guard runs.
pub(crate) const GUARD: &str = "postgres-guard";

/// What the guard is told to do with the server.
const CRASH: &str = "crash";

/// A private server and its guard. Dropping it stops the server and waits until its folder is gone.
pub(crate) struct Guarded {
    guard: Child,
    /// What the guard says.
    out: BufReader<ChildStdout>,
    url: String,
}

impl Guarded {
    /// Starts a server, installing PostgreSQL first where it is missing.
    pub(crate) fn start() -> Result<Self> {
        // Here, and not in the guard, so that an interrupt reaches the package manager.
        Binaries::find_or_install()?;
        let own = std::env::current_exe().context("the path of this program is unknown")?;
        let mut guard = Command::new(own)
            .arg(GUARD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // A Ctrl-C is for the holder; the guard cleans up after it.
            .spawn()
            .context("the guard of PostgreSQL could not be started")?;
        let mut out = BufReader::new(guard.stdout.take().context("the guard of PostgreSQL can't be heard")?);
        let url = said(&mut out)?;
        if url.is_empty() {
            let status = guard.wait().context("the guard of PostgreSQL is gone")?;
            bail!("the private PostgreSQL did not start (the guard ended with {status})");
        }
        Ok(Self { guard, out, url })
    }

    /// Kills the server at once and starts it again on the same files and port; it takes connections when this returns.
    pub(crate) fn crash(&mut self) -> Result<()> {
        let stdin = self.guard.stdin.as_mut().context("the guard of PostgreSQL can't hear")?;
        writeln!(stdin, "{CRASH}").context("the guard of PostgreSQL is gone")?;
        if said(&mut self.out)? != self.url {
            bail!("PostgreSQL did not come back after it was killed");
        }
        Ok(())
    }

    /// `postgres://user@127.0.0.1:port/postgres`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        if let Err(error) = self.guard.wait() {
            eprintln!("the guard of PostgreSQL is gone: {error}");
        }
    }
}

/// The next line of the guard; empty when there is none.
fn said(out: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    out.read_line(&mut line).context("the guard of PostgreSQL can't be heard")?;
    Ok(line.trim().to_owned())
}

/// The guard: starts a server, says where, kills and restarts it when told to, and stops it when stdin closes.
pub(crate) fn guard() -> Result<()> {
    let mut server = Server::start(&Binaries::find()?, &Owner::find_or_make()?)?;
    let mut stdout = std::io::stdout();
    // A holder that is gone already closes stdin too, so its deaf ear is no error of ours.
    let mut told = writeln!(stdout, "{}", server.url()).and_then(|()| stdout.flush());
    let mut lines = std::io::stdin().lock().lines();
    while told.is_ok()
        && let Some(line) = lines.next().transpose().context("stdin of the guard can't be read")?
    {
        if line == CRASH {
            server.crash()?;
            told = writeln!(stdout, "{}", server.url()).and_then(|()| stdout.flush());
        }
    }
    server.stop()
}

/// `cargo xtask postgres [-- CMD…]`
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let command = match args.split_first() {
        None => None,
        Some((dashes, command)) if dashes == "--" => command.split_first(),
        Some((first, _)) => {
            bail!("write `cargo xtask postgres -- CMD…`, with the two dashes before {first:?}")
        }
    };
    let server = Guarded::start()?;
    let Some((program, args)) = command else {
        println!("export {URL}={}", server.url());
        eprintln!("PostgreSQL runs until Ctrl-C.");
        loop {
            std::thread::park();
        }
    };
    let ended = status(Command::new(program).args(args).env(URL, server.url()))?;
    let code = ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
