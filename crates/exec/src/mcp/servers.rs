//! The servers that the operator has named: programs of this machine that talk over standard input and output.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// Programs that may be started as MCP servers, by the names by which tasks ask for them. Nobody else names a program.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    #[serde(rename = "mcpServers")]
    named: BTreeMap<String, Program>,
}

/// One program.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    /// Its path, or its name in a folder of PATH.
    pub(super) command: String,
    /// Its arguments.
    #[serde(default)]
    pub(super) args: Vec<String>,
    /// Variables of its environment; nothing of this process's own gets there.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
}

/// Names only: what is in an environment may be secret.
impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.named.keys()).finish()
    }
}

impl Servers {
    /// Reads them in the form that hosts of MCP have: `{"mcpServers": {"NAME": {"command", "args"?, "env"?}}}`.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let servers: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (name, program) in &servers.named {
            if name.is_empty() || program.command.is_empty() {
                return Err(format!("server {name:?} needs a name and a command"));
            }
        }
        Ok(servers)
    }

    /// The program of a name.
    ///
    /// # Errors
    /// The words for there being none.
    pub(super) fn get(&self, name: &str) -> Result<&Program, String> {
        self.named.get(name).ok_or_else(|| {
            let known: Vec<_> = self.named.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            format!("no server {name:?} is named here; there is {known} (the operator's setting mcp_servers)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_in_the_form_of_hosts() {
        let text =
            r#"{"mcpServers": {"files": {"command": "f", "args": ["a"], "env": {"TOKEN": "secret"}}}}"#;
        let servers = Servers::parse(text).unwrap();
        let files = servers.get("files").unwrap();
        assert_eq!((files.args.len(), files.env["TOKEN"].as_str()), (1, "secret"));
        assert_eq!(format!("{servers:?}"), r#"{"files"}"#);
        let Err(words) = servers.get("mail") else { panic!("there is none") };
        assert!(
            words.contains("\"mail\"") && words.contains("files") && words.contains("mcp_servers"),
            "{words}"
        );
    }

    #[test]
    fn what_is_no_list_of_servers_is_refused_by_place() {
        for (text, part) in [
            ("", "line 1"),
            ("{}", "mcpServers"),
            (r#"{"mcpServers": {"a": {}}}"#, "command"),
            (r#"{"mcpServers": {"a": {"command": ""}}}"#, "\"a\""),
            (r#"{"mcpServers": {"a": {"command": "a", "cwd": "/"}}}"#, "cwd"),
            (r#"{"mcpServers": {"a": {"url": "http://a"}}}"#, "url"),
        ] {
            let words = Servers::parse(text).unwrap_err();
            assert!(words.contains(part), "{text}: {words}");
        }
    }
}
