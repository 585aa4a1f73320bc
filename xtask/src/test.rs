//! `cargo xtask test` and `cargo xtask lint`.

use crate::lane::{self, Lane, Servers};
use crate::process::{cargo, has_cargo_tool, succeed};
use crate::{
    crash, examples, faults, fuzz, mcp, package, postgres, python, schemathesis, sim, tidy, typescript, ui,
};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::process::ExitCode;

/// The lanes of `cargo xtask test`, in order. A new lane is a line here and a function below.
const LANES: &[Lane] = &[
    Lane { name: "tools", run: tools },
    Lane { name: "postgres", run: postgres },
    Lane { name: "tests", run: tests },
    Lane { name: "doctests", run: doctests },
    Lane { name: "examples", run: |_| examples::check() },
    Lane { name: "python", run: |_| python::lane() },
    Lane { name: "sim", run: |_| sim::lane() },
    Lane { name: "crash-sqlite", run: |_| crash::lane_sqlite() },
    Lane { name: "crash-postgres", run: |_| crash::lane_postgres() },
    Lane { name: "schemathesis", run: |_| schemathesis::lane() },
    Lane { name: "mcp-conformance", run: |_| mcp::lane() },
    Lane { name: "fuzz", run: |_| fuzz::lane() },
    Lane { name: "faults", run: |_| faults::lane() },
    Lane { name: "typescript", run: |_| typescript::lane() },
    Lane { name: "package", run: |_| package::lane() },
    Lane { name: "ui", run: ui::lane },
    Lane { name: "tidy", run: |_| tidy::check() },
];

/// Runs the lanes that were named, or all.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let names: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    if let Some(flag) = names.iter().find(|name| name.starts_with('-')) {
        bail!("`cargo xtask test` takes names of lanes, and no {flag}");
    }
    lane::run_all(&lane::choose(LANES, &names)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What must be true of the text before a review.
pub(crate) fn lint() -> Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"]))?;
    succeed(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn tools(_: &mut Servers) -> Result<()> {
    let found = postgres::Binaries::find_or_install()?;
    println!("PostgreSQL {}", found.version);
    Ok(())
}

fn postgres(servers: &mut Servers) -> Result<()> {
    println!("{}", servers.postgres()?.url());
    Ok(())
}

fn tests(servers: &mut Servers) -> Result<()> {
    let url = servers.postgres()?.url();
    let args: &[&str] = if has_cargo_tool("nextest") {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &["test", "--workspace", "--tests"]
    };
    succeed(cargo(args).env(postgres::URL, url))
}

fn doctests(servers: &mut Servers) -> Result<()> {
    let url = servers.postgres()?.url();
    succeed(cargo(&["test", "--doc", "--workspace"]).env(postgres::URL, url))
}
