//! `everloop task list | get | output | export | receipt`.

use super::exit_of;
use crate::cli::args::{ExportArgs, GetArgs, ListArgs, TaskArgs};
use crate::cli::ground::Ground;
use crate::cli::show;
use crate::config::closest;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use everloop_client::Client;
use everloop_client::tasks::TaskQuery;
use everloop_types::limits::PAGE_ITEMS;
use everloop_types::state::State;
use futures_util::StreamExt;
use std::io::Write;
use std::pin::pin;

/// The list that the arguments describe.
pub(super) fn query(args: &ListArgs) -> Result<TaskQuery, Failure> {
    let state = |word: &String| {
        word.parse::<State>().map_err(|()| {
            let words = State::ALL.map(State::as_str);
            let hint = match closest(word, words.into_iter(), 3) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("one of {}", words.join(", ")),
            };
            Failure::usage(format!("there is no state {word:?}")).hint(hint)
        })
    };
    Ok(TaskQuery {
        state: args.state.iter().map(state).collect::<Result<_, _>>()?,
        kind: args.kind.clone(),
        queue: args.queue.clone(),
        label: args.label.clone(),
        parent: args.parent.clone(),
        key_prefix: args.key_prefix.clone(),
        q: args.find.clone(),
        oldest_first: args.oldest,
        ..TaskQuery::default()
    })
}

pub(super) async fn list(ground: &Ground, client: &Client, mut query: TaskQuery, limit: u32) -> Outcome {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut tasks = Vec::new();
    let mut total = None;
    loop {
        query.limit = Some((limit - tasks.len()).min(PAGE_ITEMS));
        let page = client.tasks(&query).await?;
        total = total.or(page.total);
        tasks.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() || tasks.len() >= limit {
            break;
        }
    }
    if ground.json {
        for task in &tasks {
            output::json(task);
        }
        return Ok(Exit::Done);
    }
    if tasks.is_empty() {
        ground.talk("there are no such tasks; start one with: everloop task start mock");
        return Ok(Exit::Done);
    }
    output::bytes(show::tasks(&tasks).as_bytes());
    if query.cursor.is_some() {
        let all = total.map(|total| format!(" of {total}")).unwrap_or_default();
        ground.talk(format!("{}{all}; see more with --limit", tasks.len()));
    }
    Ok(Exit::Done)
}

pub(super) async fn get(ground: &Ground, client: &Client, args: &GetArgs) -> Outcome {
    let task = client.task(&args.task, args.wait).await?;
    if ground.json {
        output::json(&task);
    } else {
        output::bytes(show::task(&task).as_bytes());
    }
    // Looking at a task that failed has not failed; waiting for it has.
    Ok(if args.wait.is_some() { exit_of(task.state) } else { Exit::Done })
}

pub(super) async fn output(ground: &Ground, client: &Client, args: &TaskArgs) -> Outcome {
    let view = client.output(&args.task).await?;
    if ground.json {
        output::json(&view);
    } else if let Some(result) = view.result.as_ref().filter(|_| view.state == State::Completed) {
        output::line(result.as_str());
    } else if let Some(error) = &view.error {
        return Err(Failure::new(Exit::TaskFailed, format!("{} failed", view.task))
            .cause(show::error(error))
            .hint(format!("everloop task follow {}", view.task)));
    } else {
        ground.talk(format!("{} is {} and has no result", view.task, view.state));
    }
    Ok(exit_of(view.state))
}

pub(super) async fn receipt(_ground: &Ground, client: &Client, args: &TaskArgs) -> Outcome {
    output::json(&client.receipt(&args.task).await?);
    Ok(Exit::Done)
}

#[expect(clippy::disallowed_methods, reason = "the file that was named")]
pub(super) async fn export(ground: &Ground, client: &Client, args: &ExportArgs) -> Outcome {
    let mut lines = pin!(client.export(&args.task));
    // The first line says whether there is such a task: no file is made for one that isn't there.
    let mut next = lines.next().await.transpose()?;
    let Some(path) = &args.output else {
        while let Some(line) = next {
            output::line(line);
            next = lines.next().await.transpose()?;
        }
        return Ok(Exit::Done);
    };
    let failed = |error: std::io::Error| {
        Failure::refused(format!("{} can't be written", path.display()))
            .cause(error)
            .hint("name a file in a folder that exists and that you can write: --output task.jsonl")
    };
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).map_err(failed)?);
    let mut count = 0_u64;
    while let Some(line) = next {
        writeln!(file, "{line}").map_err(failed)?;
        count += 1;
        next = lines.next().await.transpose()?;
    }
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    ground.talk(format!(
        "{count} lines in {}; check them with: everloop verify {}",
        path.display(),
        path.display()
    ));
    Ok(Exit::Done)
}
