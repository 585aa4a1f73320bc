//! `everloop.toml`: keys of the table of settings, nothing else.

use super::{SETTINGS, closest};
use crate::failure::Failure;
use std::collections::BTreeMap;
use std::path::Path;

/// The text of the file.
///
/// # Errors
/// If it can't be read.
#[expect(clippy::disallowed_methods, reason = "the app reads its configuration")]
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("the configuration file {} can't be read", path.display()))
            .cause(error)
            .hint("name another one with --config, or leave it out")
    })
}

/// What the text says.
///
/// # Errors
/// If it is no TOML, or has a key that nobody knows.
pub(super) fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        Failure::usage(format!("{} is not TOML", path.display()))
            .cause(format!("line {line}: {}", error.message()))
            .hint("a line looks like this: listen = \"127.0.0.1:7420\"")
    })?;
    let mut said = BTreeMap::new();
    for (key, value) in table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let meant = closest(&key.replace('-', "_"), SETTINGS.iter().map(|setting| setting.key), 3);
            return Err(Failure::usage(format!("there is no setting {key:?}"))
                .cause(format!("it stands in {}", path.display()))
                .hint(match meant {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => "everloop config show lists every setting".to_owned(),
                }));
        };
        if setting.secret {
            return Err(Failure::usage(format!("{key} may not stand in {}", path.display()))
                .cause("it is a secret, and this file is for everybody's eyes")
                .hint("put it into a file of its own and name that one with api_key_file, or set EVERLOOP_API_KEY"));
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            toml::Value::Float(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => {
                return Err(Failure::usage(format!("{key} in {} is not right", path.display()))
                    .cause(format!("{key}: {}", setting.about))
                    .hint("it has to be a text, a whole number, true or false"));
            }
        };
        said.insert(key, text);
    }
    Ok(said)
}
