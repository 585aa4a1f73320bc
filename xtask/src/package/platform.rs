//! Which machines a program runs on: what its file says that it needs.

use crate::process::{on_path, output};
use anyhow::{Context, Result, bail, ensure};
use std::env::consts;
use std::path::Path;
use std::process::Command;

/// What every Linux with the GNU C library has, as PEP 600 lists it.
const EVERYWHERE: &[&str] = &[
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// The platform of a program, as the package managers call it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Platform {
    /// `manylinux_2_34_x86_64`: the oldest C library that it runs with, and the processor.
    pub(super) wheel: String,
    /// `linux-x64`: what Node calls the system and the processor.
    pub(super) npm: String,
}

impl Platform {
    /// The platform of a program that was built here.
    pub(super) fn of(program: &Path) -> Result<Self> {
        if (consts::OS, cfg!(target_env = "gnu")) != ("linux", true) {
            bail!("packages are made on Linux with the GNU C library; this is {}", consts::OS);
        }
        on_path("objdump")
            .context("`objdump` is not here; it comes with the C compiler, in Debian's binutils")?;
        let needs = output(Command::new("objdump").arg("-p").arg(program))?;
        Self::read(&needs, consts::ARCH)
            .with_context(|| format!("{} can't be packed for other machines", program.display()))
    }

    /// Reads the private headers of an ELF file, as `objdump` writes them.
    fn read(needs: &str, arch: &str) -> Result<Self> {
        let node = match arch {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => bail!("no package is made for {other}"),
        };
        let mut libraries = needs.lines().filter_map(|line| line.trim().strip_prefix("NEEDED"));
        if let Some(other) = libraries.find(|library| !EVERYWHERE.contains(&library.trim())) {
            bail!("it needs {}, which not every machine has", other.trim());
        }
        let versions = needs.split_whitespace().filter(|word| word.starts_with("GLIBC_"));
        let minors: Vec<u32> = versions.map(minor).collect::<Result<_>>()?;
        let oldest = minors.into_iter().max();
        ensure!(oldest.is_some(), "it names no version of the C library");
        let oldest = oldest.unwrap_or_default();
        Ok(Self { wheel: format!("manylinux_2_{oldest}_{arch}"), npm: format!("linux-{node}") })
    }
}

/// 34 of `GLIBC_2.34`, and of `GLIBC_2.3.4` the 3.
fn minor(version: &str) -> Result<u32> {
    // Named for what they do: packed relocations came with 2.36.
    if version == "GLIBC_ABI_DT_RELR" {
        return Ok(36);
    }
    let number = version.strip_prefix("GLIBC_2.").and_then(|rest| rest.split('.').next()?.parse().ok());
    number.with_context(|| format!("it is not known which C library brought {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(libraries: &[&str], versions: &[&str]) -> String {
        let libraries: Vec<_> =
            libraries.iter().map(|name| format!("  NEEDED               {name}\n")).collect();
        let versions: Vec<_> =
            versions.iter().map(|name| format!("    0x06969189 0x00 10 {name}\n")).collect();
        format!("Dynamic Section:\n{}\nVersion References:\n{}", libraries.concat(), versions.concat())
    }

    #[test]
    fn the_newest_version_that_is_needed_is_the_oldest_that_will_do() {
        let read = |versions: &[&str]| Platform::read(&needs(&["libc.so.6"], versions), "x86_64");
        let found = read(&["GLIBC_2.2.5", "GLIBC_2.34", "GCC_4.2.0", "GLIBC_2.9"]).unwrap();
        assert_eq!(found, Platform { wheel: "manylinux_2_34_x86_64".into(), npm: "linux-x64".into() });
        assert_eq!(read(&["GLIBC_2.28", "GLIBC_ABI_DT_RELR"]).unwrap().wheel, "manylinux_2_36_x86_64");
        assert!(read(&[]).is_err());
        assert!(read(&["GLIBC_PRIVATE"]).unwrap_err().to_string().contains("GLIBC_PRIVATE"));
    }

    #[test]
    fn what_needs_more_than_every_machine_has_is_not_packed() {
        let error = Platform::read(&needs(&["libc.so.6", "libssl.so.3"], &["GLIBC_2.28"]), "x86_64");
        assert!(error.unwrap_err().to_string().contains("libssl.so.3"));
        assert!(Platform::read(&needs(&["libc.so.6"], &["GLIBC_2.28"]), "riscv64").is_err());
    }
}
