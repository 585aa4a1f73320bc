//! `everloop doctor`: silent when all is well, one line with a remedy per problem when not.

use super::ground::{Ground, block_on};
use crate::failure::{Exit, Outcome};
use crate::output;
use everloop_client::Client;
use everloop_client::discover::{self, KEY_FILE};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What is wrong, and what to do about it.
struct Problem {
    what: String,
    remedy: String,
    exit: Exit,
}

fn problem(exit: Exit, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem { what: what.into(), remedy: remedy.into(), exit }
}

pub(super) fn run(ground: &Ground) -> Outcome {
    let mut problems = Vec::new();
    let found = ground.found()?;
    let folder = found.folder.clone().unwrap_or_else(|| ground.data_dir());
    problems.extend(secrets(&folder));
    if let Some(stale) = stale(&ground.data_dir()) {
        problems.push(stale);
    }
    if found.listens {
        let client = Client::new(ground.options(&found))?;
        problems.extend(block_on(async { Ok(server(&client).await) })?);
    } else {
        let what = format!("no server is running (looked for one at {})", found.url);
        problems.push(problem(Exit::Unreachable, what, "everloop dev"));
    }
    for problem in &problems {
        output::line(format!("{}; do this: {}", problem.what, problem.remedy));
    }
    // An unreachable server weighs least: it may be meant so.
    let worst = problems.iter().map(|problem| problem.exit).min_by_key(|exit| exit.code());
    Ok(worst.unwrap_or(Exit::Done))
}

/// Files that only their owner may read.
fn secrets(folder: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in [KEY_FILE, "signing-key.json"] {
        let file = folder.join(name);
        let Ok(metadata) = file.metadata() else { continue };
        if metadata.permissions().mode() & 0o077 != 0 {
            let what = format!("{} can be read by others", file.display());
            problems.push(problem(Exit::Refused, what, format!("chmod 600 {}", file.display())));
        }
    }
    problems
}

/// A server that was killed leaves its file behind.
fn stale(folder: &Path) -> Option<Problem> {
    let server = discover::read_server(folder)?;
    if discover::listens(&server.url) {
        return None;
    }
    let what =
        format!("the server of {} is gone and did not say goodbye (pid {})", folder.display(), server.pid);
    Some(problem(
        Exit::Refused,
        what,
        format!("start it again: everloop dev --data-dir {}", folder.display()),
    ))
}

async fn server(client: &Client) -> Vec<Problem> {
    let mut problems = Vec::new();
    match client.about().await {
        Ok(about) if about.version != env!("CARGO_PKG_VERSION") => {
            let what = format!(
                "the server at {} is version {}, this program {}",
                client.url(),
                about.version,
                env!("CARGO_PKG_VERSION")
            );
            problems.push(problem(Exit::Refused, what, "update the older one"));
        }
        Ok(_) => {}
        Err(error) => {
            let failure = crate::failure::Failure::from(error);
            let what = format!("{}: {}", failure.message, failure.causes.join(": "));
            problems.push(problem(
                failure.exit,
                what,
                failure.hint.unwrap_or_else(|| "everloop dev".to_owned()),
            ));
            return problems;
        }
    }
    match client.health().await {
        Ok(health) => {
            for (name, state) in health.checks.iter().filter(|(_, state)| *state != "ok") {
                let what = format!("the server at {} says about its {name}: {state}", client.url());
                problems.push(problem(Exit::Refused, what, "look into its log"));
            }
        }
        Err(error) => {
            let failure = crate::failure::Failure::from(error);
            let what =
                format!("the server at {} is not healthy: {}", client.url(), failure.causes.join(": "));
            problems.push(problem(failure.exit, what, "look into its log"));
        }
    }
    problems
}
