//! The lane that runs what the documents show: the verifier, the workers in Python, shell and Rust, and the README's first commands.

use crate::process::{cargo, on_path, output, root, succeed, target};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A server that is killed when it is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the lane.
pub(crate) fn check() -> Result<()> {
    let python = python()?;
    succeed(Command::new(&python).arg("docs/vectors/verify.py").current_dir(root()))?;
    let everloop = built()?;
    let folder = tempfile::tempdir()?;
    let server = start(&everloop, folder.path())?;
    worker(&python, &everloop, &server.url)?;
    shell_worker(&python)?;
    rust_worker(&python)?;
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let section = readme.split("## First steps").nth(1).and_then(|rest| rest.split("## What holds").next());
    let section = section.context("the README has no section `First steps`")?;
    commands("the README", section, &everloop, folder.path(), &server.url)?;
    let operating = std::fs::read_to_string(root().join("docs/operating.md"))?;
    commands("docs/operating.md", &operating, &everloop, folder.path(), &server.url)
}

/// The program, built for debugging.
pub(crate) fn built() -> Result<PathBuf> {
    succeed(&mut cargo(&["build", "-p", "everloop"]))?;
    Ok(target().join("debug/everloop"))
}

pub(crate) fn python() -> Result<PathBuf> {
    if on_path("python3").is_none() && on_path("apt-get").is_some() {
        succeed(Command::new("apt-get").args(["install", "-y", "--no-install-recommends", "python3"]))?;
    }
    on_path("python3").context("python3 is not here and could not be installed; the examples need it")
}

/// Starts a server in dev mode. Its log is `server.log` in the folder.
pub(crate) fn start(everloop: &Path, folder: &Path) -> Result<Server> {
    let data = folder.join(".everloop");
    let mut command = Command::new(everloop);
    command.args(["dev", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
    let child =
        command.env("XDG_STATE_HOME", folder).stderr(File::create(folder.join("server.log"))?).spawn()?;
    let mut server = Server { child, url: String::new() };
    let begun = Instant::now();
    while server.url.is_empty() {
        if let Ok(text) = std::fs::read_to_string(data.join("server.json")) {
            server.url = serde_json::from_str::<Value>(&text)?["url"].as_str().context("no url")?.to_owned();
        } else if let Some(status) = server.child.try_wait()? {
            bail!("the server ended with {status}");
        }
        ensure!(begun.elapsed() < Duration::from_secs(30), "the server did not say where it listens");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

/// `examples/worker.py` registers its kind and does one task of it.
fn worker(python: &Path, everloop: &Path, url: &str) -> Result<()> {
    let mut worker = Command::new(python);
    worker.args(["examples/worker.py", "--once"]).current_dir(root()).env("EVERLOOP_URL", url);
    let mut worker = Server { child: worker.spawn()?, url: String::new() };
    let input = r#"{"lines":["one two","three"]}"#;
    let begun = Instant::now();
    // The kind is unknown until the worker has registered.
    let task = loop {
        let mut start = Command::new(everloop);
        start.args([
            "--json",
            "task",
            "start",
            "py.wordcount",
            "--key",
            "words",
            "--wait",
            "30s",
            "--input",
            input,
        ]);
        match output(start.env("EVERLOOP_URL", url)) {
            Ok(text) => break serde_json::from_str::<Value>(&text)?,
            Err(error) if begun.elapsed() > Duration::from_secs(30) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    ensure!(task["result"]["words"] == 3, "examples/worker.py gave {task}");
    let status = worker.child.wait()?;
    ensure!(status.success(), "examples/worker.py ended with {status}");
    Ok(())
}

/// `examples/worker-sh` passes the core of the conformance kit.
fn shell_worker(python: &Path) -> Result<()> {
    for tool in ["curl", "jq"] {
        if on_path(tool).is_none() && on_path("apt-get").is_some() {
            succeed(Command::new("apt-get").args(["install", "-y", "--no-install-recommends", tool]))?;
        }
        on_path(tool).with_context(|| {
            format!("{tool} is not here and could not be installed; examples/worker-sh needs it")
        })?;
    }
    kit(python, &["--profile", "core", "--", "examples/worker-sh"])
}

/// `crates/app/examples/conformance.rs` passes the conformance kit.
fn rust_worker(python: &Path) -> Result<()> {
    succeed(&mut cargo(&["build", "-p", "everloop", "--example", "conformance"]))?;
    let worker = target().join("debug/examples/conformance");
    kit(python, &["--", &worker.to_string_lossy()])
}

/// Runs the conformance kit.
pub(crate) fn kit(python: &Path, args: &[&str]) -> Result<()> {
    succeed(Command::new(python).arg("sdks/conformance/kit.py").args(args).current_dir(root()))
}

/// The commands that a document shows, but for those that build.
fn commands(name: &str, text: &str, everloop: &Path, folder: &Path, url: &str) -> Result<()> {
    let mut ran = 0;
    for block in text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        if block.contains("cargo install") {
            continue;
        }
        let script = block.replace("http://127.0.0.1:7420", url).replace("make -j2", "true");
        let mut path = std::ffi::OsString::from(everloop.parent().context("no folder")?);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-euc", &script]).current_dir(folder).env("PATH", path).env("XDG_STATE_HOME", folder);
        succeed(&mut shell).with_context(|| format!("{name} says\n{script}"))?;
        ran += 1;
    }
    ensure!(ran >= 2, "{name} shows only {ran} blocks of commands");
    Ok(())
}
