//! `everloop completions`.

use super::args::{Cli, CompletionsArgs};
use crate::failure::{Exit, Outcome};
use crate::output;
use clap::CommandFactory;

pub(super) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "everloop", &mut script);
    output::bytes(&script);
    Ok(Exit::Done)
}
