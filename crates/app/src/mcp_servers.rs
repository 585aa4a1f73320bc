//! The file that `mcp_servers` names: programs that tasks may have started as MCP servers.

use crate::config::Settings;
use crate::failure::Failure;
use crate::wire::McpServers;

/// The servers; none where no file is named.
///
/// # Errors
/// If the file can't be read, or is no list of servers.
#[expect(clippy::disallowed_methods, reason = "the app reads its configuration")]
pub(crate) fn read(settings: &Settings) -> Result<McpServers, Failure> {
    let Some(file) = settings.path("mcp_servers") else { return Ok(McpServers::default()) };
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Failure::usage(format!("the MCP servers can't be read from {}", file.display()))
            .cause(error)
            .hint("name another file with --mcp-servers, or leave it out")
    })?;
    McpServers::parse(&text).map_err(|words| {
        Failure::usage(format!("{} is no list of MCP servers", file.display())).cause(words).hint(
            r#"it looks like this: {"mcpServers": {"NAME": {"command": "PROGRAM", "args": [], "env": {}}}}"#,
        )
    })
}
