//! `everloop mcp`: the server's MCP face on standard input and output, and in the configuration of hosts.

mod hosts;
mod install;
mod relay;
mod splice;

pub(crate) use hosts::Host;

use super::args::{McpArgs, McpCommand};
use super::ground::{Ground, block_on};
use crate::failure::{Exit, Outcome};

pub(super) fn run(ground: &Ground, args: &McpArgs) -> Outcome {
    match &args.command {
        Some(McpCommand::Install(args)) => install::run(ground, args),
        None => block_on(async { relay::run(ground).await }).map(|()| Exit::Done),
    }
}
