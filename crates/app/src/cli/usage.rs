//! What is wrong with a command line, in the shape of all our errors.

use super::args::Cli;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// Shows help and version as they are; everything else is a failure with a hint.
pub(crate) fn explain(error: &clap::Error, arguments: &[OsString]) -> Outcome {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let styled = error.render();
            let text = if output::is_coloured() { styled.ansi().to_string() } else { styled.to_string() };
            output::bytes(text.as_bytes());
            return Ok(Exit::Done);
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output::error_bytes(error.render().to_string().as_bytes());
            return Ok(Exit::Usage);
        }
        _ => {}
    }
    let rendered = error.render().to_string();
    let first = rendered.split("\n\n").next().unwrap_or_default();
    let mut lines = first.strip_prefix("error: ").unwrap_or(first).lines();
    let said = lines.next().unwrap_or("the command line is not right").trim_end_matches(':');
    let (what, why) = match said.split_once("': ") {
        Some((what, why)) => (format!("{what}'"), Some(why.to_owned())),
        None => (said.to_owned(), None),
    };
    let mut failure = Failure::usage(what);
    failure.causes.extend(why);
    failure.causes.extend(lines.map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        match line.strip_prefix("[possible values: ").and_then(|line| line.strip_suffix(']')) {
            Some(values) => format!("it is one of {values}"),
            None => line.to_owned(),
        }
    }));
    failure.hint = Some(hint(error, arguments));
    Err(failure)
}

fn hint(error: &clap::Error, arguments: &[OsString]) -> String {
    let suggested =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
            .into_iter()
            .find_map(|kind| match error.get(kind)? {
                ContextValue::String(text) => Some(text.clone()),
                ContextValue::Strings(texts) => texts.first().cloned(),
                _ => None,
            });
    if let Some(meant) = suggested {
        return format!("did you mean {}?", meant.trim());
    }
    let command = named(arguments);
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) if command == "everloop run" => {
            format!("the command comes after two dashes: everloop run -- {word}")
        }
        _ => format!("{command} --help"),
    }
}

/// The command that was meant, as far as it was named.
fn named(arguments: &[OsString]) -> String {
    let mut command = Cli::command();
    let mut words = vec!["everloop".to_owned()];
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        let Some(inner) = command.find_subcommand(argument).cloned() else { continue };
        words.push(argument.to_owned());
        command = inner;
    }
    words.join(" ")
}
