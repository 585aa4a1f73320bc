//! A server for a while: a child process of the same program, for commands that find none running.

use crate::discover::{ServerFile, read_key, read_server};
use crate::error::ClientError;
use crate::{Client, ClientOptions};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How often is looked whether the server is there.
const LOOK: Duration = Duration::from_millis(10);
/// How long a server may take to be there.
const START: Duration = Duration::from_secs(30);
/// How long a server may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(20);

/// Why no server could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process could not be started.
    #[error("the server process could not be started")]
    Spawn(#[source] std::io::Error),
    /// It ended at once.
    #[error("the server stopped at once: {said}")]
    Ended {
        /// Its last words.
        said: String,
    },
    /// It did not come up in time.
    #[error("the server did not answer within {} seconds", START.as_secs())]
    Late,
    /// The program is nowhere.
    #[error(
        "the program `everloop` is not here: build it beside this program, put it on PATH, or name it in EVERLOOP_BIN; or set \
         EVERLOOP_URL to use a server"
    )]
    NoProgram,
    /// It answers, and not as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A server that runs as a child process. Dropping it kills it; [`Embedded::stop`] lets it end in peace.
///
/// Its standard input is a pipe that nobody writes to: when this process dies, however it dies, the pipe closes and the server
/// stops by itself.
#[derive(Debug)]
pub struct Embedded {
    child: Child,
    client: Client,
    log: PathBuf,
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// The program, usually this one.
    pub program: PathBuf,
    /// Its arguments: `dev`, and what else it shall know. `--data-dir` and `--listen` are added.
    pub arguments: Vec<OsString>,
    /// Its data folder.
    pub folder: PathBuf,
    /// Where its log goes.
    pub log: PathBuf,
    /// Runs it apart: in this folder, with its list of servers there, and without any setting of this process's environment.
    pub apart: Option<PathBuf>,
}

impl Embedded {
    /// Starts a server and waits until it answers. The address and key of `options` are put in.
    ///
    /// # Errors
    /// Why there is no server.
    #[expect(clippy::disallowed_methods, reason = "starting this process is what this module is for")]
    pub async fn start(start: &StartOptions, options: ClientOptions) -> Result<Self, StartError> {
        if let Some(folder) = start.log.parent() {
            std::fs::create_dir_all(folder).map_err(StartError::Spawn)?;
        }
        let log = std::fs::File::create(&start.log).map_err(StartError::Spawn)?;
        let mut command = Command::new(&start.program);
        if let Some(folder) = &start.apart {
            for (name, _) in
                std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EVERLOOP_"))
            {
                command.env_remove(name);
            }
            command.current_dir(folder).env("XDG_STATE_HOME", folder);
        }
        let mut child = command
            .args(&start.arguments)
            .arg("--data-dir")
            .arg(&start.folder)
            .args(["--listen", "127.0.0.1:0", "--with-parent"])
            // What the terminal says to us, it does not say to the server.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(StartError::Spawn)?;
        let looks = START.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            if let Some(server) = read_server(&start.folder).filter(|server| server.pid == child.id()) {
                let client = connect(&server, &start.folder, &options)?;
                if client.about().await.is_ok() {
                    return Ok(Self { child, client, log: start.log.clone() });
                }
            }
            if child.try_wait().map_err(StartError::Spawn)?.is_some() {
                return Err(StartError::Ended { said: last_words(&start.log) });
            }
            tokio::time::sleep(LOOK).await;
        }
        // Nobody else knows of it.
        let _ = child.kill().and_then(|()| child.wait());
        Err(StartError::Late)
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL: it learns nothing of its end.
    ///
    /// # Errors
    /// If it could not be waited for.
    pub fn kill(mut self) -> std::io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks it to stop, waits for that, and kills it where that takes too long.
    ///
    /// # Errors
    /// If it could not be waited for.
    pub async fn stop(mut self) -> std::io::Result<ExitStatus> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // A process that has ended already needs no signal.
            let _ = kill_process(pid, Signal::TERM);
        }
        let looks = STOP.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(LOOK).await;
        }
        self.child.kill()?;
        self.child.wait()
    }

    /// Where its log is.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // There is nobody left to tell.
            let _ = self.child.kill().and_then(|()| self.child.wait());
        }
    }
}

fn connect(server: &ServerFile, folder: &Path, options: &ClientOptions) -> Result<Client, ClientError> {
    Client::new(ClientOptions { url: server.url.clone(), api_key: read_key(folder), ..options.clone() })
}

/// What a server said before it stopped, without the form of our errors around it.
#[expect(clippy::disallowed_methods, reason = "its log is read once")]
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let start =
        lines.iter().rposition(|line| line.starts_with("error:")).unwrap_or(lines.len().saturating_sub(1));
    let said = lines.get(start..).unwrap_or_default().join("\n");
    said.strip_prefix("error: ").map(str::to_owned).unwrap_or(said)
}
