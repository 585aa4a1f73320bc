//! `cargo xtask tidy`: what must be true of the tree and no compiler checks. It is also a test of this crate.
//!
//! A check takes the [`Tree`] and answers what is wrong, a line for each finding that begins with the file. The tree is read
//! once; checks do no I/O of their own, so each is tested on a tree made of a few lines.

mod denied;
mod error_pages;
mod files;
mod layers;
mod links;
mod rows;
mod sqlite;
mod tree;

use crate::mutants;
use crate::process::root;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::process::ExitCode;
use tree::Tree;

/// What a check answers: a line for each finding, none when all is well.
type Findings = Result<Vec<String>>;

const CHECKS: &[fn(&Tree) -> Findings] = &[
    files::lengths,
    files::module_docs,
    files::unfinished,
    files::registries,
    files::machine_paths,
    links::check,
    rows::check,
    error_pages::check,
    sqlite::check,
    layers::imports,
    layers::rendered,
    denied::check,
];

/// Runs it from the command line.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    match args {
        [] => check()?,
        [flag] if flag == "--bless" => bless()?,
        _ => bail!("`cargo xtask tidy` takes --bless or nothing"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails with everything that is untidy.
pub(crate) fn check() -> Result<()> {
    let tree = Tree::read(&root())?;
    let mut findings = Vec::new();
    for check in CHECKS {
        findings.extend(check(&tree)?);
    }
    findings.extend(mutants::stale()?);
    let long = files::longer_than_aimed(&tree);
    if !long.is_empty() {
        println!("Longer than the {} lines aimed at: {}", files::LINES_AIMED, long.join(", "));
    }
    if !findings.is_empty() {
        bail!("{} findings:\n  {}", findings.len(), findings.join("\n  "));
    }
    Ok(())
}

/// Writes what is generated.
fn bless() -> Result<()> {
    let tree = Tree::read(&root())?;
    let text = layers::render_into(&tree)?;
    let path = root().join(layers::RENDERED_IN);
    std::fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        if let Err(error) = super::check() {
            panic!("{error:#}");
        }
    }
}
