//! A folder of its own for each test, servers in it, and the program run there.
#![expect(clippy::disallowed_methods, reason = "the tests run the program and look at its files")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a condition may take to come true before a test fails. No test waits for time to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place where the program runs: a folder, a home, a list of servers, and nothing of the machine around it.
pub(crate) struct Place {
    root: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// That of a command that has to succeed.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.trim_end().to_owned()
    }

    /// One JSON value on standard output.
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

/// Looks again and again until there is something to see.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("everloop-it-").tempdir().unwrap();
        for folder in ["here", "home"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    /// The folder that commands run in.
    pub(crate) fn here(&self) -> PathBuf {
        self.root.path().join("here")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everloop"));
        command
            .args(arguments)
            .current_dir(self.here())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path().join("home"))
            .env("XDG_STATE_HOME", self.root.path().join("state"))
            .env("TMPDIR", self.root.path())
            // Only servers of this folder: others may run on this machine.
            .env("EVERLOOP_DATA_DIR", ".everloop")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(&mut self.command(arguments))
    }

    /// Starts a server here and waits until it can be talked to.
    pub(crate) fn server(&self, arguments: &[&str]) -> Server {
        let mut all = vec!["dev"];
        if !arguments.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        all.extend(arguments);
        self.background(&all, |child| {
            let text = std::fs::read_to_string(self.here().join(".everloop/server.json")).ok()?;
            let server: Value = serde_json::from_str(&text).ok()?;
            (server["pid"] == child.id()).then(|| server["url"].as_str().unwrap().to_owned())
        })
    }

    /// Starts something and waits until it is ready.
    pub(crate) fn background(&self, arguments: &[&str], ready: impl Fn(&Child) -> Option<String>) -> Server {
        let log = std::fs::File::create(self.here().join(format!("{}.log", arguments[0]))).unwrap();
        let mut child = self.command(arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let url = eventually("the start", || {
            assert_eq!(child.try_wait().unwrap(), None, "{}", self.log(arguments[0]));
            ready(&child)
        });
        Server { child, url }
    }

    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.here().join(format!("{name}.log"))).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.here().join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.here().join(name)).unwrap()
    }

    pub(crate) fn read_if_there(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.here().join(name)).ok()
    }

    /// What is different in every run, by one word each.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut out = text.replace(self.root.path().to_str().unwrap(), "[ROOT]");
        for (prefix, word) in [("task_", "[TASK]"), ("pid ", "pid [PID]"), ("127.0.0.1:", "127.0.0.1:[PORT]")]
        {
            let mut rest = std::mem::take(&mut out);
            while let Some(at) = rest.find(prefix) {
                let tail = &rest[at + prefix.len()..];
                let length = tail.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tail.len());
                // A placeholder is no id.
                let is_port = prefix != "task_" && length > 0 && &tail[..length] != "7420";
                let is_real = length == 26 || is_port;
                out.push_str(&rest[..at]);
                out.push_str(if is_real { word } else { &rest[at..at + prefix.len() + length] });
                rest = tail[length..].to_owned();
            }
            out.push_str(&rest);
        }
        out
    }
}

/// Runs a command to its end.
pub(crate) fn said(command: &mut Command) -> Said {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let (ended, waiting) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        // A command that goes on for too long is a failure, not a test that hangs.
        if waiting.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    watchdog.join().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A process in the background, killed at the end of the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Server {
    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its end in peace.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = eventually("the end of the server", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers to the plainest request there is.
pub(crate) fn get(url: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}")).1.to_owned()
}

/// Lines of a file, none where it isn't there.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
