//! Who may import whom: `cargo metadata` against `layers.toml`, and that table in ARCHITECTURE.md.

use super::Findings;
use super::tree::Tree;
use crate::process::root;
use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};
use serde::Deserialize;
use std::collections::HashMap;

/// The page that shows the table.
pub(super) const RENDERED_IN: &str = "ARCHITECTURE.md";
const FILE: &str = "layers.toml";
const BEGIN: &str = "<!-- layers -->";
const END: &str = "<!-- /layers -->";

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// Crates of ours that every other may take for its tests.
    dev: Vec<String>,
    /// Ours, from the lowest to the highest.
    #[serde(rename = "crate")]
    crates: Vec<Row>,
    /// Others' crates that only some of ours may name.
    foreign: Vec<Foreign>,
}

/// One crate of ours, called like its folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    level: Level,
    holds: String,
    #[serde(default)]
    imports: Vec<String>,
    /// What its tests may take besides.
    #[serde(default)]
    dev: Vec<String>,
}

/// Where it stands. `Tool` is beside the house: none of the rules hold for it, save that nothing shipped imports it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    L0,
    L1,
    L2,
    L3,
    L4,
    L5,
    #[serde(rename = "dev")]
    Dev,
    #[serde(rename = "tool")]
    Tool,
}

/// One crate of others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Foreign {
    name: String,
    only: Vec<String>,
}

/// A crate as Cargo sees it: its folder's name, and what it depends on.
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    /// The folder's name of one of ours, the package's name of others'.
    name: String,
    ours: bool,
    dev: bool,
}

/// The imports of every crate are those that the table allows.
pub(super) fn imports(tree: &Tree) -> Findings {
    let table = Table::parse(tree)?;
    let mut findings = table.wrong_in_itself();
    findings.extend(table.wrong_with(&packages()?));
    Ok(findings)
}

/// The table in ARCHITECTURE.md is the one in the file.
pub(super) fn rendered(tree: &Tree) -> Findings {
    let right = tree.need(RENDERED_IN)? == render_into(tree)?;
    let finding = format!("{RENDERED_IN}: its table of layers is old: run `cargo xtask tidy --bless`");
    Ok(if right { Vec::new() } else { vec![finding] })
}

/// The text of ARCHITECTURE.md with the table of now.
pub(super) fn render_into(tree: &Tree) -> Result<String> {
    let text = tree.need(RENDERED_IN)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        bail!("{RENDERED_IN} needs the lines {BEGIN} and {END}, with the table between them");
    };
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", Table::parse(tree)?.render()))
}

fn packages() -> Result<Vec<Package>> {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec()?;
    let members = metadata.workspace_packages();
    let folder = |package: &cargo_metadata::Package| {
        let dir = package.manifest_path.parent().and_then(|dir| dir.file_name());
        dir.map(str::to_owned).with_context(|| format!("{} has no folder", package.manifest_path))
    };
    let mut ours = HashMap::new();
    for package in &members {
        ours.insert(package.name.to_string(), folder(package)?);
    }
    let read = |package: &&cargo_metadata::Package| {
        let dependencies = package.dependencies.iter().map(|dependency| {
            let own = ours.get(&dependency.name);
            Dependency {
                name: own.unwrap_or(&dependency.name).clone(),
                ours: own.is_some(),
                dev: dependency.kind == DependencyKind::Development,
            }
        });
        Ok(Package { name: folder(package)?, dependencies: dependencies.collect() })
    };
    members.iter().map(read).collect()
}

impl Table {
    /// Reads the file.
    pub(super) fn parse(tree: &Tree) -> Result<Self> {
        toml::from_str(tree.need(FILE)?).context(FILE)
    }

    /// The crates of ours that may name this one of others; nothing where all may.
    pub(super) fn owners(&self, foreign: &str) -> Option<&[String]> {
        Some(&self.foreign.iter().find(|row| row.name == foreign)?.only)
    }

    fn row(&self, name: &str) -> Option<&Row> {
        self.crates.iter().find(|row| row.name == name)
    }

    /// Names that are no crate's, and imports that point up.
    fn wrong_in_itself(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let owners = self.foreign.iter().flat_map(|foreign| &foreign.only);
        let named = self.crates.iter().flat_map(|row| row.imports.iter().chain(&row.dev));
        for name in owners.chain(named).chain(&self.dev).filter(|name| self.row(name).is_none()) {
            wrong.push(format!("{FILE}: it names {name}, and has no such crate"));
        }
        for row in &self.crates {
            let up = row
                .imports
                .iter()
                .filter_map(|name| self.row(name))
                .filter(|import| import.level > row.level);
            wrong.extend(
                up.map(|import| {
                    format!("{FILE}: {} may import {}, which is above it", row.name, import.name)
                }),
            );
        }
        wrong
    }

