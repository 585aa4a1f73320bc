//! One private server: a fresh cluster with real fsync in a temporary folder, on a free port of the loopback.

use super::{Binaries, Owner};
use crate::process::output;
use anyhow::{Context, Result, bail};
use rustix::process::Pid;
use std::fs::{DirBuilder, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take. A fresh cluster needs less than a second; a busy machine more.
const START_MAX: Duration = Duration::from_secs(60);
/// Somebody may take the free port before the server does: so often one is tried.
const PORTS_TRIED: u32 = 5;

/// What differs from PostgreSQL's defaults. The first three are its defaults, said aloud: what the tests show about lost
/// power holds only with them.
const SETTINGS: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "listen_addresses=127.0.0.1",
    "unix_socket_permissions=0700",
    "max_connections=200",
    "timezone=UTC",
    "log_min_messages=warning",
];

/// A running server. Dropping it kills it; [`Server::stop`] is the polite way. Either removes its folder.
pub(super) struct Server {
    process: Process,
    cluster: Cluster,
    port: u16,
}

impl Server {
    /// Makes a cluster and starts it; the server takes connections when this returns.
    pub(super) fn start(binaries: &Binaries, owner: &Owner) -> Result<Self> {
        let cluster = Cluster::make(binaries, owner)?;
        let mut tried = 1;
        loop {
            let port = free_port()?;
            let mut process = cluster.spawn(port)?;
            match cluster.wait_until_ready(&mut process) {
                Ok(()) => return Ok(Self { process, cluster, port }),
                Err(_) if tried < PORTS_TRIED && cluster.log().contains("could not bind") => tried += 1,
                Err(error) => return Err(error.context(cluster.log())),
            }
        }
    }

    /// Where it is, as a URL.
    pub(super) fn url(&self) -> String {
        format!("postgres://everloop@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills it with everything that belongs to it, as if the machine had gone, and starts it again on the same files and port.
    pub(super) fn crash(&mut self) -> Result<()> {
        let backends = children(self.process.0.id());
        self.process.0.kill()?;
        for pid in &backends {
            // Who has ended by itself meanwhile needs no killing.
            let _ = rustix::process::kill_process(*pid, rustix::process::Signal::KILL);
        }
        self.process.0.wait()?;
        let start = Instant::now();
        loop {
            self.process = self.cluster.spawn(self.port)?;
            match self.cluster.wait_until_ready(&mut self.process) {
                Ok(()) => return Ok(()),
                // A backend that dies slowly holds the old one's shared memory for a moment.
                Err(_) if start.elapsed() < START_MAX => sleep(Duration::from_millis(20)),
                Err(error) => return Err(error.context(self.cluster.log())),
            }
        }
    }

    /// Stops it fast (open transactions are rolled back) and removes its folder.
    pub(super) fn stop(mut self) -> Result<()> {
        let mut pg_ctl = self.cluster.command("pg_ctl");
        pg_ctl.args(["stop", "--pgdata=data", "--mode=fast", "--silent", "--timeout=30"]);
        output(&mut pg_ctl).context("PostgreSQL did not stop when asked, and is killed")?;
        self.process.0.wait()?;
        Ok(())
    }
}

/// The server's own process. Dropping it kills it, if it still runs.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The files of a server.
struct Cluster {
    dir: TempDir,
    binaries: Binaries,
    owner: Owner,
}

impl Cluster {
    fn make(binaries: &Binaries, owner: &Owner) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("everloop-pg-")
            .permissions(Permissions::from_mode(0o711)) // Its user must get through, nobody need look in.
            .tempdir()
            .context("no temporary folder could be made")?;
        for name in ["data", "socket"] {
            let path = dir.path().join(name);
            DirBuilder::new().mode(0o700).create(&path)?;
            owner.take(&path)?;
        }
        let cluster = Self { dir, binaries: binaries.clone(), owner: *owner };
        // The cluster is new: if power fails now there is nothing to lose. The server itself syncs.
        let mut initdb = cluster.command("initdb");
        initdb.args([
            "--pgdata=data",
            "--username=everloop",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        output(&mut initdb).context("no cluster could be made")?;
        Ok(cluster)
    }

    /// One of PostgreSQL's programs, in the folder of this cluster and as its user.
    fn command(&self, program: &str) -> Command {
        let mut command = self.owner.command(self.binaries.dir.join(program));
        command.current_dir(self.dir.path());
        command
    }

    fn spawn(&self, port: u16) -> Result<Process> {
        let log = File::create(self.dir.path().join("log"))?;
        let mut postgres = self.command("postgres");
        postgres.args(["-D", "data", "-p", &port.to_string()]);
        postgres.arg("-k").arg(self.dir.path().join("socket"));
        for setting in SETTINGS {
            postgres.args(["-c", setting]);
        }
        postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Process(postgres.spawn().context("postgres could not be started")?))
    }

    /// The server says in the eighth line of its pid file that it takes connections. One that was killed leaves its file behind.
    fn wait_until_ready(&self, process: &mut Process) -> Result<()> {
        let start = Instant::now();
        let pid_file = self.dir.path().join("data").join("postmaster.pid");
        loop {
            let told = std::fs::read_to_string(&pid_file).unwrap_or_default();
            let ours = told.lines().next().is_some_and(|pid| pid.trim() == process.0.id().to_string());
            if ours && told.lines().nth(7).is_some_and(|status| status.trim() == "ready") {
                return Ok(());
            }
            if let Some(status) = process.0.try_wait()? {
                bail!("PostgreSQL ended with {status} instead of starting");
            }
            if start.elapsed() > START_MAX {
                bail!("PostgreSQL was not ready after {} s", START_MAX.as_secs());
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// What the server wrote.
    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default().trim().to_owned()
    }
}

/// The processes that a process has started, where `/proc` says so.
fn children(of: u32) -> Vec<Pid> {
    let listed = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
