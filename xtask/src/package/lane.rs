//! The lane that makes the packages, of the program that was built for debugging, installs them where there is nothing else, and
//! does what the documents say: first steps, the command, a script that is killed.

use super::{Packages, VERSION, make};
use crate::examples::{self, built};
use crate::process::{on_path, output, root, succeed};
use crate::typescript::npm;
use crate::venv;
use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the machine of a user has beside Python: neither cargo nor the program.
const TOOLS: &[&str] = &["sh", "node", "npm", "npx"];

/// Runs the lane.
pub(crate) fn lane() -> Result<()> {
    let program = built()?;
    let home = tempfile::tempdir()?;
    let packages = make(&program, &home.path().join("everloop/dist"))?;
    let user = User::new(home.path())?;
    python(&user, &packages)?;
    typescript(&user, &packages)
}

/// Somebody who has the packages, and little else.
struct User {
    home: PathBuf,
}

impl User {
    fn new(home: &Path) -> Result<Self> {
        fs::create_dir(home.join("bin"))?;
        for tool in TOOLS {
            let tool_path = on_path(tool).with_context(|| format!("{tool} is not here"))?;
            symlink(tool_path, home.join("bin").join(tool))?;
        }
        // Itself, where what is on the path only looks for it.
        let itself = ["-c", "import sys; print(sys.executable)"];
        symlink(output(Command::new(examples::python()?).args(itself))?, home.join("bin/python3"))?;
        Ok(Self { home: home.to_owned() })
    }

    /// A folder of its own, beside that of the packages.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.home.join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// A command in a folder, which finds the tools of the user and no registry.
    fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().envs(self.environment());
        command
    }

    fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("PATH", self.home.join("bin")),
            ("HOME", self.home.clone()),
            ("XDG_STATE_HOME", self.home.clone()),
            ("PIP_NO_INDEX", "1".into()),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1".into()),
            ("npm_config_offline", "true".into()),
            ("npm_config_audit", "false".into()),
            ("npm_config_update_notifier", "false".into()),
        ]
    }
}

fn python(user: &User, packages: &Packages) -> Result<()> {
    let list = "import sys, zipfile; print(*zipfile.ZipFile(sys.argv[1]).namelist(), sep='\\n')";
    let names = output(user.command("python3", &user.home).args(["-c", list]).arg(&packages.wheel))?;
    let about = format!("everloop-{VERSION}.dist-info");
    let license = format!("{about}/licenses/LICENSE");
    contents(
        &names,
        &["everloop/py.typed", "everloop/bin/everloop", "everloop/__init__.py", &license],
        |name| {
            let code = name.starts_with("everloop/") && name.ends_with(".py");
            code || name.starts_with(&about)
        },
    )?;
    let tag = &packages.platform.wheel;
    ensure!(packages.wheel.ends_with(format!("everloop-{VERSION}-py3-none-{tag}.whl")));
    let folder = user.folder("python")?;
    first_steps(user, &folder, "docs/python.md", ".venv/bin/python digest.py")?;
    let interpreter = folder.join(".venv/bin/python");
    let hello = folder.join("hello.py");
    fs::copy(root().join("sdks/python/examples/hello.py"), &hello)?;
    let said = output(user.command(&interpreter, &folder).arg(&hello))?;
    ensure!(said.lines().next() == Some("Hello, Ada!"), "examples/hello.py says {said}");
    knows_its_version(&mut user.command(folder.join(".venv/bin/everloop"), &folder))?;
    knows_its_version(user.command(&interpreter, &folder).args(["-m", "everloop"]))?;
    // The tests are run by the tools of the SDK, their scripts by what was installed.
    let tools = venv::install("python-sdk", &root().join("sdks/python/requirements-dev.txt"))?;
    let mut kills = user.command(tools.join("bin/pytest"), &root().join("sdks/python"));
    kills.args(["-n", "2", "-p", "no:cacheprovider", "-k", "both", "tests/test_kill.py"]);
    succeed(kills.env("EVERLOOP_TEST_PYTHON", interpreter))
}

