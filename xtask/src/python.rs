//! The lane of the Python SDK: its form, its types, and its tests against the program.

use crate::examples::built;
use crate::process::{root, succeed, target};
use crate::venv;
use anyhow::Result;
use std::process::Command;

/// Test processes at once: most of what they do is wait.
const AT_ONCE: &str = "4";

/// Runs the lane.
pub(crate) fn lane() -> Result<()> {
    let home = venv::install("python-sdk", &root().join("sdks/python/requirements-dev.txt"))?;
    let everloop = built()?;
    let tool = |name: &str| {
        let mut command = Command::new(home.join("bin").join(name));
        command.current_dir(root().join("sdks/python"));
        command
    };
    succeed(tool("ruff").args(["format", "--check", "--quiet"]))?;
    succeed(tool("ruff").args(["check", "--quiet"]))?;
    succeed(tool("mypy").arg("--cache-dir").arg(target().join("mypy")))?;
    succeed(tool("pytest").args(["-n", AT_ONCE, "--dist", "worksteal"]).env("EVERLOOP_BIN", everloop))
}
