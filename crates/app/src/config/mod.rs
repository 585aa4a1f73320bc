//! Settings: flags before `EVERLOOP_*` variables before `everloop.toml` before defaults.
//!
//! One table names every setting. A setting `data_dir` is the flag `--data-dir`, the variable `EVERLOOP_DATA_DIR` and the key
//! `data_dir` of the file.

mod file;
mod similar;

pub(crate) use similar::closest;

use crate::failure::Failure;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a setting may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Address,
    Url,
    DatabaseUrl,
    Bool,
    Number,
    LogFormat,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its key in the file.
    pub(crate) key: &'static str,
    form: Form,
    default: Option<&'static str>,
    /// What it says, in a line.
    pub(crate) about: &'static str,
    /// Only by environment, and never shown.
    secret: bool,
}

const fn setting(
    key: &'static str,
    form: Form,
    default: Option<&'static str>,
    about: &'static str,
) -> Setting {
    Setting { key, form, default, about, secret: false }
}

/// Every setting.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        secret: true,
        ..setting("api_key", Form::Text, None, "the API key that clients show; only as a variable")
    },
    setting("api_key_file", Form::Text, None, "a file with the API key"),
    setting("base_path", Form::Text, None, "what stands before every path, such as /everloop"),
    setting("dashboard", Form::Bool, Some("true"), "whether a server has a dashboard"),
    setting("data_dir", Form::Text, None, "where a server keeps its files; ./.everloop in dev mode"),
    setting("database_url", Form::DatabaseUrl, None, "another database: sqlite:FILE or postgres://…"),
    setting("digest_every", Form::Number, Some("256"), "events between two digests of a stream"),
    setting("listen", Form::Address, Some("127.0.0.1:7420"), "where a server listens"),
    setting(
        "log",
        Form::Text,
        Some("info"),
        "which log lines are written: info, debug, everloop_engine=debug",
    ),
    setting("log_format", Form::LogFormat, Some("text"), "how log lines are written: text or json"),
    setting("mcp_servers", Form::Text, None, "a file with the MCP servers that tasks may have started here"),
    setting("retention_days", Form::Number, Some("30"), "days for which finished tasks are kept"),
    setting(
        "retention_event_days",
        Form::Number,
        None,
        "days for which their events are kept, but for the last one; as long as the task when not set",
    ),
    setting("retention_log_days", Form::Number, Some("14"), "days for which what their logs say is kept"),
    setting("trusted_keys", Form::Text, None, "a JWKS with the keys that `everloop verify` trusts"),
    setting(
        "unsafe_no_sandbox",
        Form::Bool,
        Some("false"),
        "run commands outside of dev mode without a sandbox",
    ),
    setting("url", Form::Url, None, "the server that clients talk to"),
    setting(
        "workers",
        Form::Number,
        Some("64"),
        "tasks that a server runs itself at the same time; 0 for none",
    ),
];

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line.
    Flag,
    /// A variable.
    Variable,
    /// A file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

/// The values of all settings, with where they come from.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, (String, Source)>,
    file: Option<PathBuf>,
}

/// What was said on the command line: key and value.
pub(crate) type Flags = Vec<(&'static str, String)>;

impl Setting {
    fn variable(&self) -> String {
        format!("EVERLOOP_{}", self.key.to_uppercase())
    }

    /// Refuses a value that can't be one.
    fn check(&self, value: &str, place: &str) -> Result<(), Failure> {
        let wanted = match self.form {
            Form::Text if value.is_empty() => "a text that isn't empty",
            Form::Address if value.parse::<std::net::SocketAddr>().is_err() => {
                "an address and a port, such as 127.0.0.1:7420"
            }
            Form::Url if !is_server_url(value) => "the address of a server, such as http://127.0.0.1:7420",
            Form::DatabaseUrl if !is_database_url(value) => "sqlite:FILE or postgres://HOST/DATABASE",
            Form::Bool if value.parse::<bool>().is_err() => "true or false",
            Form::Number if value.parse::<u32>().is_err() => "a whole number",
            Form::LogFormat if !matches!(value, "text" | "json") => "text or json",
            Form::Text
            | Form::Address
            | Form::Url
            | Form::DatabaseUrl
            | Form::Bool
            | Form::Number
            | Form::LogFormat => return Ok(()),
        };
        let cause = match self.form {
            // It may hold a password.
            Form::DatabaseUrl => self.about.to_owned(),
            Form::Text | Form::Address | Form::Url | Form::Bool | Form::Number | Form::LogFormat => {
                format!("{value:?} was given; {} is {}", self.key, self.about)
            }
        };
        Err(Failure::usage(format!("{place} is not right"))
            .cause(cause)
            .hint(format!("it has to be {wanted}")))
    }
}

fn is_server_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

fn is_database_url(text: &str) -> bool {
    ["sqlite:", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
}

fn has_password(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        url.password().is_some() || url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("password"))
    })
}

