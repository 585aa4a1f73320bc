//! `everloop demo`: a server killed in the middle of a task, and nothing lost.
//!
//! A server runs as a child process in a fresh folder and works on real files. It gets SIGKILL at a random point, is started
//! again, and finishes the task from its last recorded step. Then the history is checked, altered, and checked again.

pub(crate) mod executor;
mod files;
mod proof;
mod watch;

use super::args::DemoArgs;
use super::ground::{Ground, block_on};
use super::show;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use everloop_api::task::TaskRequest;
use everloop_client::embedded::{Embedded, StartOptions};
use everloop_client::host::{SystemClock, SystemRandom};
use everloop_client::{Client, ClientOptions};
use everloop_journal::keys::Jwks;
use everloop_types::random::Random as _;
use everloop_types::retry::RetryPolicy;
use executor::{Input, KIND, Report};
use proof::{Effects, wrong};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use watch::Watch;

pub(super) fn run(ground: &Ground, args: &DemoArgs) -> Outcome {
    let seed = args.seed.unwrap_or_else(|| SystemRandom::default().next_u64() % 1_000_000);
    let scratch = tempfile::Builder::new().prefix("everloop-demo-").tempdir().map_err(|error| {
        Failure::refused("no temporary folder can be made")
            .cause(error)
            .hint("set TMPDIR to a folder that you can write")
    })?;
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => std::env::current_dir().unwrap_or_else(|_| scratch.path().to_owned()),
    };
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let outcome = block_on(async {
        let server = tokio::select! {
            played = play(ground, seed, scratch.path(), &folder) => played?,
            _ = tokio::signal::ctrl_c() => return Err(Failure::refused("the demo was interrupted")),
        };
        if args.ui {
            show_in_browser(&server).await;
        }
        server.stop().await.map_err(|error| Failure::refused("the server did not stop").cause(error))?;
        say("");
        say("Nothing of this is left behind. What to try next:");
        say("  everloop dev                                  a server of your own, in this folder");
        say("  everloop run --key first -- ls -l             a command as a durable task; run it twice");
        say(
            "  everloop task start mock --input '{\"steps\":[{\"name\":\"one\",\"duration_ms\":500}]}' --follow",
        );
        Ok(Exit::Done)
    });
    scratch
        .close()
        .map_err(|error| Failure::refused("the temporary folder could not be removed").cause(error))?;
    outcome
}

