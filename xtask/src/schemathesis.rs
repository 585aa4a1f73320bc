//! `cargo xtask schemathesis`: Schemathesis sends the real program whatever its OpenAPI document allows, and what it forbids.

use crate::examples::{built, start};
use crate::process::{root, succeed};
use crate::venv;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What the lane sends to each operation in the phase that makes examples up; the others have a number of their own.
const LANE_EXAMPLES: u32 = 10;

struct Options {
    examples: u32,
    seed: u32,
}

impl Default for Options {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { examples: LANE_EXAMPLES, seed: now.subsec_nanos() }
    }
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let mut options = Options::default();
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    while let Some(flag) = args.next() {
        let value = args.next().with_context(|| format!("{flag} needs a value"))?;
        let number = value.parse().with_context(|| format!("{flag} {value} is no number"))?;
        match flag.as_str() {
            "--examples" => options.examples = number,
            "--seed" => options.seed = number,
            _ => bail!("`cargo xtask schemathesis` takes --examples N and --seed S, and no {flag}"),
        }
    }
    check(&options)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the lane.
pub(crate) fn lane() -> Result<()> {
    check(&Options::default())
}

fn check(options: &Options) -> Result<()> {
    let home = venv::install("schemathesis", &root().join("xtask/schemathesis/requirements.txt"))?;
    let everloop = built()?;
    let folder = tempfile::tempdir()?;
    let mut server = start(&everloop, folder.path())?;
    let (examples, seed) = (options.examples.to_string(), options.seed.to_string());
    println!("to run this again: cargo xtask schemathesis --examples {examples} --seed {seed}");
    let begun = Instant::now();
    let mut run = Command::new(home.join("bin/schemathesis"));
    run.current_dir(folder.path())
        .arg("--config-file")
        .arg(root().join("xtask/schemathesis/schemathesis.toml"));
    run.args(["run", &format!("{}/api/v1/openapi.json", server.url), "--no-color"]);
    run.args(["--phases", "examples,coverage,fuzzing,stateful"]);
    run.args(["--max-examples", &examples, "--seed", &seed]);
    let verdict = succeed(&mut run);
    println!("Schemathesis took {:.1} s", begun.elapsed().as_secs_f64());
    let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap_or_default();
    if verdict.is_err() || log.contains("panicked") {
        println!("the server's log:\n{log}");
    }
    ensure!(!log.contains("panicked"), "the server panicked");
    ensure!(server.child.try_wait()?.is_none(), "the server ended");
    verdict
}
