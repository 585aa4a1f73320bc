//! `docs/errors/`: a page for every error code, which `everloop explain CODE` shows.

use super::Findings;
use super::tree::Tree;
use everloop_types::error::Code;

const DIR: &str = "docs/errors/";
const SECTIONS: [&str; 2] = ["What it means", "What to do"];

/// Every code has a page that says what it must, and every page has a code.
pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Vec::new();
    for code in Code::ALL {
        let path = format!("{DIR}{code}.md");
        match tree.text(&path) {
            None => findings.push(format!("{path}: the code {code} has no page")),
            Some(text) => {
                findings.extend(wrong_with(*code, text).into_iter().map(|wrong| format!("{path}: {wrong}")))
            }
        }
    }
    let pages = tree.ending(&[".md"]).filter_map(|(path, _)| path.strip_prefix(DIR)?.strip_suffix(".md"));
    let strange = pages.filter(|page| page.parse::<Code>().is_err());
    findings.extend(strange.map(|page| format!("{DIR}{page}.md: there is no code {page}")));
    Ok(findings)
}

fn wrong_with(code: Code, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let class = format!("{:?}", code.class()).to_lowercase();
    if text.lines().next() != Some(&format!("# {code}")) {
        wrong.push(format!("the first line is not `# {code}`"));
    }
    if !text.contains(&format!("**{}.**", code.title())) {
        wrong.push(format!("it doesn't have the title: **{}.**", code.title()));
    }
    if !text.contains(&format!("class `{class}`")) {
        wrong.push(format!("it doesn't say: class `{class}`"));
    }
    for section in SECTIONS {
        if section_of(text, section).is_none_or(str::is_empty) {
            wrong.push(format!("it has nothing under `## {section}`"));
        }
    }
    wrong
}

/// What stands between this heading and the next.
fn section_of<'a>(text: &'a str, title: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\n## {title}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_it_must() {
        let good = "# not_found\n\n**There is nothing here.** HTTP 404, class `validation`.\n\n\
                    ## What it means\n\nGone.\n\n## What to do\n\nLook.\n";
        assert_eq!(wrong_with(Code::NotFound, good), Vec::<String>::new());
        assert_eq!(wrong_with(Code::NotFound, &good.replace("Look.", "")).len(), 1);
        assert_eq!(wrong_with(Code::Internal, good).len(), 3);
    }

    #[test]
    fn codes_without_page_and_pages_without_code_are_found() {
        let found = check(&Tree::of(&[("docs/errors/ghost.md", "# ghost\n")])).unwrap();
        assert_eq!(found.len(), Code::ALL.len() + 1);
    }
}
