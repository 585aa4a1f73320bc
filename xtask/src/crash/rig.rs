//! The server under test: the real program, started, killed and started again on the same folder.

use super::oracle::address;
use crate::process::{cargo, root, succeed};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a start may take until the server answers.
const START_MAX: Duration = Duration::from_secs(60);
/// How long it may take to stop when asked.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(2);

/// What is put round a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    /// What the shell's `ulimit` is told before the process starts.
    pub(crate) ulimit: Option<String>,
    /// Variables beyond the usual ones.
    pub(crate) env: Vec<(&'static str, OsString)>,
    /// Arguments beyond the usual ones.
    pub(crate) args: Vec<&'static str>,
}

/// What a server is started with.
#[derive(Clone)]
pub(crate) struct Rig {
    binary: PathBuf,
    /// Its data folder.
    pub(crate) data: PathBuf,
    /// Where it writes its log.
    pub(crate) log: PathBuf,
    home: PathBuf,
    database_url: Option<String>,
}

impl Rig {
    /// Builds the program and copies it into the folder: a build beside us must not exchange it in the middle of a run.
    pub(crate) fn build(folder: &Path, database_url: Option<String>) -> Result<Self> {
        succeed(&mut cargo(&["build", "--quiet", "--package", "everloop"]))?;
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cargo metadata")?;
        let built = metadata.target_directory.join("debug").join("everloop");
        let binary = folder.join("everloop");
        std::fs::copy(&built, &binary).with_context(|| format!("{built} can't be copied"))?;
        let home = folder.join("home");
        std::fs::create_dir_all(&home)?;
        Ok(Self { binary, data: folder.join("data"), log: folder.join("server.log"), home, database_url })
    }

    /// Starts a server. It stops by itself when its input closes, so that none outlives us.
    pub(crate) fn start(&self) -> Result<Running> {
        self.start_in(&Around::default())
    }

    /// The same in surroundings of one's own.
    pub(crate) fn start_in(&self, around: &Around) -> Result<Running> {
        let mut command = self.command(around);
        command.args(["serve", "--with-parent", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&self.data);
        if let Some(url) = &self.database_url {
            command.args(["--database-url", url]);
        }
        self.spawn(command.args(&around.args))
    }

    /// Starts a worker for the server of the data folder, as it listens now.
    pub(crate) fn start_worker(&self, name: &str) -> Result<Running> {
        let mut command = self.command(&Around::default());
        command
            .args(["worker", "--slots", "16", "--name", name])
            .env("EVERLOOP_URL", format!("http://{}", address(&self.data)?))
            .env("EVERLOOP_API_KEY_FILE", self.data.join("api-key"));
        self.spawn(&mut command)
    }

    fn command(&self, around: &Around) -> Command {
        let mut command = match &around.ulimit {
            None => Command::new(&self.binary),
            Some(limit) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]).arg(&self.binary);
                command
            }
        };
        command
            .env("HOME", &self.home)
            .env("XDG_STATE_HOME", &self.home)
            .envs(around.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.home);
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Running> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let process = command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the program could not be started")?;
        Ok(Running { process, since: Instant::now() })
    }

    /// Waits until it answers that it is ready.
    pub(crate) fn wait_until_ready(&self, running: &mut Running) -> Result<()> {
        let start = Instant::now();
        while !self.is_ready(running) {
            if let Some(status) = running.process.try_wait()? {
                bail!("the server ended with {status} instead of starting\n{}", self.log_tail());
            }
            if start.elapsed() > START_MAX {
                bail!("the server was not ready after {} s\n{}", START_MAX.as_secs(), self.log_tail());
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// Whether it answers that it is ready.
    pub(crate) fn is_ready(&self, running: &Running) -> bool {
        let file = std::fs::read_to_string(self.data.join("server.json")).unwrap_or_default();
        let told: serde_json::Value = serde_json::from_str(&file).unwrap_or_default();
        told["pid"] == running.id() && self.ready_answer().unwrap_or(false)
    }

    fn ready_answer(&self) -> Result<bool> {
        let mut stream = TcpStream::connect(address(&self.data)?)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"HTTP/1.1 200")
    }

    /// What the server wrote: everything, from all its lives.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of it.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A server. Dropping it kills it.
pub(crate) struct Running {
    process: Child,
    since: Instant,
}

impl Running {
    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(pid.context("the process has no id")?, signal)?;
        Ok(())
    }

    /// How it ended; none while it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Kills it at once, from outside: nothing of it gets to say a word. Fails if it had ended by itself before.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.kill_now()
    }

    /// The same of one that is replaced by another.
    pub(crate) fn kill_now(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the server ended by itself with {status}");
        }
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                if !status.success() {
                    bail!("the server ended with {status} when it was asked to stop");
                }
                return Ok(());
            }
            if start.elapsed() > STOP_MAX {
                bail!("the server did not stop within {} s when it was asked to", STOP_MAX.as_secs());
            }
            sleep(LOOK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
