//! Hosts: where each keeps its list of MCP servers, and how it writes them.

use clap::ValueEnum;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A program that talks to MCP servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Host {
    /// Claude Code
    ClaudeCode,
    /// Claude Desktop
    ClaudeDesktop,
    /// Codex
    Codex,
    /// Cursor
    Cursor,
    /// Gemini CLI
    Gemini,
    /// opencode
    Opencode,
    /// Visual Studio Code
    Vscode,
    /// Windsurf
    Windsurf,
}

/// What is written into a host's file.
pub(super) enum Entry {
    /// A member of a JSON object.
    Json { path: [&'static str; 2], value: String },
    /// A table of a TOML file.
    Toml { table: &'static str, text: String },
}

/// Where a user's files are.
pub(super) struct Home {
    pub(super) home: PathBuf,
    /// `$XDG_CONFIG_HOME`, or `~/.config`; on macOS the folder of applications.
    pub(super) config: PathBuf,
}

impl Home {
    /// That of whoever runs this.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let home = PathBuf::from(variable("HOME").filter(|home| !home.is_empty())?);
        let set = variable("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
        let usual = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" };
        Some(Self { config: set.unwrap_or_else(|| home.join(usual)), home })
    }
}

impl Host {
    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::Codex => "Codex",
            Self::Cursor => "Cursor",
            Self::Gemini => "Gemini CLI",
            Self::Opencode => "opencode",
            Self::Vscode => "Visual Studio Code",
            Self::Windsurf => "Windsurf",
        }
    }

    /// Its file.
    pub(super) fn file(self, home: &Home) -> PathBuf {
        match self {
            Self::ClaudeCode => home.home.join(".claude.json"),
            Self::ClaudeDesktop => home.config.join("Claude/claude_desktop_config.json"),
            Self::Codex => home.home.join(".codex/config.toml"),
            Self::Cursor => home.home.join(".cursor/mcp.json"),
            Self::Gemini => home.home.join(".gemini/settings.json"),
            Self::Opencode => home.home.join(".config/opencode/opencode.json"),
            Self::Vscode => home.config.join("Code/User/mcp.json"),
            Self::Windsurf => home.home.join(".codeium/windsurf/mcp_config.json"),
        }
    }

    /// What it is told: to start this program with these arguments.
    pub(super) fn entry(self, program: &Path, arguments: &[String]) -> Entry {
        let program = program.to_string_lossy();
        let plain = json!({"command": program, "args": arguments});
        let typed = json!({"type": "stdio", "command": program, "args": arguments});
        let json = |list: &'static str, value: &Value| Entry::Json {
            path: [list, "everloop"],
            value: value.to_string(),
        };
        match self {
            Self::ClaudeDesktop | Self::Cursor | Self::Gemini | Self::Windsurf => json("mcpServers", &plain),
            Self::ClaudeCode => json("mcpServers", &typed),
            Self::Vscode => json("servers", &typed),
            Self::Opencode => {
                let mut command = vec![program.into_owned()];
                command.extend_from_slice(arguments);
                json("mcp", &json!({"type": "local", "command": command, "enabled": true}))
            }
            Self::Codex => {
                // A JSON string is a TOML string, and so is a list of them.
                let text = format!("command = {}\nargs = {}\n", json!(program), json!(arguments));
                Entry::Toml { table: "mcp_servers", text }
            }
        }
    }
}