    fn wrong_with(&self, packages: &[Package]) -> Vec<String> {
        let gone = self.crates.iter().filter(|row| !packages.iter().any(|package| package.name == row.name));
        let mut wrong: Vec<_> = gone.map(|row| format!("{FILE}: there is no crate {}", row.name)).collect();
        for package in packages {
            let Some(row) = self.row(&package.name) else {
                wrong.push(format!("{FILE}: it doesn't know the crate {}", package.name));
                continue;
            };
            let refused = package.dependencies.iter().filter(|dependency| !self.allows(row, dependency));
            wrong.extend(refused.map(|dependency| {
                let how = if dependency.dev { "take for its tests" } else { "import" };
                format!("{}/Cargo.toml: {FILE} doesn't let {} {how} {}", row.name, row.name, dependency.name)
            }));
        }
        wrong
    }

    fn allows(&self, row: &Row, dependency: &Dependency) -> bool {
        let name = &dependency.name;
        if row.level == Level::Tool {
            return true;
        }
        if !dependency.ours {
            return row.level == Level::Dev
                || self.owners(name).is_none_or(|owners| owners.contains(&row.name));
        }
        // A crate may take itself for its tests, with other features.
        let dev = dependency.dev && (self.dev.contains(name) || row.dev.contains(name) || &row.name == name);
        row.imports.contains(name) || dev
    }

    fn render(&self) -> String {
        let mut text =
            String::from("| Level | Crate | Holds | May import | Alone may name |\n|---|---|---|---|---|\n");
        for row in &self.crates {
            let level = format!("{:?}", row.level).replace("Dev", "tests").replace("Tool", "tool");
            let imports =
                if row.level == Level::Tool { "everything".to_owned() } else { listed(&row.imports) };
            let alone: Vec<_> =
                self.foreign.iter().filter(|foreign| foreign.only.contains(&row.name)).collect();
            let alone: Vec<String> = alone.iter().map(|foreign| foreign.name.clone()).collect();
            let alone = listed(&alone);
            text += &format!("| {level} | `{}` | {} | {imports} | {alone} |\n", row.name, row.holds);
        }
        text
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::files::assert_findings;
    use super::*;

    const TABLE: &str = r#"
        dev = ["kit"]
        crate = [
            { name = "low", level = "L0", holds = "words" },
            { name = "high", level = "L2", holds = "deeds", imports = ["low"], dev = ["side"] },
            { name = "side", level = "L2", holds = "a database", imports = ["low"] },
            { name = "kit", level = "dev", holds = "fakes", imports = ["low"] },
            { name = "bench", level = "tool", holds = "figures" },
        ]
        foreign = [{ name = "sql", only = ["side"] }]
    "#;

    fn package(name: &str, dependencies: &[(&str, bool, bool)]) -> Package {
        let read = |(name, ours, dev): &(&str, bool, bool)| Dependency {
            name: (*name).to_owned(),
            ours: *ours,
            dev: *dev,
        };
        Package { name: name.to_owned(), dependencies: dependencies.iter().map(read).collect() }
    }

    fn findings(packages: &[Package]) -> Findings {
        Ok(Table::parse(&Tree::of(&[(FILE, TABLE)]))?.wrong_with(packages))
    }

    #[test]
    fn what_the_table_allows_is_allowed() {
        let packages = [
            package("low", &[("serde", false, false), ("kit", true, true)]),
            package("high", &[("low", true, false), ("side", true, true), ("high", true, true)]),
            package("side", &[("low", true, false), ("sql", false, false)]),
            package("kit", &[("low", true, false), ("sql", false, false)]),
            package("bench", &[("high", true, false), ("sql", false, false)]),
        ];
        assert_findings(findings(&packages), &[]);
    }

    #[test]
    fn what_the_table_does_not_allow_is_found() {
        let packages = [
            package("low", &[("high", true, false), ("kit", true, false), ("sql", false, true)]),
            package("high", &[("side", true, false)]),
            package("side", &[("high", true, true)]),
            package("kit", &[]),
            package("new", &[]),
        ];
        let expected = [
            "there is no crate bench",
            "let low import high",
            "let low import kit",
            "let low take for its tests sql",
            "let high import side",
            "let side take for its tests high",
            "doesn't know the crate new",
        ];
        assert_findings(findings(&packages), &expected);
    }

    #[test]
    fn the_table_points_down_and_knows_its_names() {
        let table = TABLE.replace(r#"holds = "words""#, r#"holds = "words", imports = ["high", "ghost"]"#);
        let table = Table::parse(&Tree::of(&[(FILE, &table)])).unwrap();
        assert_findings(Ok(table.wrong_in_itself()), &["names ghost", "low may import high"]);
    }

    #[test]
    fn the_table_is_rendered_between_its_marks() {
        let page = format!("# A\n{BEGIN}\nstale\n{END}\nrest\n");
        let text = render_into(&Tree::of(&[(FILE, TABLE), (RENDERED_IN, &page)])).unwrap();
        assert!(text.contains("| L2 | `side` | a database | low | sql |\n"), "{text}");
        assert!(text.ends_with(&format!("{END}\nrest\n")) && !text.contains("stale"), "{text}");
        let again = Tree::of(&[(FILE, TABLE), (RENDERED_IN, &text)]);
        assert_findings(rendered(&again), &[]);
        assert!(rendered(&Tree::of(&[(FILE, TABLE), (RENDERED_IN, "# A\n")])).is_err());
    }
}
