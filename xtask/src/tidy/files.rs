//! What must be true of each file by itself.

use super::Findings;
use super::tree::Tree;
use anyhow::Context;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How long a Rust file should be at most.
pub(super) const LINES_AIMED: usize = 400;
/// How long it may be, unless the ratchet lists it.
const LINES_MAX: usize = 800;
/// Files that are longer than allowed, with the lines that they may have. The list only shrinks.
const RATCHET: &str = "xtask/ratchet.toml";

/// The markers of unfinished work. Written in two halves, so that this file has none of them.
const MARKER_WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const MARKER_MACROS: &[&str] = &[concat!("to", "do!"), concat!("unimplemen", "ted!"), concat!("db", "g!")];
const SOURCES: &[&str] =
    &[".rs", ".toml", ".sql", ".sh", ".py", ".ts", ".tsx", ".js", ".yml", ".yaml", ".proto", ".ci/run"];

/// Package registries. Which one to use is the business of whoever builds.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("registry.npm", "js.org"),
    concat!("registry.yarn", "pkg.com"),
    concat!("py", "pi.org"),
    concat!("files.python", "hosted.org"),
    concat!("proxy.go", "lang.org"),
];
/// Written by tools, which name the registry in them.
const LOCK_FILES: &[&str] = &["Cargo.lock"];

/// Folders of the machine that something was written on.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratchet {
    lines: BTreeMap<String, usize>,
}

/// No Rust file is longer than allowed.
pub(super) fn lengths(tree: &Tree) -> Findings {
    let ratchet: Ratchet = toml::from_str(tree.need(RATCHET)?).context(RATCHET)?;
    let mut findings = Vec::new();
    for (path, text) in tree.ending(&[".rs"]) {
        let lines = text.lines().count();
        match ratchet.lines.get(path) {
            None if lines > LINES_MAX => {
                findings.push(format!("{path}: {lines} lines, {LINES_MAX} at most: split it"))
            }
            Some(max) if lines > *max => {
                findings
                    .push(format!("{path}: {lines} lines, and {RATCHET} allows {max}: it may only shrink"));
            }
            Some(_) if lines <= LINES_MAX => {
                findings.push(format!("{path}: {lines} lines are allowed to all: take it off {RATCHET}"));
            }
            None | Some(_) => {}
        }
    }
    let gone = ratchet.lines.keys().filter(|path| tree.text(path).is_none());
    findings.extend(gone.map(|path| format!("{RATCHET}: there is no {path}")));
    Ok(findings)
}

/// Files that are allowed, and longer than they should be.
pub(super) fn longer_than_aimed(tree: &Tree) -> Vec<String> {
    let counted = tree.ending(&[".rs"]).map(|(path, text)| (path, text.lines().count()));
    counted
        .filter(|(_, lines)| *lines > LINES_AIMED)
        .map(|(path, lines)| format!("{path} ({lines})"))
        .collect()
}

/// Every Rust file begins by saying what it is for.
pub(super) fn module_docs(tree: &Tree) -> Findings {
    let bare = tree.ending(&[".rs"]).filter(|(_, text)| !text.starts_with("//! "));
    Ok(bare
        .map(|(path, _)| format!("{path}: the first line is no `//!` that says what the file is for"))
        .collect())
}

/// No source says that it isn't finished.
pub(super) fn unfinished(tree: &Tree) -> Findings {
    let found = lines_with(tree.ending(SOURCES), |line| {
        MARKER_WORDS.iter().chain(MARKER_MACROS).copied().find(|marker| holds_word(line, marker))
    });
    Ok(found.map(|(at, marker)| format!("{at}: {marker} says that this isn't finished")).collect())
}

/// No file names a package registry.
pub(super) fn registries(tree: &Tree) -> Findings {
    let files = tree.texts().filter(|(path, _)| !LOCK_FILES.iter().any(|lock| path.ends_with(lock)));
    let found = lines_with(files, |line| REGISTRIES.iter().copied().find(|host| holds_word(line, host)));
    Ok(found.map(|(at, host)| format!("{at}: names the package registry {host}")).collect())
}

/// No file names a folder of the machine that it was written on.
pub(super) fn machine_paths(tree: &Tree) -> Findings {
    let found = lines_with(tree.texts(), |line| {
        MACHINE_PATHS.iter().copied().find(|path| {
            line.match_indices(path)
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}*~".contains(c)))
        })
    });
    Ok(found.map(|(at, path)| format!("{at}: {path} is a path of one machine")).collect())
}

/// `path:line` and what was found in that line.
fn lines_with<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
    find: impl Fn(&str) -> Option<&'static str> + Copy,
) -> impl Iterator<Item = (String, &'static str)> {
    files.flat_map(move |(path, text)| {
        let lines = text.lines().enumerate();
        lines.filter_map(move |(index, line)| Some((format!("{path}:{}", index + 1), find(line)?)))
    })
}

/// Whether the line holds the word with no letter, digit or underscore at either side.
fn holds_word(line: &str, word: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        !line[..at].ends_with(inner) && (word.ends_with('!') || !after.starts_with(inner))
    })
}

/// For the tests of the checks: fails with the findings.
#[cfg(test)]
pub(super) fn assert_findings(found: Findings, expected: &[&str]) {
    let found = found.unwrap();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found:?} should contain {expected:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(lines: usize) -> String {
        "//! x\n".repeat(lines)
    }

    #[test]
    fn long_files_need_the_ratchet_and_the_ratchet_only_shrinks() {
        let ratchet = "[lines]\n\"b.rs\" = 900\n\"c.rs\" = 900\n\"d.rs\" = 900\n\"gone.rs\" = 900\n";
        let (a, b, c, d) = (long(801), long(900), long(901), long(800));
        let tree = Tree::of(&[(RATCHET, ratchet), ("a.rs", &a), ("b.rs", &b), ("c.rs", &c), ("d.rs", &d)]);
        let expected =
            ["a.rs: 801 lines", "c.rs: 901 lines", "d.rs: 800 lines are allowed", "there is no gone.rs"];
        assert_findings(lengths(&tree), &expected);
        assert_eq!(longer_than_aimed(&tree).len(), 4);
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        assert_findings(module_docs(&Tree::of(&[("a.rs", "//! A.\n"), ("b.rs", "use x;\n")])), &["b.rs"]);
    }

    #[test]
    fn markers_of_unfinished_work_are_found_as_words() {
        let text = format!(
            "fn methodology() {{}}\n// {}: later\nlet x = {}(1);\n",
            MARKER_WORDS[0], MARKER_MACROS[2]
        );
        let other = format!("[lints]\n{} = \"warn\"\n", MARKER_MACROS[0].trim_end_matches('!'));
        let tree = Tree::of(&[("a.rs", &text), ("b.toml", &other), ("c.md", MARKER_WORDS[0])]);
        assert_findings(unfinished(&tree), &["a.rs:2", "a.rs:3"]);
    }

    #[test]
    fn registries_and_paths_of_a_machine_are_found() {
        let host = format!("see https://{}/x", REGISTRIES[0]);
        let path = format!("frame{0}x\n\"{0}main\"\n$HOME{0}\n", MACHINE_PATHS[0]);
        let tree = Tree::of(&[("a.md", &host), ("Cargo.lock", &host), ("b.sh", &path)]);
        assert_findings(registries(&tree), &["a.md:1"]);
        assert_findings(machine_paths(&tree), &["b.sh:2"]);
    }
}
