//! Looks for a planted bug, with the simulation or with a test.

use super::scratch::Scratch;
use crate::process::{output, status};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The test that runs one seed after the other, and says which rule is broken.
const TEST: &str = "sim::seeds::many_seeds";
/// A seed that takes more of the processor does not come to its end.
const LONGEST: Duration = Duration::from_secs(180);

/// What became of a bug.
pub(super) enum Verdict {
    /// A rule broke: the seed, the rule, and the seconds without building.
    Found { seed: u64, rule: String, took: Duration },
    /// So many seeds broke no rule.
    Missed { seeds: u64, took: Duration },
    /// A test failed, or did not.
    Test { failed: bool, command: String },
}

impl Verdict {
    pub(super) fn is_found(&self) -> bool {
        match self {
            Self::Found { .. } => true,
            Self::Missed { .. } => false,
            Self::Test { failed, .. } => *failed,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { seed, rule, took } => {
                write!(f, "found by seed {seed} after {:.1} s: {rule}", took.as_secs_f64())
            }
            Self::Missed { seeds, took } => {
                write!(f, "NOT FOUND by {seeds} seeds in {:.0} s", took.as_secs_f64())
            }
            Self::Test { failed: true, command } => write!(f, "found by `{command}`"),
            Self::Test { failed: false, command } => write!(f, "NOT FOUND by `{command}`"),
        }
    }
}

/// Builds the simulation and runs seeds from 1 on, each in a process of its own, until one breaks a rule.
pub(super) fn simulate(scratch: &Scratch, seeds: u64) -> Result<Verdict> {
    let program = build(scratch)?;
    let began = Instant::now();
    let next = AtomicU64::new(1);
    let found: Mutex<Option<(u64, String)>> = Mutex::default();
    let lock = || found.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || -> Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // A smaller seed that still runs may find it too: it is the one that counts.
            if seed > seeds || lock().is_some() {
                return Ok(());
            }
            if let Some(rule) = run_seed(scratch, &program, seed)? {
                let mut found = lock();
                if found.as_ref().is_none_or(|(first, _)| *first > seed) {
                    *found = Some((seed, rule));
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(worked) => worked,
            Err(_) => bail!("a thread of this tool panicked"),
        })
    })?;
    let took = began.elapsed();
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(match found {
        Some((seed, rule)) => Verdict::Found { seed, rule, took },
        None => Verdict::Missed { seeds, took },
    })
}

/// Builds the test binary that the simulation is in, and nothing else.
fn build(scratch: &Scratch) -> Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = scratch.command(&cargo);
    build.args(["test", "--quiet", "--package", "everloop-engine", "--test", "it", "--no-run"]);
    let said = output(build.args(["--message-format", "json"]))
        .context("the sources with the bug can't be built")?;
    let artifacts = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs =
        artifacts.filter_map(|artifact| Some(artifact.get("executable")?.as_str()?.to_owned()));
    programs.next().map(PathBuf::from).context("cargo named no test binary")
}

/// Runs a seed; gives the rule that it breaks.
fn run_seed(scratch: &Scratch, program: &Path, seed: u64) -> Result<Option<String>> {
    let log = scratch.log(seed);
    let mut run = Command::new(program);
    run.args([TEST, "--ignored", "--exact", "--nocapture"]).current_dir(scratch.tree.join("crates/engine"));
    run.env("EVERLOOP_SIM_SEED", seed.to_string()).env("EVERLOOP_SIM_SEEDS", "1");
    let output = std::fs::File::create(&log)?;
    run.stderr(output.try_clone()?).stdout(output);
    let mut child = run.spawn().with_context(|| format!("{} could not be started", program.display()))?;
    // Of the processor, not of the clock: a machine that is busy with other things makes no difference.
    let limit = Rlimit { current: Some(LONGEST.as_secs()), maximum: Some(LONGEST.as_secs()) };
    prlimit(Some(Pid::from_child(&child)), Resource::Cpu, limit)?;
    let ended = child.wait()?;
    let said = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    std::fs::remove_file(&log)?;
    let broken = format!("seed {seed}: ");
    let rule = said.lines().find_map(|line| line.strip_prefix(&broken)).map(str::to_owned);
    if rule.is_none() && !ended.success() {
        // The bug has brought down what asks for the rules, or keeps it from its end.
        let why = said.lines().find(|line| line.contains("panicked at")).unwrap_or_default();
        return Ok(Some(format!("(none, the simulation ended with {ended}) {why}")));
    }
    ensure!(rule.is_some() || said.contains("1 passed"), "the simulation ran no seed:\n{said}");
    Ok(rule)
}

/// Runs the test that finds a bug which the simulation can't see. It has to be built before it counts as failed.
pub(super) fn command(scratch: &Scratch, command: &str) -> Result<Verdict> {
    let words: Vec<_> = command.split_whitespace().collect();
    let [program, args @ ..] = words.as_slice() else { bail!("found-by names no command") };
    let test = args.iter().position(|word| *word == "--").unwrap_or(args.len());
    let mut build = scratch.command(program);
    output(build.args(&args[..test]).args(["--quiet", "--no-run"]))
        .context("the sources with the bug can't be built")?;
    let mut run = scratch.command(program);
    let ended = status(run.args(args).stdout(Stdio::null()).stderr(Stdio::null()))?;
    Ok(Verdict::Test { failed: !ended.success(), command: command.to_owned() })
}
