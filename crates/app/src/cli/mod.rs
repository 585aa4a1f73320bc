//! The command line: a file for each noun.

mod args;
mod backup;
mod bench;
mod completions;
mod config;
mod dead_letters;
mod demo;
mod dev;
mod doctor;
mod duration;
mod explain;
mod ground;
mod logging;
mod mcp;
mod migrate;
mod replay;
mod run;
mod sample;
mod serve;
mod show;
mod task;
mod usage;
mod verify;
mod worker;

use crate::failure::{Exit, Failure, Outcome, RUN_FAILED};
use crate::output;
use args::{Cli, Command};
use clap::Parser as _;
use everloop_exec::shell::GUARD_ARG;
use ground::Ground;
use std::ffi::OsString;
use std::process::ExitCode;

/// Does what the arguments say, and gives what the process exits with.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    if arguments.get(1).is_some_and(|first| first == GUARD_ARG) {
        // This process only holds a command: it has no command line of its own.
        return everloop_exec::shell::guard::main();
    }
    let is_run = arguments.get(1).is_some_and(|first| first == "run");
    let outcome = match Cli::try_parse_from(arguments) {
        Ok(cli) => dispatch(cli),
        Err(error) => usage::explain(&error, arguments),
    };
    let code = match outcome {
        Ok(exit) => exit.code(),
        Err(failure) => {
            output::talk(paint(&failure));
            // The codes of `run` are those of its command.
            if is_run { RUN_FAILED } else { failure.exit.code() }
        }
    };
    ExitCode::from(code)
}

fn paint(failure: &Failure) -> String {
    let text = failure.to_string();
    if !output::is_coloured() {
        return text;
    }
    let red = text.replacen("error:", "\x1b[1;31merror:\x1b[0m", 1);
    red.replacen("\n  hint:", "\n  \x1b[1;32mhint:\x1b[0m", 1)
}

fn dispatch(cli: Cli) -> Outcome {
    let Cli { global, command } = cli;
    let flags = command.flags();
    match command {
        // These need no settings, so that a broken configuration does not break them.
        Command::Completions(completions) => return completions::run(&completions),
        Command::Explain(explain) => return explain::run(&explain),
        Command::Dev(_)
        | Command::Serve(_)
        | Command::Worker(_)
        | Command::Run(_)
        | Command::Task(_)
        | Command::DeadLetters(_)
        | Command::Mcp(_)
        | Command::Verify(_)
        | Command::Doctor
        | Command::Config(_)
        | Command::Migrate(_)
        | Command::Backup(_)
        | Command::Bench(_)
        | Command::Replay(_)
        | Command::Restore(_)
        | Command::Demo(_) => {}
    }
    let ground = Ground::new(global, flags)?;
    match command {
        Command::Dev(dev) => dev::run(&ground, &dev),
        Command::Serve(serve) => serve::run(&ground, &serve),
        Command::Worker(worker) => worker::run(&ground, &worker),
        Command::Run(run) => run::run(&ground, &run),
        Command::Task(task) => task::run(&ground, task),
        Command::DeadLetters(letters) => dead_letters::run(&ground, letters),
        Command::Mcp(mcp) => mcp::run(&ground, &mcp),
        Command::Verify(verify) => verify::run(&ground, &verify),
        Command::Doctor => doctor::run(&ground),
        Command::Config(config) => config::run(&ground, &config),
        Command::Migrate(migrate) => migrate::run(&ground, &migrate),
        Command::Bench(bench) => bench::run(&ground, &bench),
        Command::Replay(replay) => replay::run(&ground, &replay),
        Command::Backup(args) => backup::backup(&ground, &args),
        Command::Restore(args) => backup::restore(&ground, &args),
        Command::Demo(demo) => demo::run(&ground, &demo),
        Command::Completions(_) | Command::Explain(_) => Ok(Exit::Done),
    }
}