/// Chance that can be had again: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
fn chance(seed: u64, nth: u64) -> u64 {
    let mut z = seed.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn say(text: impl AsRef<str>) {
    output::line(text);
}

async fn start(scratch: &Path, log: &str) -> Result<Embedded, Failure> {
    let program: PathBuf = std::env::current_exe()
        .map_err(|error| Failure::refused("this program does not know where it lies").cause(error))?;
    let start = StartOptions {
        program,
        arguments: vec!["dev".into(), "--demo".into()],
        folder: scratch.join("data"),
        log: scratch.join(log),
        apart: Some(scratch.to_owned()),
    };
    let options = ClientOptions {
        retry: RetryPolicy { initial_ms: 20, max_ms: 200, max_tries: 3 },
        ..ClientOptions::new(
            "http://127.0.0.1:1",
            Arc::new(SystemClock::start()),
            Arc::new(SystemRandom::default()),
        )
    };
    Embedded::start(&start, options)
        .await
        .map_err(|error| Failure::refused("the demo's server did not start").cause(error))
}

/// Everything that is shown; gives the server that goes on.
async fn play(ground: &Ground, seed: u64, scratch: &Path, folder: &Path) -> Result<Embedded, Failure> {
    let written =
        |error: std::io::Error| Failure::refused("the temporary folder can't be written").cause(error);
    let files = files::find(folder, scratch).map_err(written)?;
    let steps = files.names.len() + 1;
    let what = if files.is_sample { "a sample".to_owned() } else { files.root.display().to_string() };
    say(format!("everloop demo, seed {seed} (the same kill again: everloop demo --seed {seed})"));
    say("");
    let server = start(scratch, "server-1.log").await?;
    say(format!("1. A server runs as process {}, with one SQLite file in a temporary folder.", server.pid()));

    let input = Input {
        effects: scratch.join("effects.log"),
        files: files.names,
        report: scratch.join("report.txt"),
        root: files.root,
    };
    let request = TaskRequest {
        input: Some(
            everloop_journal::canonical::to_canonical(&input).map_err(|error| wrong(error.to_string()))?,
        ),
        key: Some(format!("demo-{seed}")),
        title: Some("Measure files".to_owned()),
        ..TaskRequest::new(KIND)
    };
    let task = server.client().submit(&request, None).await?.task.id.to_string();
    say(format!("2. It got the task {task}: hash and measure {} files of {what}, each in a", steps - 1));
    say("   step of its own, and write a report. Each step also adds a line to a file outside the database.");

    // Between a quarter and three quarters of the way, and then somewhere within a step.
    let kill_after = steps as u64 / 4 + chance(seed, 0) % (steps as u64 / 2).max(1);
    let within = Duration::from_micros(chance(seed, 1) % 20_000);
    let mut watch = Watch::new(steps, !ground.quiet);
    watch.until(server.client(), &task, kill_after).await?;
    tokio::time::sleep(within).await;
    let pid = server.pid();
    server.kill().map_err(|error| Failure::refused("the server could not be killed").cause(error))?;
    watch.pause();
    say(format!("3. kill -9 {pid}, after {} steps were seen. No goodbye, no cleaning up.", watch.steps()));

    let server = start(scratch, "server-2.log").await?;
    say(format!("4. The server is started again, as process {}. It goes on by itself:", server.pid()));
    watch.until(server.client(), &task, u64::MAX).await?;
    watch.pause();
    let done = server.client().finished(&task).await?;
    let report: Report = match (&done.result, &done.error) {
        (Some(result), _) => result.parse().map_err(|error| wrong(error.to_string()))?,
        (None, Some(error)) => return Err(wrong(show::error(error))),
        (None, None) => return Err(wrong(format!("the task is {}", done.state))),
    };
    say(format!(
        "   {} files, {} bytes, {} lines; the largest is {}.",
        report.files, report.bytes, report.lines, report.largest
    ));

    let recorded = recorded_before_kill(server.client(), &task).await?;
    effects(&input.effects, &recorded, steps)?;
    history(server.client(), &task).await?;
    Ok(server)
}

/// Keeps the server until somebody has seen enough.
async fn show_in_browser(server: &Embedded) {
    say("");
    say(format!("Look at it in a browser: {}", server.client().url()));
    say("The task stands first; its timeline shows where attempt 1 was lost and what attempt 2 ran.");
    say("Ctrl-C ends it.");
    // Without signals there is nobody to wait for.
    let _ = tokio::signal::ctrl_c().await;
}

/// The steps that stood in the log when the server was killed: those before the attempt was found lost.
async fn recorded_before_kill(client: &Client, task: &str) -> Result<BTreeSet<String>, Failure> {
    let types = ["step.completed".to_owned(), "task.lease_lost".to_owned()];
    let (mut recorded, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = client.events(task, after, &types).await?;
        for event in page.items.iter().filter_map(show::event) {
            if event.kind == "task.lease_lost" {
                return Ok(recorded);
            }
            recorded.extend(event.text("step").map(str::to_owned));
        }
        if page.next_after >= page.last_seq || page.next_after == after {
            return Err(wrong("the first attempt was not found lost"));
        }
        after = page.next_after;
    }
}

/// Shows that recorded steps were not repeated.
#[expect(clippy::disallowed_methods, reason = "the file that the steps wrote")]
fn effects(file: &Path, recorded: &BTreeSet<String>, steps: usize) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::refused("the file of effects can't be read").cause(error))?;
    let effects = Effects::read(&text);
    let twice = effects.check(recorded)?;
    if effects.steps() != steps {
        return Err(wrong(format!("{} of {steps} steps acted", effects.steps())));
    }
    say(format!(
        "5. {} steps were recorded before the kill: each acted once, none was repeated.",
        recorded.len()
    ));
    say(match twice {
        Some(step) => format!(
            "   Step {step} was in flight: it had acted, its record was not on disk, so it acted twice.\n   \
             That one is in doubt after any crash; its idempotency key is the same both times."
        ),
        None => "   No step was cut off between its act and its record this time.".to_owned(),
    });
    say(format!("   {steps} steps, {} lines in the file of effects.", effects.lines()));
    Ok(())
}

/// Shows that the history is proven, and that an altered one is not.
async fn history(client: &Client, task: &str) -> Result<(), Failure> {
    use futures_util::TryStreamExt as _;
    let export: Vec<String> = client.export(task).try_collect().await?;
    let keys = Jwks::from_json(&client.keys().await?).map_err(|error| wrong(error.to_string()))?;
    let signer = proof::verify(&export, &keys)?;
    say(format!(
        "6. The log of {} events verifies, and its receipt is signed by key {}…",
        export.len() - 1,
        &signer[..12.min(signer.len())]
    ));
    let mut altered = export;
    let seq = proof::tamper(&mut altered).ok_or_else(|| wrong("there was nothing to alter"))?;
    let why = proof::refuted(&altered, &keys, seq)?;
    say(format!("7. One digit of event {seq} is altered in a copy. Verification fails:\n   {why}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_seed_gives_the_same_chance_again() {
        assert_eq!(super::chance(7, 0), super::chance(7, 0));
        assert_ne!(super::chance(7, 0), super::chance(7, 1));
        // The first value of the published generator for the seed 0.
        assert_eq!(super::chance(0, 0), 0xe220_a839_7b1d_cdaf);
    }
}
