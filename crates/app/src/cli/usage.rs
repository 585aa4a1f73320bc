//! What is wrong with a command line, in the shape of all our errors.

use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Shows help and version as they are; everything else is a failure with a hint.
pub(crate) fn explain(error: &clap::Error) -> Outcome {
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
    let mut paragraphs = rendered.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let mut lines = first.strip_prefix("error: ").unwrap_or(first).lines();
    let mut failure = Failure::usage(lines.next().unwrap_or("the command line is not right").trim_end_matches(':'));
    failure.causes = lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    failure.hint = Some(hint(error, &rendered));
    Err(failure)
}

fn hint(error: &clap::Error, rendered: &str) -> String {
    let suggested = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(|kind| match error.get(kind)? {
            ContextValue::String(text) => Some(text.clone()),
            ContextValue::Strings(texts) => texts.first().cloned(),
            _ => None,
        });
    if let Some(meant) = suggested {
        return format!("did you mean {}?", meant.trim());
    }
    let usage = rendered.split("Usage: ").nth(1).and_then(|rest| rest.lines().next());
    match usage {
        Some(usage) => {
            let words: Vec<&str> =
                usage.split(' ').take_while(|word| !word.starts_with(['-', '<', '[', '.'])).collect();
            format!("{} --help", words.join(" "))
        }
        None => "everloop --help".to_owned(),
    }
}
