//! Every relative link in a markdown file leads to a file that is there, and to a heading of it.

use super::Findings;
use super::tree::Tree;
use std::collections::HashMap;

/// The check.
pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(&[".md"]) {
        for (number, link) in links(text) {
            if let Some(wrong) = wrong_with(tree, path, &link) {
                findings.push(format!("{path}:{number}: {link}: {wrong}"));
            }
        }
    }
    Ok(findings)
}

fn wrong_with(tree: &Tree, from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { Some(from.to_owned()) } else { resolve(from, file) };
    let Some(target) = target.filter(|target| tree.has(target)) else {
        return Some("there is no such file".to_owned());
    };
    let anchor = anchor?;
    let there = !target.ends_with(".md")
        || tree.text(&target).is_some_and(|text| anchors(text).any(|it| it == anchor));
    (!there).then(|| format!("{target} has no heading #{anchor}"))
}

/// The path from the root of what `link` in the file `from` leads to; nothing where it leads out of the tree.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" if parts.is_empty() => return None, // An absolute path.
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Lines outside fenced code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((number, line))
    })
}

/// The targets of all links, with the number of their line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // Every second piece between backticks is code.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("·");
        let inline =
            line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let defined =
            line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
        let targets = inline.chain(defined).filter_map(|target| target.split_whitespace().next());
        found.extend(targets.map(|target| (number, target.to_owned())));
    }
    found
}

/// What the headings of a page are called in links, as the usual viewers make it.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    prose(text).filter_map(move |(_, line)| {
        let title = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let times = seen.entry(slug.clone()).or_default();
        *times += 1;
        Some(if *times == 1 { slug } else { format!("{slug}-{}", *times - 1) })
    })
}

#[cfg(test)]
mod tests {
    use super::super::files::assert_findings;
    use super::*;

    #[test]
    fn links_lead_somewhere() {
        let page = "# A page\n[up](../README.md) [here](#a-page) [web](https://x.y/z) [dir](../docs)\n\
                    ```\n[code](nowhere.md)\n```\n`[code](nowhere.md)` [gone](gone.md) [no](../README.md#no)\n[ref]: lost.md\n";
        let tree = Tree::of(&[("docs/a.md", page), ("README.md", "# Top\n# It's `x_y`, 2\n# Top\n")]);
        assert_findings(
            check(&tree),
            &["a.md:6: gone.md", "README.md has no heading #no", "a.md:7: lost.md"],
        );
    }

    #[test]
    fn headings_become_anchors() {
        let found: Vec<_> = anchors("# Top\n## It's `x_y`, 2\n#no\n# Top\n").collect();
        assert_eq!(found, ["top", "its-x_y-2", "top-1"]);
    }

    #[test]
    fn paths_are_resolved_within_the_tree() {
        assert_eq!(resolve("docs/adr/1.md", "../../README.md").as_deref(), Some("README.md"));
        assert_eq!(resolve("README.md", "./docs/").as_deref(), Some("docs"));
        assert_eq!(resolve("README.md", "../x"), None);
        assert_eq!(resolve("README.md", "/x"), None);
    }
}
