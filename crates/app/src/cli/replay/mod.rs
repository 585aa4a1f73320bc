//! `everloop replay --check`: recorded tasks, replayed dry by the code at hand.

mod stage;

use super::args::ReplayArgs;
use super::ground::{Ground, block_on};
use super::show;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use crate::wire;
use everloop_client::Client;
use everloop_client::tasks::TaskQuery;
use everloop_server::rehearsal;
use everloop_types::state::State;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use stage::{Row, Stage, Todo};
use std::collections::{BTreeMap, VecDeque};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Tasks on a page.
const PAGE: usize = 100;
/// How long a worker may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(10);

/// What is said at the end.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// How many would go on.
    passed: usize,
    /// How many would not.
    failed: usize,
    /// Live tasks of kinds that the worker does not offer, by kind.
    not_offered: BTreeMap<String, usize>,
    tasks: &'a [Row],
}

pub(super) fn run(ground: &Ground, args: &ReplayArgs) -> Outcome {
    let client = ground.client()?;
    block_on(async {
        let todo = chosen(&client, args).await?;
        if todo.is_empty() {
            ground.talk("no live task: there is nothing to check");
        }
        let stage = Arc::new(Stage::new(client, todo));
        if !stage.is_done() {
            play(args, &stage).await?;
        }
        let rows = stage.rows();
        let failed = rows.iter().filter(|row| !row.passes).count();
        let report =
            Report { passed: rows.len() - failed, failed, not_offered: stage.not_offered(), tasks: &rows };
        show(ground, &report);
        Ok(if failed == 0 { Exit::Done } else { Exit::TaskFailed })
    })
}

/// The tasks that were named, or those that have not ended.
async fn chosen(client: &Client, args: &ReplayArgs) -> Result<VecDeque<Todo>, Failure> {
    let mut todo = VecDeque::new();
    for task in &args.task {
        todo.push_back(Todo::of(&client.task(task, None).await?));
    }
    if !todo.is_empty() {
        return Ok(todo);
    }
    let live: Vec<State> = State::ALL.iter().copied().filter(|state| !state.is_terminal()).collect();
    let kinds = if args.kind.is_empty() { vec![None] } else { args.kind.iter().cloned().map(Some).collect() };
    for kind in kinds {
        let mut query = TaskQuery { state: live.clone(), kind, limit: Some(PAGE), ..TaskQuery::default() };
        loop {
            let page = client.tasks(&query).await?;
            // What no attempt has recorded anything of, there is nothing to replay of.
            todo.extend(page.items.iter().filter(|task| task.attempt > 0).map(Todo::of));
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
    }
    Ok(todo)
}

/// Starts the command against a server that hands out the tasks, and waits until it has replayed them.
async fn play(args: &ReplayArgs, stage: &Arc<Stage>) -> Result<(), Failure> {
    let refused = |error| Failure::refused("the dry run can't be set up").cause(error);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(refused)?;
    let url = format!("http://{}", listener.local_addr().map_err(refused)?);
    let told = wire::told_to_stop().map_err(refused)?;
    let mut worker = start(&args.command, &url)?;
    let result = tokio::select! {
        served = rehearsal::rehearse(listener, stage.clone()) => served.map_err(refused),
        () = stage.done(args.timeout) => Ok(()),
        ended = worker.wait() => Err(too_early(&args.command, &ended.map_err(refused)?, stage)),
        () = told => Err(Failure::new(Exit::TaskFailed, "interrupted")),
    };
    stop(&mut worker).await;
    result
}

#[expect(clippy::disallowed_methods, reason = "the command that was asked for")]
fn start(command: &[String], url: &str) -> Result<Child, Failure> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| Failure::usage("a command must come after --"))?;
    let mut worker = Command::new(program);
    worker
        .args(arguments)
        .env("EVERLOOP_URL", url)
        // The server that knows the tasks is not the worker's business.
        .env_remove("EVERLOOP_API_KEY")
        .env_remove("EVERLOOP_API_KEY_FILE")
        .stdin(Stdio::null())
        // Standard output is the report's.
        .stdout(std::io::stderr())
        .process_group(0)
        .kill_on_drop(true);
    worker.spawn().map_err(|error| {
        Failure::usage(format!("{program} can't be started"))
            .cause(error)
            .hint("after -- stands the command that starts your worker: -- python worker.py")
    })
}

fn too_early(command: &[String], status: &std::process::ExitStatus, stage: &Stage) -> Failure {
    let what = format!("`{}` ended ({status}) with {} tasks left", command.join(" "), stage.left());
    Failure::refused(what).hint("what it said stands above; it has to serve tasks until it is told to stop")
}

/// Asks the worker and its children to stop, and makes them.
async fn stop(worker: &mut Child) {
    let group = worker.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let tell = |signal| {
        if let Some(group) = group {
            // Who is gone needs no signal.
            let _ = kill_process_group(group, signal);
        }
    };
    tell(Signal::TERM);
    if tokio::time::timeout(STOP, worker.wait()).await.is_err() {
        tell(Signal::KILL);
        let _ = worker.wait().await;
    }
}

fn show(ground: &Ground, report: &Report<'_>) {
    if ground.json {
        return output::json(report);
    }
    for row in report.tasks {
        let word = if row.passes { "passes" } else { "FAILS " };
        output::line(format!("{word}  {}  {}  {}", row.task, row.kind, row.said));
        for (side, value) in [("recorded", &row.recorded), ("code", &row.code)] {
            if let Some(value) = value {
                output::line(format!("          {side}: {}", show::short(value.as_str(), 200)));
            }
        }
    }
    for (kind, tasks) in &report.not_offered {
        output::line(format!("not checked: {tasks} of kind {kind}, which the worker does not offer"));
    }
    output::line(format!("{} would go on, {} would not", report.passed, report.failed));
}
