//! The lane of the dashboard: its form, its types, its tests, whether the committed build is what its sources build to, and the
//! real program in a real browser.

use crate::examples::built;
use crate::lane::Servers;
use crate::npm;
use crate::postgres;
use crate::process::{on_path, root, succeed};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// Runs the lane.
pub(crate) fn lane(servers: &mut Servers) -> Result<()> {
    npm::node("the dashboard", (20, 19))?;
    let chromium = chromium()?;
    let folder = root().join("dashboard");
    npm::install(&folder)?;
    for script in ["lint", "test", "check"] {
        succeed(&mut npm::npm(&folder, &["run", "--silent", script]))?;
    }
    let everloop = built()?;
    let database = servers.postgres()?.url();
    succeed(
        npm::npm(&folder, &["run", "--silent", "e2e"])
            .env("EVERLOOP_BIN", everloop)
            .env("EVERLOOP_CHROMIUM", chromium)
            .env(postgres::URL, database),
    )
}

/// A Chromium, Debian's where there is none.
fn chromium() -> Result<PathBuf> {
    let find = || ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| on_path(name));
    if find().is_none() && on_path("apt-get").is_some() {
        succeed(Command::new("apt-get").args(["install", "-y", "--no-install-recommends", "chromium"]))?;
    }
    match find() {
        Some(found) => Ok(found),
        None => bail!("the dashboard's tests need Chromium, which is not here and could not be installed"),
    }
}
