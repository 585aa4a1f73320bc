//! `cargo xtask faults`: what happens to the real server when the machine under it fails.
//!
//! The rig, the oracle and its checks are those of `cargo xtask crash`; what differs is what is done to the server: it is frozen,
//! its disk is filled, it is short of file handles and of memory, its files are damaged, its clock jumps. Each fault is a file
//! here. `docs/reliability.md` says what must hold and what was seen.

mod asking;
mod clock;
mod freeze;
mod full;
mod limits;
mod media;
mod session;

use crate::crash::killer::print_violations;
use crate::crash::options::fresh_seed;
use crate::crash::rig::Rig;
use crate::process::{output, status};
use anyhow::{Context, Result, bail};
use session::{Ground, Row};
use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// A fault: its name, and what does it so many times.
type Fault = (&'static str, fn(&Ground, &mut Row) -> Result<()>);

/// All of them, in the order in which they run.
const FAULTS: &[Fault] = &[
    ("freeze-server", freeze::server),
    ("freeze-worker", freeze::worker),
    ("disk-full", full::disk),
    ("file-handles", limits::handles),
    ("memory", limits::memory),
    ("media", media::pages),
    ("media-log", media::log),
    ("clock", clock::jumps),
];

const USAGE: &str = "cargo xtask faults [--only NAME]… [--rounds N] [--seed S] [--keep]";

/// What a run injects.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    /// The faults; all when there is none.
    only: Vec<String>,
    rounds: u64,
    seed: u64,
    /// Whether ledgers, logs and data stay when all was well, too.
    keep: bool,
    /// Whether this process has mounts of its own, which are gone when it is.
    mounts: bool,
}

impl Options {
    fn parse(args: &[OsString]) -> Result<Self> {
        let mut words = args.iter().map(|arg| arg.to_str().context("an argument is not UTF-8"));
        let mut options =
            Self { only: Vec::new(), rounds: 3, seed: fresh_seed(), keep: false, mounts: false };
        while let Some(flag) = words.next().transpose()? {
            match flag {
                "--keep" => options.keep = true,
                // Not in the usage: we say it to ourselves.
                "--mounts" => options.mounts = true,
                "--only" | "--rounds" | "--seed" => {
                    let value = words
                        .next()
                        .transpose()?
                        .with_context(|| format!("{flag} needs a value\n{USAGE}"))?;
                    if flag == "--only" {
                        if !FAULTS.iter().any(|(name, _)| *name == value) {
                            let known: Vec<_> = FAULTS.iter().map(|(name, _)| *name).collect();
                            bail!("there is no fault {value:?}; there are {}", known.join(", "));
                        }
                        options.only.push(value.to_owned());
                        continue;
                    }
                    let number =
                        value.parse().with_context(|| format!("{flag} needs a number, and no {value:?}"))?;
                    *(if flag == "--seed" { &mut options.seed } else { &mut options.rounds }) = number;
                }
                _ => bail!("there is no {flag}\n{USAGE}"),
            }
        }
        Ok(options)
    }

    /// The arguments that run the same again.
    fn arguments(&self) -> String {
        let only: String = self.only.iter().map(|name| format!("--only {name} ")).collect();
        format!("{only}--rounds {} --seed {}", self.rounds, self.seed)
    }
}

/// `cargo xtask faults`
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    if !options.mounts
        && let Some(code) = run_with_mounts(&options)?
    {
        return Ok(code);
    }
    Ok(if run_here(&options)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lane: one round of each.
pub(crate) fn lane() -> Result<()> {
    let options = Options { only: Vec::new(), rounds: 1, seed: fresh_seed(), keep: false, mounts: false };
    let well = match run_with_mounts(&options)? {
        Some(code) => code == ExitCode::SUCCESS,
        None => run_here(&options)?,
    };
    if !well {
        bail!("promises were broken; again with: cargo xtask faults {}", options.arguments());
    }
    Ok(())
}

/// Runs it where a small file system can be mounted and goes away by itself: in a mount namespace of its own. None where the
/// system gives us none; the fault that needs it says so then.
fn run_with_mounts(options: &Options) -> Result<Option<ExitCode>> {
    for flags in [&["--mount"][..], &["--map-root-user", "--mount"]] {
        if output(Command::new("unshare").args(flags).arg("true")).is_err() {
            continue;
        }
        let own = std::env::current_exe().context("the path of this program is unknown")?;
        let mut command = Command::new("unshare");
        command.args(flags).arg(own).args(["faults", "--mounts"]).args(options.arguments().split(' '));
        if options.keep {
            command.arg("--keep");
        }
        let status = status(&mut command)?;
        return Ok(Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }));
    }
    Ok(None)
}

/// Gives whether every promise was kept.
fn run_here(options: &Options) -> Result<bool> {
    println!("cargo xtask faults {}", options.arguments());
    let mut folder = tempfile::Builder::new().prefix("everloop-faults-").tempdir()?;
    folder.disable_cleanup(true);
    let rig = Rig::build(folder.path(), None)?;
    let mut well = true;
    for (name, fault) in FAULTS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        let own = folder.path().join(name);
        std::fs::create_dir_all(&own)?;
        let ground = Ground {
            rig: rig.clone(),
            folder: own,
            seed: options.seed,
            rounds: options.rounds,
            mounts: options.mounts,
        };
        let mut row = Row::default();
        let began = Instant::now();
        let outcome = fault(&ground, &mut row);
        println!("{name}");
        row.print();
        println!("  took              {:.1} s", began.elapsed().as_secs_f64());
        println!("  violations        {}", row.violations.len());
        print_violations(&row.violations);
        if let Err(error) = &outcome {
            println!("  {name} could not be judged: {error:#}");
        }
        well &= outcome.is_ok() && row.violations.is_empty();
    }
    if well && !options.keep {
        folder.disable_cleanup(false);
    } else {
        println!("ledgers, logs and data are kept in {}", folder.path().display());
    }
    Ok(well)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Options::parse(&args)
    }

    #[test]
    fn the_command_of_a_run_reads_back_as_the_same_run() {
        let options = parse("--only media --only clock --rounds 7 --seed 5").unwrap();
        assert_eq!(options.only, ["media", "clock"]);
        assert_eq!(parse(&options.arguments()).unwrap(), options);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (line, named) in [
            ("--only flood", "flood"),
            ("--rounds many", "many"),
            ("--seed", "--seed"),
            ("--kill 5", "--kill"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
