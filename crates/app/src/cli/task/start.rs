//! `everloop task start`.

use super::{exit_of, follow, json};
use crate::cli::args::StartArgs;
use crate::cli::ground::Ground;
use crate::cli::show;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use everloop_api::task::{TaskRequest, TaskView};
use everloop_client::Client;
use everloop_client::follow::Follow;
use everloop_types::id::TaskId;
use everloop_types::names;
use everloop_types::state::State;
use everloop_types::step::OnUnknown;
use everloop_types::task::{Dependency, DependsOn};
use everloop_types::time::Timestamp;
use std::io::Read;
use std::path::Path;

/// The request that the arguments describe.
pub(super) fn request(args: &StartArgs) -> Result<TaskRequest, Failure> {
    if !names::is_name(&args.kind) {
        return Err(Failure::usage(format!("{:?} can't be a kind of task", args.kind))
            .cause("a kind is made of lower-case letters, digits, dots, dashes and underscores")
            .hint("everloop task start mock"));
    }
    let input = match (&args.input, &args.input_file) {
        (Some(text), _) => Some(json(text, "--input")?),
        (None, Some(file)) => Some(json(&read(file)?, "--input-file")?),
        (None, None) => None,
    };
    let mut request = TaskRequest { input, ..TaskRequest::new(&args.kind) };
    request.key = args.key.clone();
    request.queue = args.queue.clone();
    request.title = args.title.clone();
    request.requires = args.requires.clone();
    for label in &args.label {
        let (name, value) = label.split_once('=').ok_or_else(|| {
            Failure::usage("--label is not right")
                .cause(format!("{label:?} has no ="))
                .hint("--label team=search")
        })?;
        request.labels.insert(name.to_owned(), value.to_owned());
    }
    for task in &args.after {
        let task: TaskId = task.parse().map_err(|error| {
            Failure::usage("--after is not right")
                .cause(format!("{task:?} is {error}"))
                .hint("name a task by its id: task_…")
        })?;
        request.depends_on.push(Dependency { on: DependsOn::Completed, task });
    }
    request.not_before = args.at.as_deref().map(|text| time(text, "--at")).transpose()?;
    let policy = &mut request.policy;
    policy.deadline = args.deadline.as_deref().map(|text| time(text, "--deadline")).transpose()?;
    policy.timeout_ms = args.timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    policy.priority = args.priority.unwrap_or_default();
    policy.profile.hosts = args.allow_host.clone();
    policy.profile.mcp = args.allow_mcp.clone();
    if let Some(tries) = args.tries {
        policy.retry.max_tries = tries;
    }
    policy.on_unknown = args.on_unknown.as_deref().map(|word| match word {
        "verify" => OnUnknown::Verify,
        "ask" => OnUnknown::Ask,
        "fail" => OnUnknown::Fail,
        _ => OnUnknown::Rerun,
    });
    Ok(request)
}

fn time(text: &str, place: &str) -> Result<Timestamp, Failure> {
    Timestamp::parse(text).ok_or_else(|| {
        Failure::usage(format!("{place} is not right"))
            .cause(format!("{text:?} is no time"))
            .hint(format!("{place} 2026-01-31T08:30:00Z"))
    })
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
        Failure::usage(format!("{} can't be read", file.display()))
            .cause(error)
            .hint("--input-file FILE, or - for standard input")
    })
}

pub(super) async fn run(
    ground: &Ground,
    client: &Client,
    args: &StartArgs,
    request: &TaskRequest,
) -> Outcome {
    let submitted = client.submit(request, args.wait).await?;
    let task = submitted.task;
    if !submitted.is_new {
        ground.talk(format!("{} exists already: it is {}", task.id, task.state));
    }
    if args.follow {
        ground.talk(task.id.to_string());
        return follow::to_the_end(ground, client, &task.id.to_string(), Follow::default()).await;
    }
    if args.wait.is_none() {
        if ground.json {
            output::json(&task);
        } else {
            output::line(task.id.to_string());
            if let Some(why) = &task.unclaimable {
                ground.talk(format!("nobody can run it yet: {why}"));
            }
        }
        return Ok(Exit::Done);
    }
    ended(ground, &task)
}

/// Shows how a task that was waited for ended.
pub(super) fn ended(ground: &Ground, task: &TaskView) -> Outcome {
    if ground.json {
        output::json(task);
        return Ok(exit_of(task.state));
    }
    match (&task.result, &task.error) {
        (Some(result), _) if task.state == State::Completed => output::line(result.as_str()),
        (_, Some(error)) if task.state == State::Failed => {
            return Err(Failure::new(Exit::TaskFailed, format!("{} failed", task.id))
                .cause(show::error(error))
                .hint(format!("everloop task follow {}", task.id)));
        }
        _ if task.state.is_terminal() => ground.talk(format!("{} is {}", task.id, task.state)),
        _ => {
            output::line(task.id.to_string());
            ground
                .talk(format!("it is still {}; watch it with: everloop task follow {}", task.state, task.id));
        }
    }
    Ok(exit_of(task.state))
}
