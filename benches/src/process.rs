//! The processes that are measured: the real binary, and this one serving a bare handler.

use anyhow::{Context as _, bail};
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that is killed when it is dropped.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Memory that it has now, in KiB.
    pub(crate) fn rss_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Ends it in peace.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let ended = Command::new("kill").arg(self.0.id().to_string()).status()?;
        anyhow::ensure!(ended.success(), "the server could not be told to stop");
        self.0.wait()?;
        Ok(())
    }
}

/// Starts the server beside this binary over a folder; gives its address.
pub(crate) fn server(folder: &Path, arguments: &[&str]) -> anyhow::Result<(Running, String)> {
    let binary = std::env::current_exe()?.with_file_name("everloop");
    let child = Command::new(&binary)
        .args(["dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| {
            format!("{} can't be started: build it with `cargo build --release`", binary.display())
        })?;
    let mut running = Running(child);
    let announced = folder.join("server.json");
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(&announced).unwrap_or_default();
        // One that was killed leaves its own behind.
        let server: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if server["pid"] == running.0.id() {
            let url = server["url"].as_str().context("server.json names no url")?;
            return Ok((running, url.trim_start_matches("http://").to_owned()));
        }
        if let Some(status) = running.0.try_wait()? {
            bail!("the server ended with {status}");
        }
        if begun.elapsed() > Duration::from_secs(30) {
            bail!("the server did not say where it listens");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts this binary as a bare Axum server; gives its address.
pub(crate) fn bare_axum() -> anyhow::Result<(Running, String)> {
    let mut child = Command::new(std::env::current_exe()?).arg("bare-axum").stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().context("no output")?;
    let running = Running(child);
    let mut line = String::new();
    std::io::BufReader::new(out).read_line(&mut line)?;
    Ok((running, line.trim().to_owned()))
}

/// What the child of [`bare_axum`] does.
pub(crate) fn serve_bare() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let router =
            axum::Router::new().route("/", axum::routing::get(|| async { "{\"state\":\"completed\"}" }));
        axum::serve(listener, router).await?;
        Ok(())
    })
}
