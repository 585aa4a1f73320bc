//! In a clone of the repository `cargo run --example` builds the example alone, and not the program `everloop` that it needs.
//! Elsewhere the program is installed, and nothing of this is needed.

use std::env::{current_exe, var_os};
use std::io::{Error, Result};
use std::process::Command;

/// Has Cargo build the program, where Cargo has started the example.
#[expect(clippy::disallowed_methods, reason = "Cargo is started to build what the example needs")]
pub(crate) fn built() -> Result<()> {
    let (Some(cargo), Some(folder)) = (var_os("CARGO"), var_os("CARGO_MANIFEST_DIR")) else { return Ok(()) };
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--bin", "everloop"]).current_dir(folder);
    // The program is looked for beside the example, which says for what it was built.
    if current_exe()?.ancestors().any(|folder| folder.ends_with("release")) {
        build.arg("--release");
    }
    if build.status()?.success() {
        Ok(())
    } else {
        Err(Error::other("the program everloop could not be built"))
    }
}
