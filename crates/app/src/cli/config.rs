//! `everloop config show`.

use super::args::ConfigCommand;
use super::ground::Ground;
use crate::config::Source;
use crate::failure::{Exit, Outcome};
use crate::output;
use serde::Serialize;

/// A setting as JSON.
#[derive(Serialize)]
struct Shown {
    key: &'static str,
    value: Option<String>,
    source: String,
    about: &'static str,
}

pub(super) fn run(ground: &Ground, command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Show => show(ground),
    }
}

fn show(ground: &Ground) -> Outcome {
    let mut rows = vec![["SETTING", "VALUE", "FROM", "WHAT IT IS"].map(str::to_owned).to_vec()];
    for (setting, value, source) in ground.settings.shown() {
        let from = if value.is_empty() && source == Source::Default {
            "not set".to_owned()
        } else {
            source.describe(setting)
        };
        if ground.json {
            let value = (!value.is_empty()).then_some(value);
            output::json(&Shown { key: setting.key, value, source: from, about: setting.about });
        } else {
            let value = if value.is_empty() { "-".to_owned() } else { value };
            rows.push(vec![setting.key.to_owned(), value, from, setting.about.to_owned()]);
        }
    }
    if !ground.json {
        output::bytes(output::table(&rows).as_bytes());
        if let Some(file) = ground.settings.file() {
            ground.talk(format!("read from {}", file.display()));
        }
    }
    Ok(Exit::Done)
}
