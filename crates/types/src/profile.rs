//! What an executor may do: nothing that isn't granted by name.

use serde::{Deserialize, Serialize};

/// The permissions of one task. The default grants nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecProfile {
    /// Hosts that the kinds `http` and `mcp` may call: `example.com`, `example.com:8443`, `*.example.com`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// MCP servers of the operator's that the `mcp` kind may start, by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp: Vec<String>,
    /// Bytes of output that are kept of a command, before it is cut off with a mark; 16 MiB when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
}
