//! The program `everloop`: configuration, wiring, command line.

mod answered;
mod cli;
mod config;
mod failure;
mod output;
mod system;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    cli::main(&arguments)
}
