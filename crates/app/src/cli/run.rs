//! `everloop run`: a command as a durable task, seen from its caller like the command itself.

use super::args::{InDoubt, RunArgs};
use super::ground::{Ground, block_on};
use super::show::{self, EventView};
use super::task::follow::chunk;
use crate::failure::{Exit, Failure, Outcome, RUN_FAILED};
use crate::output;
use everloop_api::command::{CancelRequest, DecisionRequest};
use everloop_api::task::{TaskRequest, TaskView};
use everloop_client::Client;
use everloop_client::embedded::{Embedded, StartOptions};
use everloop_client::follow::{Follow, Item};
use everloop_types::state::State;
use futures_util::StreamExt;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;

/// Variables that every command gets.
const PASSED: [&str; 4] = ["PATH", "HOME", "LANG", "TERM"];
/// What a shell gives for a command that a signal ended: this and the signal's number.
const SIGNALLED: u8 = 128;
/// What a shell gives for a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The input of a shell task.
#[derive(Serialize)]
struct Input<'a> {
    argv: &'a [String],
    cwd: PathBuf,
    env: BTreeMap<&'a str, String>,
}

pub(super) fn run(ground: &Ground, args: &RunArgs) -> Outcome {
    let request = request(args).map_err(Failure::of_run)?;
    block_on(async { with_server(ground, args, &request).await }).map_err(Failure::of_run)
}

fn request(args: &RunArgs) -> Result<TaskRequest, Failure> {
    let cwd = std::env::current_dir().map_err(|error| {
        Failure::refused("there is no current folder").cause(error).hint("go to a folder that exists")
    })?;
    let mut env = BTreeMap::new();
    for name in PASSED {
        if let Ok(value) = std::env::var(name) {
            env.insert(name, value);
        }
    }
    for name in &args.env {
        let value = std::env::var(name).map_err(|error| {
            let hint = match name.split_once('=') {
                Some((name, _)) => {
                    format!("--env names a variable of this shell: export it, then --env {name}")
                }
                None => format!("export {name}, or leave --env {name} out"),
            };
            Failure::usage(format!("the variable {name} can't be passed on")).cause(error).hint(hint)
        })?;
        env.insert(name, value);
    }
    let input = everloop_journal::canonical::to_canonical(&Input { argv: &args.command, cwd, env })
        .map_err(|error| Failure::usage("the command can't be written down").cause(error))?;
    let mut request = TaskRequest { input: Some(input), key: args.key.clone(), ..TaskRequest::new("shell") };
    request.title = Some(show::short(&args.command.join(" "), 200));
    // A command is run once, as in a shell: trying again is its caller's choice.
    request.policy.retry.max_tries = 1;
    request.policy.timeout_ms = args.timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    Ok(request)
}

/// With the server that runs, or one for as long as this takes.
async fn with_server(ground: &Ground, args: &RunArgs, request: &TaskRequest) -> Outcome {
    let found = ground.found()?;
    if found.listens {
        return follow(ground, args, &Client::new(ground.options(&found))?, request).await;
    }
    let folder = ground.data_dir();
    let program = std::env::current_exe()
        .map_err(|error| Failure::refused("this program does not know where it lies").cause(error))?;
    let mut arguments: Vec<OsString> = vec!["dev".into(), "--quiet".into()];
    if let Some(file) = ground.settings.file() {
        arguments.extend(["--config".into(), file.into()]);
    }
    let start = StartOptions { program, arguments, log: folder.join("embedded.log"), folder, apart: None };
    let server = Embedded::start(&start, ground.options(&found)).await.map_err(|error| {
        Failure::refused("no server is running, and none could be started here")
            .cause(error)
            .hint("start one yourself: everloop dev\nor choose another folder for its files with --data-dir")
    })?;
    let outcome = follow(ground, args, server.client(), request).await;
    // What the command did is recorded: a server that stops badly changes nothing of it.
    if let Err(error) = server.stop().await {
        ground.talk(format!("the embedded server did not stop well: {error}"));
    }
    outcome
}

