//! `cargo xtask sim`: simulates the engine from one seed after the other.

use crate::process::{cargo, succeed, target};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::process::ExitCode;

/// What is run when nothing is said.
const SEEDS: u64 = 200;
const MINUTES: u64 = 60;
/// From so many seeds on an optimised build, which runs them four times as fast, is worth the minutes that it takes. Its
/// assertions stay.
const MANY: u64 = 1_000;

/// `--seeds N --minutes M --seed S`.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let (mut seeds, mut minutes, mut seed) = (SEEDS, MINUTES, None);
    while let Some(flag) = args.next() {
        let value = args.next().with_context(|| format!("{flag} needs a number"))?;
        let value = value.parse().with_context(|| format!("{flag} {value}: not a number"))?;
        match flag.as_str() {
            "--seeds" => seeds = value,
            "--minutes" => minutes = value,
            "--seed" => seed = Some(value),
            _ => bail!("`cargo xtask sim` takes --seeds N, --minutes M and --seed S, and no {flag}"),
        }
    }
    let first = seed.unwrap_or_else(|| u64::from(std::process::id()) * 1_000_000);
    simulate(first, seeds, minutes)?;
    Ok(ExitCode::SUCCESS)
}

/// The lane: the same seeds for everybody, so that a red one is red again.
pub(crate) fn lane() -> Result<()> {
    simulate(1, 100, 10)
}

fn simulate(first: u64, seeds: u64, minutes: u64) -> Result<()> {
    println!("seeds {first} to {}, for {minutes} minutes at most", first + seeds - 1);
    let args = ["test", "-q", "-p", "everloop-engine", "--test", "it", "sim::seeds::many_seeds", "--"];
    let mut test = cargo(&[&args[..], &["--ignored", "--exact", "--nocapture"]].concat());
    if seeds > MANY {
        test.env("CARGO_PROFILE_DEV_OPT_LEVEL", "2").env("CARGO_PROFILE_TEST_OPT_LEVEL", "2");
        test.env("CARGO_TARGET_DIR", target().join("sim"));
    }
    test.env("EVERLOOP_SIM_SEED", first.to_string());
    test.env("EVERLOOP_SIM_SEEDS", seeds.to_string());
    test.env("EVERLOOP_SIM_MINUTES", minutes.to_string());
    succeed(&mut test)
}
