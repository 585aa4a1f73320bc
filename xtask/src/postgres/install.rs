//! Installing PostgreSQL's server where it is missing.

use crate::process::{on_path, output, succeed};
use anyhow::{Result, bail};
use std::process::Command;

/// Keeps Debian's package from making and starting a cluster on port 5432, installs it, and puts its own settings back.
const SCRIPT: &str = "\
set -eu
export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
conf=/etc/postgresql-common/createcluster.conf
ours=
if [ ! -e $conf ]; then
    ours=1
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' > $conf
fi
restore() {
    [ -n \"$ours\" ] || return 0
    rm -f $conf.ucf-dist
    cp /usr/share/postgresql-common/createcluster.conf $conf 2>/dev/null || rm -f $conf
}
trap restore EXIT
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql
";

/// Installs it with the system's package manager, as root or through a `sudo` that asks nothing.
pub(super) fn install() -> Result<()> {
    if on_path("apt-get").is_none() {
        bail!("only apt-get is known here: install PostgreSQL ≥ 15 and put its `bin` folder into PATH");
    }
    let root = output(Command::new("id").arg("-u"))? == "0";
    if !root && output(Command::new("sudo").args(["-n", "true"])).is_err() {
        bail!("this needs root: run `apt-get install postgresql` yourself, or allow `sudo -n`");
    }
    println!("Installing PostgreSQL…");
    let mut command = if root { Command::new("sh") } else { Command::new("sudo") };
    if !root {
        command.args(["-n", "sh"]);
    }
    succeed(command.args(["-c", SCRIPT]))
}