async fn follow(ground: &Ground, args: &RunArgs, client: &Client, request: &TaskRequest) -> Outcome {
    let submitted = client.submit(request, None).await?;
    let task = submitted.task;
    let id = task.id.to_string();
    if !submitted.is_new {
        let what = if task.state.is_terminal() { "this is what it wrote then" } else { "following it" };
        ground.talk(format!("{id} exists already and is {}; {what}", task.state));
    }
    if let Some(why) = &task.unclaimable {
        ground.talk(format!("nobody can run it yet: {why}"));
    }
    let mut interrupts = 0;
    {
        let mut items = pin!(client.follow(&id, Follow::default()));
        loop {
            let item = tokio::select! {
                item = items.next() => item.transpose()?,
                _ = tokio::signal::ctrl_c() => {
                    interrupts += 1;
                    if interrupts > 1 {
                        ground.talk(format!("{id} is still being cancelled"));
                        return Ok(Exit::Code(INTERRUPTED));
                    }
                    ground.talk("cancelling; press Ctrl-C again to leave it alone");
                    client.cancel(&id, &CancelRequest { reason: Some("interrupted".to_owned()) }).await?;
                    continue;
                }
            };
            match item {
                Some(Item::Event { event, .. }) => match show::event(&event) {
                    Some(view) => event_seen(ground, args, client, &id, &view).await?,
                    None => continue,
                },
                Some(Item::Frame { .. }) => {}
                Some(Item::Notice { kind, .. }) => ground.talk(kind),
                None => break,
            }
        }
    }
    ended(&client.task(&id, None).await?, interrupts > 0)
}

async fn event_seen(
    ground: &Ground,
    args: &RunArgs,
    client: &Client,
    task: &str,
    view: &EventView,
) -> Result<(), Failure> {
    match view.kind.as_str() {
        "log" => {
            let bytes = chunk(view)?;
            match view.text("source") {
                Some("stdout") => output::bytes(&bytes),
                Some("stderr") => output::error_bytes(&bytes),
                _ => ground.talk(String::from_utf8_lossy(&bytes).trim_end()),
            }
        }
        "task.lease_lost" => ground.talk("the server went down while the command ran"),
        "approval.requested" => in_doubt(args, client, task, view.text("id").unwrap_or_default()).await?,
        // Everything else is the server's business, not the command's.
        _ => {}
    }
    Ok(())
}

/// The command was cut off, and nobody knows what it did. What was decided before is not decided again.
async fn in_doubt(args: &RunArgs, client: &Client, task: &str, request: &str) -> Result<(), Failure> {
    if !client.task(task, None).await?.open_requests.iter().any(|open| open == request) {
        return Ok(());
    }
    let Some(what) = args.on_unknown else {
        return Err(Failure::refused("the command was cut off, and nobody knows how far it got")
            .cause(format!("{task} waits for a decision about {request}"))
            .hint("run the same again with --on-unknown rerun, happened or fail"));
    };
    let decision = match what {
        InDoubt::Happened => "happened",
        InDoubt::Rerun => "rerun",
        InDoubt::Fail => "fail",
    };
    let request =
        DecisionRequest { id: request.to_owned(), decision: decision.to_owned(), note: None, result: None };
    client.decide(task, &request).await?;
    Ok(())
}

/// The command's own exit code, or why there is none.
fn ended(task: &TaskView, interrupted: bool) -> Outcome {
    let number = |name: &str, value: &serde_json::Value| value.get(name).and_then(serde_json::Value::as_u64);
    let Some(error) = &task.error else {
        let code = task.result.as_ref().and_then(|result| number("exit_code", &result.parse().ok()?));
        return match task.state {
            State::Cancelled if interrupted => Ok(Exit::Code(INTERRUPTED)),
            State::Cancelled => Err(Failure::refused("the command was cancelled")
                .hint(format!("everloop task follow {}", task.id))),
            State::Completed => Ok(Exit::Code(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(0))),
            state => Err(Failure::refused(format!("{} is {state} and gave no exit code", task.id))),
        };
    };
    let details = error
        .details
        .as_ref()
        .and_then(|details| details.parse::<serde_json::Value>().ok())
        .unwrap_or_default();
    let byte = |name: &str| number(name, &details).and_then(|number| u8::try_from(number).ok());
    match error.code.as_str() {
        "exit_status" => Ok(Exit::Code(byte("exit_code").unwrap_or(RUN_FAILED))),
        "exit_signal" => {
            Ok(Exit::Code(byte("signal").map_or(RUN_FAILED, |signal| SIGNALLED.saturating_add(signal))))
        }
        code => Err(Failure::refused("the command did not run to its end")
            .cause(show::error(error))
            .hint(format!("everloop explain {code}"))),
    }
}
