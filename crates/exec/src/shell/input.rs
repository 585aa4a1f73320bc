//! What a task of the kind `shell` is asked to run.

use crate::Wrong;
use everloop_types::task::TaskSpec;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The shell that runs scripts.
const SHELL: &str = "/bin/sh";
/// Bytes that Linux takes in one argument, with the zero at its end.
const ARGUMENT_BYTES: usize = 128 * 1024;
/// Home of a command that runs in a folder of the caller's: nothing is written there.
const NO_HOME: &str = "/nonexistent";
/// What a command finds in its environment if it is given nothing.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LANG", "C.UTF-8"),
    ("TERM", "dumb"),
];

/// One command: a program and its arguments, or a script.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The program and its arguments.
    #[serde(default)]
    argv: Option<Vec<String>>,
    /// Text for a shell, in place of argv.
    #[serde(default)]
    script: Option<String>,
    /// The shell that reads the script; /bin/sh when not given.
    #[serde(default)]
    shell: Option<String>,
    /// The folder that it runs in; one of its own when not given.
    #[serde(default)]
    cwd: Option<PathBuf>,
    /// Variables of its environment.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// What it reads from standard input.
    #[serde(default)]
    stdin: Option<String>,
}

/// A command that can be started.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) argv: Vec<String>,
    /// The caller's own folder; else the attempt gets one.
    pub(super) cwd: Option<PathBuf>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) stdin: Option<String>,
}

impl Command {
    /// Reads the input of a task.
    pub(super) fn read(spec: &TaskSpec) -> Result<Self, Wrong> {
        let one = |message: String| vec![("input".to_owned(), message)];
        let Some(input) = &spec.input else {
            return Err(one("needed: {\"argv\": [\"echo\", \"hello\"]}".to_owned()));
        };
        let input: Input = input.parse().map_err(|error| one(format!("not a command: {error}")))?;
        let mut wrong = Vec::new();
        let mut refuse = |field: &str, message: &str| wrong.push((field.to_owned(), message.to_owned()));

        let argv = match (input.argv, input.script) {
            (Some(argv), None) => {
                if argv.first().is_none_or(String::is_empty) {
                    refuse("input.argv", "the first item names the program");
                }
                if input.shell.is_some() {
                    refuse("input.shell", "goes with script, not with argv");
                }
                argv
            }
            (None, Some(script)) => {
                let shell = input.shell.unwrap_or_else(|| SHELL.to_owned());
                if shell.is_empty() {
                    refuse("input.shell", "names the shell: /bin/sh when left out");
                }
                vec![shell, "-c".to_owned(), script]
            }
            (Some(_), Some(_)) => {
                refuse("input.script", "there is argv too: give one of them");
                Vec::new()
            }
            (None, None) => {
                refuse("input", "give argv (a list) or script (a text)");
                Vec::new()
            }
        };
        if argv.iter().any(|argument| argument.contains('\0')) {
            refuse("input.argv", "an argument can't hold a zero byte");
        }
        if argv.iter().any(|argument| argument.len() >= ARGUMENT_BYTES) {
            refuse(
                "input.argv",
                "an argument or script of 128 KiB or more can't be passed: put it into a file, or into stdin",
            );
        }
        if let Some(cwd) = &input.cwd {
            if !cwd.is_absolute() {
                refuse("input.cwd", "an absolute path is needed");
            }
            if cwd.as_os_str().as_encoded_bytes().contains(&0) {
                refuse("input.cwd", "a path can't hold a zero byte");
            }
        }
        for (name, value) in &input.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                refuse(
                    &format!("input.env.{name}"),
                    "a name is not empty and holds no =, and neither holds a zero byte",
                );
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self { argv, cwd: input.cwd, env: input.env, stdin: input.stdin })
    }
}

/// The whole environment of a command: what was given, and what every command needs.
pub(crate) fn environment(given: &BTreeMap<String, String>, work: Option<&Path>) -> BTreeMap<String, String> {
    let mut env = given.clone();
    let home = work.and_then(Path::to_str).unwrap_or(NO_HOME);
    for (name, value) in ENVIRONMENT.into_iter().chain([("HOME", home)]) {
        env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_types::json::Json;

    fn read(input: &str) -> Result<Command, Wrong> {
        let mut spec = TaskSpec::new("shell");
        spec.input = Some(Json::from_canonical(input.to_owned()).unwrap());
        Command::read(&spec)
    }

    #[test]
    fn a_script_is_given_to_a_shell() {
        assert_eq!(read(r#"{"script":"a"}"#).unwrap().argv, ["/bin/sh", "-c", "a"]);
        assert_eq!(read(r#"{"script":"a","shell":"bash"}"#).unwrap().argv, ["bash", "-c", "a"]);
    }

    #[test]
    fn what_can_not_work_is_refused_by_field() {
        let long = format!(r#"{{"script":"{}"}}"#, "a".repeat(ARGUMENT_BYTES));
        for (input, field) in [
            ("null", "input"),
            ("{}", "input"),
            (r#"{"argv":["a"],"tty":true}"#, "input"),
            (r#"{"argv":"a b"}"#, "input"),
            (r#"{"argv":[]}"#, "input.argv"),
            (r#"{"argv":[""]}"#, "input.argv"),
            (r#"{"argv":["a\u0000"]}"#, "input.argv"),
            (r#"{"argv":["a"],"script":"a"}"#, "input.script"),
            (r#"{"argv":["a"],"shell":"sh"}"#, "input.shell"),
            (r#"{"argv":["a"],"cwd":"a"}"#, "input.cwd"),
            (r#"{"argv":["a"],"env":{"A=":""}}"#, "input.env.A="),
            (&long, "input.argv"),
        ] {
            let wrong = read(input).unwrap_err();
            assert_eq!(wrong[0].0, field, "{input}: {wrong:?}");
        }
    }

    #[test]
    fn what_is_given_goes_before_what_is_set() {
        let command = read(r#"{"argv":["a"],"env":{"PATH":"/a","X":"y"}}"#).unwrap();
        let env = environment(&command.env, Some(Path::new("/work")));
        let names: Vec<_> = env.keys().map(String::as_str).collect();
        assert_eq!(names, ["HOME", "LANG", "PATH", "TERM", "X"]);
        assert_eq!((env["PATH"].as_str(), env["HOME"].as_str()), ("/a", "/work"));
        assert_eq!(environment(&command.env, None)["HOME"], NO_HOME);
    }
}
