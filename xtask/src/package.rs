//! `cargo xtask package`: a wheel and an npm tarball that bring the program for this platform along, in `dist`.

mod lane;
mod platform;

pub(crate) use self::lane::lane;

use self::platform::Platform;
use crate::process::{cargo, on_path, output, root, succeed, target};
use crate::{typescript, venv};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The version of everything: that of the workspace in `Cargo.toml`.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What was made.
struct Packages {
    wheel: PathBuf,
    tarball: PathBuf,
    platform: Platform,
}

/// Builds the program for a release and packs it.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    if let Some(arg) = args.first() {
        bail!("`cargo xtask package` takes no {}", arg.display());
    }
    succeed(&mut cargo(&["build", "--release", "-p", "everloop"]))?;
    let packages = make(&target().join("release/everloop"), &root().join("dist"))?;
    println!("{}\n{}", packages.wheel.display(), packages.tarball.display());
    Ok(ExitCode::SUCCESS)
}

/// Packs a program. What an earlier call has made is gone then.
fn make(program: &Path, dist: &Path) -> Result<Packages> {
    versions()?;
    let platform = Platform::of(program)?;
    let stage = target().join("package");
    for folder in [&stage, dist] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    // What a debugger wants is most of it. The names of functions stay, for whoever has to read a backtrace.
    let packed = stage.join("everloop");
    on_path("strip").context("`strip` is not here; it comes with the C compiler, in Debian's binutils")?;
    succeed(Command::new("strip").arg("--strip-debug").arg(program).arg("-o").arg(&packed))?;
    Ok(Packages {
        wheel: wheel(&packed, &stage.join("python"), dist, &platform)?,
        tarball: tarball(&packed, &stage.join("typescript"), dist, &platform)?,
        platform,
    })
}

/// The packages have the version of the program that they bring along.
fn versions() -> Result<()> {
    let read = |path: &str| fs::read_to_string(root().join(path)).with_context(|| path.to_owned());
    let json = |path: &str| -> Result<Value> { Ok(serde_json::from_str(&read(path)?)?) };
    let (python, package, lock) = (
        "sdks/python/src/everloop/_version.py",
        "sdks/typescript/package.json",
        "sdks/typescript/package-lock.json",
    );
    let found = [
        (python, read(python)?.split('"').rev().nth(1).map(str::to_owned)),
        (package, json(package)?["version"].as_str().map(str::to_owned)),
        (lock, json(lock)?["version"].as_str().map(str::to_owned)),
        (lock, json(lock)?["packages"][""]["version"].as_str().map(str::to_owned)),
    ];
    for (path, version) in found {
        let version = version.with_context(|| format!("{path} names no version"))?;
        ensure!(version == VERSION, "{path} has version {version}, and Cargo.toml {VERSION}: make them one");
    }
    Ok(())
}

/// The wheel of the Python SDK.
fn wheel(program: &Path, stage: &Path, dist: &Path, platform: &Platform) -> Result<PathBuf> {
    let home = venv::install("python-sdk", &root().join("sdks/python/requirements-dev.txt"))?;
    sources("sdks/python", stage)?;
    let mut build = Command::new(home.join("bin/python"));
    build.args(["-c", "import sys, hatchling.build as build; print(build.build_wheel(sys.argv[1]))"]);
    build.arg(dist).current_dir(stage);
    build.env("EVERLOOP_WHEEL_BIN", program).env("EVERLOOP_WHEEL_PLATFORM", &platform.wheel);
    let told = output(&mut build).context("the wheel could not be made")?;
    Ok(dist.join(told.lines().last().context("the wheel has no name")?))
}

/// The tarball of the TypeScript SDK.
fn tarball(program: &Path, stage: &Path, dist: &Path, platform: &Platform) -> Result<PathBuf> {
    typescript::install()?;
    sources("sdks/typescript", stage)?;
    let tools = stage.join("node_modules");
    std::os::unix::fs::symlink(root().join("sdks/typescript/node_modules"), &tools)?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--pack-destination"]).arg(dist).current_dir(stage);
    pack.env("EVERLOOP_PACK_BIN", program).env("EVERLOOP_PACK_TARGET", &platform.npm);
    let told = output(&mut pack).context("the tarball could not be made")?;
    let made = dist.join(told.lines().last().context("the tarball has no name")?);
    // npm knows nothing of platforms, and names the tarballs of all of them alike.
    let named = dist.join(format!("everloop-{VERSION}-{}.tgz", platform.npm));
    fs::rename(made, &named)?;
    Ok(named)
}

/// Copies what the repository has in a folder, and the licence: nothing that lies about gets into a package.
fn sources(folder: &str, stage: &Path) -> Result<()> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let files = output(git.current_dir(root().join(folder)))
        .context("packages are made in a clone of the repository, of what git knows in it")?;
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (root().join(folder).join(file), stage.join(file));
        // One that was deleted and not committed yet.
        if from.is_file() {
            fs::create_dir_all(to.parent().context("no folder")?)?;
            fs::copy(&from, to).with_context(|| from.display().to_string())?;
        }
    }
    fs::copy(root().join("LICENSE"), stage.join("LICENSE"))?;
    Ok(())
}
