//! deny.toml says to Cargo's whole graph what `layers.toml` says to our manifests.

use super::Findings;
use super::layers::Table;
use super::tree::Tree;
use anyhow::Context;
use serde::Deserialize;

const FILE: &str = "deny.toml";

/// The part of the file that concerns us.
#[derive(Deserialize)]
struct Deny {
    bans: Bans,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    #[serde(default)]
    wrappers: Vec<String>,
}

/// Where both files speak of a crate, they let the same crates of ours have it.
pub(super) fn check(tree: &Tree) -> Findings {
    let deny: Deny = toml::from_str(tree.need(FILE)?).context(FILE)?;
    let table = Table::parse(tree)?;
    let mut findings = Vec::new();
    for ban in &deny.bans.deny {
        let Some(owners) = table.owners(&ban.name) else { continue };
        let mut wanted: Vec<String> = owners.iter().map(|owner| package(owner)).collect();
        let mut found: Vec<String> =
            ban.wrappers.iter().filter(|name| name.starts_with("everloop")).cloned().collect();
        wanted.sort();
        found.sort();
        if wanted != found {
            findings
                .push(format!("{FILE}: {} is for {found:?}, and in layers.toml for {wanted:?}", ban.name));
        }
    }
    Ok(findings)
}

/// What the crate in this folder is called.
fn package(folder: &str) -> String {
    if folder == "app" { "everloop".to_owned() } else { format!("everloop-{folder}") }
}

#[cfg(test)]
mod tests {
    use super::super::files::assert_findings;
    use super::*;

    #[test]
    fn both_files_name_the_same_owners() {
        let layers = "dev = []\ncrate = []\nforeign = [{ name = \"clap\", only = [\"app\"] }, { name = \"sql\", only = [\"db\"] }]\n";
        let deny = "[bans]\ndeny = [\n{ crate = \"clap\", wrappers = [\"everloop\", \"other\"] },\n\
                    { crate = \"sql\", wrappers = [\"everloop-api\"] },\n{ crate = \"native\" },\n]\n";
        assert_findings(check(&Tree::of(&[("layers.toml", layers), (FILE, deny)])), &["sql is for"]);
    }
}