fn typescript(user: &User, packages: &Packages) -> Result<()> {
    let folder = user.folder("typescript")?;
    first_steps(user, &folder, "docs/typescript.md", "node digest.mjs")?;
    knows_its_version(user.command("npx", &folder).arg("everloop"))?;
    let installed = folder.join("node_modules/everloop");
    let names = files(&installed, &installed)?;
    let program = format!("vendor/{}/everloop", packages.platform.npm);
    let named = ["package.json", "README.md", "LICENSE", "bin/everloop.js", "dist/index.d.ts", &program];
    contents(&names.join("\n"), &named, |name| {
        name.starts_with("dist/") && [".js", ".js.map", ".d.ts"].iter().any(|end| name.ends_with(end))
    })?;
    for map in names.iter().filter(|name| name.ends_with(".map")) {
        let map: serde_json::Value = serde_json::from_slice(&fs::read(installed.join(map))?)?;
        let sources = map["sources"].as_array().context("a map without sources")?;
        let is_ours = |source: &serde_json::Value| {
            source.as_str().is_some_and(|path| path.trim_start_matches("../").starts_with("src/"))
        };
        ensure!(sources.iter().all(is_ours), "a map names {sources:?}");
    }
    // The scripts that are killed lie beside the package, and find it there.
    succeed(&mut npm(&["run", "--silent", "build"]))?;
    let build = root().join("sdks/typescript/build");
    fs::create_dir(folder.join("examples"))?;
    for script in ["effect.js", "hello.js", "children.js"] {
        fs::copy(build.join("examples").join(script), folder.join("examples").join(script))?;
    }
    let mut kills = user.command("node", &root().join("sdks/typescript"));
    kills.args(["--test", "--test-reporter=tap", "--test-name-pattern=^(hello|children) "]);
    kills.arg(build.join("test/kill.test.js"));
    let said = output(kills.env("EVERLOOP_TEST_HOME", folder).env("EVERLOOP_BIN", installed.join(program)))?;
    ensure!(said.contains("# pass 2\n") && said.contains("# fail 0\n"), "of the kills, node says\n{said}");
    Ok(())
}

/// Does what the section `Quickstart` of a page says: installs, writes the script, and runs it. The second time the result is there.
fn first_steps(user: &User, folder: &Path, page: &str, command: &str) -> Result<()> {
    let text = fs::read_to_string(root().join(page))?;
    let section = text.split("## Quickstart\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let section = section.with_context(|| format!("{page} has no section `Quickstart`"))?;
    let block = |language: &str| {
        let begun =
            section.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next());
        begun.with_context(|| format!("the quickstart of {page} shows no {language}"))
    };
    let script = command.rsplit(' ').next().context("no script")?;
    let language = if script.ends_with(".py") { "python" } else { "js" };
    ensure!(section.contains(&format!("`{command}`")), "the quickstart of {page} does not say `{command}`");
    let shell = |line: &str| {
        let mut shell = user.command("sh", folder);
        shell.args(["-euc", line]);
        shell
    };
    let install = block("sh")?;
    succeed(&mut shell(install)).with_context(|| format!("{page} says\n{install}"))?;
    fs::write(folder.join(script), block(language)?)?;
    let says = block("text")?.trim_end();
    let said = output(&mut shell(command))?;
    ensure!(said == says, "{page} says that {script} prints\n{says}\nand it prints\n{said}");
    let again = output(&mut shell(command))?;
    let result = says.lines().last().unwrap_or_default();
    ensure!(again == result, "the second time {script} prints\n{again}");
    Ok(())
}

fn knows_its_version(command: &mut Command) -> Result<()> {
    let said = output(command.arg("--version"))?;
    ensure!(said == format!("everloop {VERSION}"), "{command:?} says {said}");
    Ok(())
}

/// A package has what is named, and else only what belongs into it.
fn contents(names: &str, named: &[&str], belongs: impl Fn(&str) -> bool) -> Result<()> {
    let names: Vec<_> = names.lines().collect();
    for name in named {
        ensure!(names.contains(name), "{name} is missing among {names:?}");
    }
    for name in names.iter().filter(|name| !named.contains(name)) {
        ensure!(belongs(name), "{name} does not belong into the package");
    }
    Ok(())
}

/// Every file below a folder, by its path from another one.
fn files(folder: &Path, from: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut files(&path, from)?);
        } else {
            found.push(path.strip_prefix(from)?.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}
