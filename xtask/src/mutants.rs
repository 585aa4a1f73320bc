//! `cargo xtask mutants`: plants one bug after the other in a copy of the sources, and counts the seeds of the simulation until
//! a rule breaks.
//!
//! Each bug is a patch in `tests/mutants`. The copy lies in the target folder and is built there: only what a patch touches,
//! and what rests on it, is built again.

mod hunt;
mod patch;
mod scratch;

use crate::process::root;
use anyhow::{Context, Result, bail, ensure};
use patch::Patch;
use scratch::Scratch;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

/// Seeds that are tried before a bug counts as missed, when nothing is said.
const SEEDS: u64 = 1_000;
/// Seeds of the sources as they are, before the first bug is planted: nothing may be found.
const SOUND_SEEDS: u64 = 4;

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let (mut seeds, mut only) = (SEEDS, Vec::new());
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    while let Some(flag) = args.next() {
        let value = args.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--seeds" => seeds = value.parse().with_context(|| format!("{flag} {value} is no number"))?,
            "--only" => only.push(value),
            _ => bail!("`cargo xtask mutants` takes --seeds N and --only NAME, and no {flag}"),
        }
    }
    let patches = chosen(&only)?;
    let scratch = Scratch::new()?;
    if patches.iter().any(|patch| patch.found_by.is_none()) {
        scratch.restore()?;
        let sound = hunt::simulate(&scratch, SOUND_SEEDS)?;
        ensure!(!sound.is_found(), "without any bug, {sound}: mend that first");
    }
    let mut missed = Vec::new();
    for patch in &patches {
        let began = Instant::now();
        scratch.restore()?;
        scratch.apply(patch)?;
        let verdict = match &patch.found_by {
            Some(command) => hunt::command(&scratch, command),
            None => hunt::simulate(&scratch, seeds),
        };
        let verdict = verdict.with_context(|| patch.path.clone())?;
        println!("{:<28} {verdict}; {:.0} s in all", patch.name, began.elapsed().as_secs_f64());
        if !verdict.is_found() {
            missed.push(patch.name.as_str());
        }
    }
    println!("{} of {} bugs were found", patches.len() - missed.len(), patches.len());
    if !missed.is_empty() {
        println!("not found: {}", missed.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(only: &[String]) -> Result<Vec<Patch>> {
    let all = patch::read_all(&root())?;
    for name in only {
        ensure!(all.iter().any(|patch| patch.is_called(name)), "there is no {}/{name}.patch", patch::FOLDER);
    }
    let is_chosen = |patch: &Patch| only.is_empty() || only.iter().any(|name| patch.is_called(name));
    Ok(all.into_iter().filter(is_chosen).collect())
}

/// For `cargo xtask tidy`: what is wrong with the patches, a line for each.
pub(crate) fn stale() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for name in patch::names(&root())? {
        match Patch::read(&root(), &name) {
            Ok(patch) => {
                if let Err(error) = patch.apply(&root(), true) {
                    let path = &patch.path;
                    findings
                        .push(format!("{path}: it does not apply any more, plant its bug anew: {error:#}"));
                }
            }
            Err(error) => findings.push(format!("{error:#}")),
        }
    }
    Ok(findings)
}
