//! The tools of the house. `cargo xtask help` lists them.
//!
//! `cargo xtask test` is the one command that says whether the tree is good. It installs what the tests need, starts private
//! copies of the servers and fails, by name, every lane that it can't run. Nothing here is shipped.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tools read files, start processes, take the time and talk to a person"
)]

mod bench;
mod crash;
mod examples;
mod faults;
mod fuzz;
mod lane;
mod mcp;
mod mutants;
mod npm;
mod package;
mod postgres;
mod process;
mod python;
mod schemathesis;
mod sim;
mod test;
mod tidy;
mod typescript;
mod ui;
mod venv;

use anyhow::{Result, bail};
use std::ffi::OsString;
use std::process::ExitCode;

const HELP: &str = "\
The tools of the house.

  cargo xtask test [LANE…]        run every test (or these lanes) with private servers
  cargo xtask lint                rustfmt --check and clippy over everything
  cargo xtask tidy [--bless]      check layers, files, links, rows and error pages
                                  (--bless writes the layering table into ARCHITECTURE.md)
  cargo xtask bench [--seconds N] [--json FILE] [--postgres URL]
                                  measure the product beside bare SQLite and a bare Axum handler
                                  (--scale TASKS: many followers, workers, callers, and so many tasks in a file)
  cargo xtask crash --engine sqlite|postgres
                                  kill the server at random instants and hold it to its promises
                                  (--kills N, --kill-database N, --seed S, --seconds-between MIN..MAX,
                                  --clients N, --keep)
  cargo xtask sim [--seeds N] [--minutes M] [--seed S]
                                  simulate the engine from N seeds, for M minutes at most
  cargo xtask mutants [--only NAME] [--seeds N]
                                  plant the bugs of tests/mutants in a copy of the sources, one after the
                                  other, and count the seeds until the simulation finds each
  cargo xtask schemathesis [--examples N] [--seed S]
                                  send a server whatever its OpenAPI document allows and forbids
  cargo xtask mcp-conformance     run the conformance suite of MCP and real clients against the server
  cargo xtask fuzz [--seconds N] [--only TARGET]
                                  feed what reads bytes of others with bytes that lead somewhere
  cargo xtask faults              freeze the server, fill its disk, starve it, damage its files, turn
                                  its clock (--only NAME, --rounds N, --seed S, --keep)
  cargo xtask package             put a wheel and an npm tarball with the program, built for a release, into dist
  cargo xtask postgres -- CMD…    run CMD with a private PostgreSQL in EVERLOOP_TEST_POSTGRES_URL
  cargo xtask postgres            the same until Ctrl-C, with the URL printed
";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[OsString]) -> Result<ExitCode> {
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.to_string_lossy().into_owned(), rest),
        None => ("help".to_owned(), args),
    };
    match command.as_str() {
        "test" => test::run(rest),
        "lint" => test::lint().map(|()| ExitCode::SUCCESS),
        "tidy" => tidy::run(rest),
        "bench" => bench::run(rest),
        "crash" => crash::run(rest),
        "schemathesis" => schemathesis::run(rest),
        "mcp-conformance" => mcp::lane().map(|()| ExitCode::SUCCESS),
        "fuzz" => fuzz::run(rest),
        "faults" => faults::run(rest),
        "package" => package::run(rest),
        crash::ORACLE => crash::oracle::run(rest).map(|()| ExitCode::SUCCESS),
        "sim" => sim::run(rest),
        "mutants" => mutants::run(rest),
        "postgres" => postgres::run(rest),
        postgres::GUARD => postgres::guard().map(|()| ExitCode::SUCCESS),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no tool {other:?}; `cargo xtask help` lists them"),
    }
}
