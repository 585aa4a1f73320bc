//! `everloop verify`: checks an export or a receipt, with no server and no network.

use super::args::VerifyArgs;
use super::ground::Ground;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use everloop_journal::export::{Report, Verdict, verify_text};
use everloop_journal::keys::Jwks;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The verdict as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<&'a str>,
    stream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    events: u64,
    first_seq: u64,
    last_seq: u64,
    chain_root: &'a str,
    missing_payloads: &'a [u64],
}

pub(super) fn run(ground: &Ground, args: &VerifyArgs) -> Outcome {
    let keys = trusted(ground, args.key.as_deref())?;
    let text = read(&args.file)?;
    let report = verify_text(&text, keys.as_ref()).map_err(|error| broken(&args.file, &error.to_string()))?;
    show(ground, &report);
    Ok(exit_of(&report.verdict))
}

/// What the history of a broken export is called, and what to do about it.
pub(super) fn broken(file: &Path, why: &str) -> Failure {
    Failure::new(Exit::Broken, format!("{} does not verify", file.display())).cause(why).hint(
        "it was changed or damaged after it was written; export it again, or ask whoever gave it to you",
    )
}

fn exit_of(verdict: &Verdict) -> Exit {
    match verdict {
        Verdict::Verified { .. } => Exit::Done,
        Verdict::ConsistentSignerUnknown { .. } | Verdict::ConsistentUnsigned => Exit::Unsigned,
    }
}

fn show(ground: &Ground, report: &Report) {
    let (verdict, signer, hint) = match &report.verdict {
        Verdict::Verified { signer } => ("verified", Some(signer.as_str()), None),
        Verdict::ConsistentSignerUnknown { signer } => (
            "consistent, signer unknown",
            Some(signer.as_str()),
            Some(
                "nobody vouches for it yet: name a JWKS that you trust with --key, or keep it as your trusted_keys file",
            ),
        ),
        Verdict::ConsistentUnsigned => (
            "consistent, unsigned",
            None,
            Some("it has no receipt: a task gets one when it ends, and only then can a cut tail be noticed"),
        ),
    };
    if ground.json {
        output::json(&Shown {
            verdict,
            signer,
            stream: report.stream.to_string(),
            kind: report.kind.as_deref(),
            state: report.state.map(|state| state.as_str()),
            events: report.events,
            first_seq: report.first_seq,
            last_seq: report.last_seq,
            chain_root: &report.chain_root,
            missing_payloads: &report.missing,
        });
        return;
    }
    let what = if report.events == 0 {
        format!("the receipt of {}", report.stream)
    } else {
        format!("events {} to {} of {}", report.first_seq, report.last_seq, report.stream)
    };
    let state = report.state.map(|state| format!(", {state}")).unwrap_or_default();
    output::line(format!("{verdict}: {what}{state}"));
    if let Some(signer) = signer {
        output::line(format!("key {signer}"));
    }
    if !report.missing.is_empty() {
        let missing: Vec<String> = report.missing.iter().map(u64::to_string).collect();
        ground.talk(format!("the payloads of these events are gone: {}", missing.join(", ")));
    }
    if let Some(hint) = hint {
        ground.talk(hint);
    }
}

/// The keys that are trusted: those that were named, or the user's own file where there is one.
fn trusted(ground: &Ground, named: Option<&Path>) -> Result<Option<Jwks>, Failure> {
    let path = match named.map(Path::to_owned).or_else(|| ground.settings.path("trusted_keys")) {
        Some(path) => path,
        None => match own_file() {
            Some(path) if path.exists() => path,
            Some(_) | None => return Ok(None),
        },
    };
    let text = read(&path)?;
    let keys = Jwks::from_json(&text).map_err(|error| {
        Failure::usage(format!("{} is no set of public keys", path.display()))
            .cause(error)
            .hint("take the one of the server: curl URL/.well-known/jwks.json > jwks.json")
    })?;
    Ok(Some(keys))
}

/// The user's trusted keys.
fn own_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(home.join("everloop").join("trusted-keys.json"))
}

#[expect(clippy::disallowed_methods, reason = "the file that was named")]
fn read(file: &Path) -> Result<String, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| {
        if error.kind() == std::io::ErrorKind::InvalidData {
            return broken(file, "it is not UTF-8 text");
        }
        Failure::usage(format!("{} can't be read", file.display()))
            .cause(error)
            .hint("name a file that `everloop task export` or `everloop task receipt` wrote")
    })
}