impl Settings {
    /// Reads them from everywhere.
    ///
    /// # Errors
    /// The first value that can't be right, or key that nobody knows.
    pub(crate) fn load(
        flags: Flags,
        file: Option<PathBuf>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Failure> {
        let variables: BTreeMap<String, String> =
            variables.filter(|(name, value)| name.starts_with("EVERLOOP_") && !value.is_empty()).collect();
        misspelt_variables(&variables)?;
        let file = file.or_else(|| variables.get("EVERLOOP_CONFIG").map(PathBuf::from));
        let here = || Some(PathBuf::from("everloop.toml")).filter(|path| path.exists());
        let file = match file.or_else(here) {
            Some(path) => Some((path.clone(), file::read(&path)?)),
            None => None,
        };
        Self::of(&flags, file.as_ref(), &variables)
    }

    /// Takes them from what was said: flags, a file with its text, variables.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn of(
        flags: &Flags,
        file: Option<&(PathBuf, String)>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let said = match file {
            Some((path, text)) => file::parse(text, path)?,
            None => BTreeMap::new(),
        };
        let file = file.map(|(path, _)| path.clone());
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let variable = setting.variable();
            let flag = flags.iter().find(|(key, _)| *key == setting.key);
            let found = if let Some((_, value)) = flag {
                let flag = format!("--{}", setting.key.replace('_', "-"));
                setting.check(value, &flag)?;
                if setting.form == Form::DatabaseUrl && has_password(value) {
                    return Err(Failure::usage("a password may not stand on the command line")
                        .cause(format!("{flag} holds one, and everybody on this machine can read it in the list of processes"))
                        .hint("put the address into EVERLOOP_DATABASE_URL, or the password into the file that PGPASSFILE names"));
                }
                Some((value.clone(), Source::Flag))
            } else if let Some(value) = variables.get(&variable) {
                setting.check(value, &variable)?;
                Some((value.clone(), Source::Variable))
            } else if let (Some(value), Some(path)) = (said.get(setting.key), &file) {
                setting.check(value, &format!("{} in {}", setting.key, path.display()))?;
                Some((value.clone(), Source::File(path.clone())))
            } else {
                setting.default.map(|value| (value.to_owned(), Source::Default))
            };
            if let Some(found) = found {
                values.insert(setting.key, found);
            }
        }
        Ok(Self { values, file })
    }

    /// The value of a setting, where it has one.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| value.as_str())
    }

    /// The value of a setting as a path.
    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        self.get(key).map(PathBuf::from)
    }

    /// The value of a setting that has a default, in its form; the form was checked when it was read.
    pub(crate) fn parsed<T: FromStr>(&self, key: &str) -> Result<T, Failure> {
        let value = self.get(key).unwrap_or_default();
        value.parse().map_err(|_| Failure::usage(format!("{key} is not right: {value:?}")))
    }

    /// The same, where it need not be set.
    pub(crate) fn parsed_opt<T: FromStr>(&self, key: &str) -> Result<Option<T>, Failure> {
        self.get(key).map(|_| self.parsed(key)).transpose()
    }

    /// The file that was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Every setting: key, value as it may be shown, where it comes from.
    pub(crate) fn shown(&self) -> Vec<(&'static Setting, String, Source)> {
        let show = |setting: &'static Setting| match self.values.get(setting.key) {
            Some((_, source)) if setting.secret => (setting, "(hidden)".to_owned(), source.clone()),
            Some((value, source)) if setting.form == Form::DatabaseUrl => {
                (setting, without_password(value), source.clone())
            }
            Some((value, source)) => (setting, value.clone(), source.clone()),
            None => (setting, String::new(), Source::Default),
        };
        SETTINGS.iter().map(show).collect()
    }
}

impl Source {
    /// In words, for the setting.
    pub(crate) fn describe(&self, setting: &Setting) -> String {
        match self {
            Self::Flag => format!("--{}", setting.key.replace('_', "-")),
            Self::Variable => setting.variable(),
            Self::File(path) => path.display().to_string(),
            Self::Default => "default".to_owned(),
        }
    }
}

fn without_password(value: &str) -> String {
    match url::Url::parse(value) {
        Ok(mut url) if has_password(value) => {
            let kept: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(name, _)| !name.eq_ignore_ascii_case("password"))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            url.set_query(None);
            if !kept.is_empty() {
                url.query_pairs_mut().extend_pairs(kept);
            }
            if url.password().is_some() {
                // An address with a host takes a password.
                let _ = url.set_password(Some("hidden"));
            }
            url.to_string()
        }
        Ok(_) | Err(_) => value.to_owned(),
    }
}

/// A variable that is nearly one of ours is a mistake. Others may begin like ours: a cluster manager names them after services.
fn misspelt_variables(variables: &BTreeMap<String, String>) -> Result<(), Failure> {
    let mut known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    known.push("EVERLOOP_CONFIG".to_owned());
    for name in variables.keys() {
        if known.contains(name) {
            continue;
        }
        if let Some(meant) = closest(name, known.iter().map(String::as_str), 2) {
            return Err(Failure::usage(format!("there is no variable {name}"))
                .cause("it is nearly one that Everloop reads, so that it is probably misspelt")
                .hint(format!("did you mean {meant}?")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
