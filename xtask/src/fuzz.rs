//! `cargo xtask fuzz`: libFuzzer over whatever reads bytes of others. The targets are in `fuzz/`, a workspace of its own.

use crate::process::{has_cargo_tool, root, succeed, target};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::Instant;

/// The targets, with what they begin with beside `fuzz/seeds`.
const TARGETS: &[(&str, Option<&str>)] = &[
    ("events", Some("docs/vectors")),
    ("canonical", Some("docs/vectors")),
    ("receipts", None),
    ("cursor", None),
    ("config", None),
    ("archive", None),
];
/// Version of cargo-fuzz.
const CARGO_FUZZ: &str = "0.13.2";
/// For each target, in the lane.
const LANE_SECONDS: u64 = 20;
/// An input that takes longer is a finding, too.
const INPUT_SECONDS: u64 = 5;
/// Of memory.
const MEGABYTES: u64 = 1024;

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let (mut seconds, mut only) = (LANE_SECONDS, None);
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    while let Some(flag) = args.next() {
        let value = args.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--seconds" => seconds = value.parse().with_context(|| format!("{flag} {value} is no number"))?,
            "--only" => only = Some(value),
            _ => bail!("`cargo xtask fuzz` takes --seconds N and --only TARGET, and no {flag}"),
        }
    }
    check(seconds, only.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the lane.
pub(crate) fn lane() -> Result<()> {
    check(LANE_SECONDS, None)
}

fn check(seconds: u64, only: Option<&str>) -> Result<()> {
    let chosen: Vec<_> =
        TARGETS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).copied().collect();
    if chosen.is_empty() {
        let known: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        bail!("there is no such target; there are {}", known.join(", "));
    }
    let begun = Instant::now();
    let programs = build()?;
    println!("the targets were built in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let at_once = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let mut failed = Vec::new();
    for some in chosen.chunks(at_once) {
        let runs = some.iter().map(|(name, seeds)| Run::start(&programs, name, *seeds, seconds));
        for run in runs.collect::<Result<Vec<_>>>()? {
            failed.extend(run.finish()?);
        }
    }
    println!("fuzzing took {:.1} s", begun.elapsed().as_secs_f64());
    ensure!(failed.is_empty(), "something was found by {}", failed.join(", "));
    Ok(())
}

/// Builds the targets, and answers the folder that they are in.
fn build() -> Result<PathBuf> {
    let tools = target().join("tools/cargo");
    if !has_cargo_tool("fuzz") && !tools.join("bin/cargo-fuzz").is_file() {
        let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        install.args(["install", "cargo-fuzz", "--quiet", "--locked", "--version", CARGO_FUZZ, "--root"]);
        succeed(install.arg(&tools)).context("cargo-fuzz could not be installed")?;
    }
    let folder = target().join("fuzz");
    let mut path = OsString::from(tools.join("bin"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    // A sanitizer needs a nightly compiler, and looks for faults that code without `unsafe` does not have.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["fuzz", "build", "--sanitizer", "none", "--target-dir"]).arg(&folder);
    succeed(cargo.current_dir(root()).env("PATH", path).env_remove("CARGO_TARGET_DIR"))?;
    // cargo-fuzz names the machine, and builds for no other.
    let mut built = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path().join("release")));
    built.find(|path| path.join(TARGETS[0].0).is_file()).context("cargo-fuzz built no targets")
}

/// A target that runs.
struct Run {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Run {
    fn start(programs: &Path, name: &'static str, seeds: Option<&str>, seconds: u64) -> Result<Self> {
        let folder = target().join("fuzz/runs").join(name);
        let corpus = folder.join("corpus");
        std::fs::create_dir_all(&corpus)?;
        let log = folder.join("log");
        let mut run = Command::new(programs.join(name));
        run.current_dir(root()).arg(&corpus);
        let own = Some(format!("fuzz/seeds/{name}")).filter(|own| root().join(own).is_dir());
        run.args(own).args(seeds);
        run.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={INPUT_SECONDS}"));
        run.arg(format!("-rss_limit_mb={MEGABYTES}")).args(["-max_len=16384", "-print_final_stats=1"]);
        run.arg(format!("-artifact_prefix={}/", folder.display()));
        let child = run.stderr(std::fs::File::create(&log)?).spawn();
        Ok(Self {
            name,
            child: child.with_context(|| format!("the target {name} could not be started"))?,
            log,
        })
    }

    /// Waits for it, and answers its name if it found something.
    fn finish(mut self) -> Result<Option<&'static str>> {
        let status = self.child.wait()?;
        let log = String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned();
        let figure = |name: &str| {
            let line = log.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().parse::<u64>().ok()
        };
        let runs = figure("stat::number_of_executed_units").unwrap_or_default();
        let kept = figure("stat::new_units_added").unwrap_or_default();
        println!("{:>10}  {runs:>9} inputs, {kept} of them new ways through it: {status}", self.name);
        if !status.success() {
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            println!("{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
            return Ok(Some(self.name));
        }
        ensure!(runs > 0, "the target {} ran nothing", self.name);
        Ok(None)
    }
}
