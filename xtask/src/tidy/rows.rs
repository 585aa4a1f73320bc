//! `docs/rows.toml`: which test shows that a row of the requirements holds.

use super::Findings;
use super::tree::Tree;
use anyhow::Context;
use serde::Deserialize;
use std::collections::BTreeMap;

const FILE: &str = "docs/rows.toml";

/// The file. A test is `path::name`, the path from the root of the repository and the name of a function in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    rows: BTreeMap<String, Vec<String>>,
}

/// Every row is well named and has tests that are there.
pub(super) fn check(tree: &Tree) -> Findings {
    let rows: Rows = toml::from_str(tree.need(FILE)?).context(FILE)?;
    let mut findings = Vec::new();
    for (row, tests) in &rows.rows {
        if !is_row(row) {
            findings.push(format!("{FILE}: {row}: a row is called like T-04"));
        }
        if tests.is_empty() {
            findings.push(format!("{FILE}: {row} names no test"));
        }
        let wrong = tests
            .iter()
            .filter_map(|test| Some(format!("{FILE}: {row}: {test}: {}", wrong_with(tree, test)?)));
        findings.extend(wrong);
    }
    Ok(findings)
}

/// `T-04`, `RE-01`
fn is_row(name: &str) -> bool {
    name.split_once('-').is_some_and(|(letters, digits)| {
        !letters.is_empty()
            && letters.chars().all(|c| c.is_ascii_uppercase())
            && digits.len() >= 2
            && digits.chars().all(|c| c.is_ascii_digit())
    })
}

fn wrong_with(tree: &Tree, test: &str) -> Option<&'static str> {
    let Some((path, name)) = test.rsplit_once("::") else {
        return Some("write it as path::name");
    };
    let Some(text) = tree.text(path) else {
        return Some("there is no such file");
    };
    let keyword = match path.rsplit_once('.') {
        Some((_, "rs")) => "fn ",
        Some((_, "py")) => "def ",
        Some((_, "ts")) => {
            let starts = format!("test(\"{name}\"");
            let has = text.lines().any(|line| line.trim_start().starts_with(&starts));
            return (!has).then_some("the file has no such test");
        }
        _ => return Some("tests are in .rs, .py or .ts files"),
    };
    let starts = |line: &str| {
        let found = line.split_once(&format!("{keyword}{name}"));
        found.is_some_and(|(before, after)| {
            !before.trim_start().starts_with("//") && after.starts_with(['(', '<'])
        })
    };
    (!text.lines().any(starts)).then_some("the file has no such test")
}

#[cfg(test)]
mod tests {
    use super::super::files::assert_findings;
    use super::*;

    #[test]
    fn rows_name_tests_that_exist() {
        let rows = r#"
            [rows]
            "T-04" = ["a.rs::it_holds", "b.py::test_it"]
            "T-06" = ["d.ts::it holds", "d.ts::it held"]
            "T-05" = ["a.rs::it_hold", "c.rs::x", "a.rs", "a.rs::gone"]
            "E-01" = []
            "t4" = ["a.rs::it_holds"]
        "#;
        let test = "#[test]\nfn it_holds() {}\n// fn gone()\n";
        let (python, script) =
            ("def test_it():\n", "test(\"it holds\", () => {});\n// test(\"it held\", 1)\n");
        let tree = Tree::of(&[(FILE, rows), ("a.rs", test), ("b.py", python), ("d.ts", script)]);
        let expected = [
            "E-01 names no test",
            "a.rs::it_hold: the file has no such test",
            "c.rs::x: there is no such file",
            "a.rs: write it as path::name",
            "a.rs::gone: the file has no such test",
            "d.ts::it held: the file has no such test",
            "t4: a row is called",
        ];
        assert_findings(check(&tree), &expected);
    }
}
