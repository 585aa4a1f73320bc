//! The program `everloop`: configuration, wiring, command line.

mod answered;
mod cli;
mod config;
mod failure;
mod mcp_servers;
mod output;
mod wire;

use std::process::ExitCode;

/// Tasks are made on one thread and dropped on another, thousands in a second. With 64 of them at once over HTTP this allocator
/// gets twice as many through as the one of glibc (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    cli::main(&arguments)
}
