//! `everloop task follow | logs`.

use crate::cli::args::{FollowArgs, LogsArgs};
use crate::cli::ground::Ground;
use crate::cli::show::{self, EventView};
use crate::failure::{Exit, Failure, Outcome};
use crate::output;
use everloop_client::Client;
use everloop_client::follow::{Follow, Item};
use futures_util::StreamExt;
use std::pin::pin;

pub(super) async fn run(ground: &Ground, client: &Client, args: &FollowArgs) -> Outcome {
    let follow = Follow { after: args.after, types: args.types.clone(), frames: args.frames };
    to_the_end(ground, client, &args.task, follow).await
}

/// Shows the events of a task until it has ended, and tells by the exit code how it did.
pub(crate) async fn to_the_end(ground: &Ground, client: &Client, task: &str, follow: Follow) -> Outcome {
    let mut items = pin!(client.follow(task, follow));
    let mut end = None;
    while let Some(item) = items.next().await.transpose()? {
        match item {
            Item::Event { kind, event, .. } => {
                if ground.json {
                    output::line(event.as_str());
                } else if let Some(view) = show::event(&event) {
                    output::line(view.line());
                }
                end = exit(&kind).or(end);
            }
            Item::Frame { kind, data } => {
                if ground.json {
                    output::line(format!("{{\"frame\":{:?},\"data\":{data}}}", kind));
                } else {
                    output::line(format!("       {kind}  {}", show::short(data.as_str(), 120)));
                }
            }
            Item::Notice { kind, data } => ground.talk(format!("{kind}: {data}")),
        }
    }
    match end {
        Some(exit) => Ok(exit),
        // The end was filtered out, or lay before where following began.
        None => Ok(super::exit_of(client.task(task, None).await?.state)),
    }
}

/// What the end of a task means for whoever followed it.
fn exit(kind: &str) -> Option<Exit> {
    match kind {
        "task.completed" => Some(Exit::Done),
        "task.failed" | "task.cancelled" => Some(Exit::TaskFailed),
        _ => None,
    }
}

pub(super) async fn logs(ground: &Ground, client: &Client, args: &LogsArgs) -> Outcome {
    let types = vec!["log".to_owned()];
    if args.follow {
        let mut items = pin!(client.follow(&args.task, Follow { types, ..Follow::default() }));
        while let Some(item) = items.next().await.transpose()? {
            if let Item::Event { event, .. } = item {
                write(ground, event.as_str(), show::event(&event));
            }
        }
        return Ok(Exit::Done);
    }
    let mut after = 0;
    loop {
        let page = client.events(&args.task, after, &types).await?;
        for event in &page.items {
            write(ground, event.as_str(), show::event(event));
        }
        if page.next_after >= page.last_seq || page.next_after == after {
            return Ok(Exit::Done);
        }
        after = page.next_after;
    }
}

fn write(ground: &Ground, event: &str, view: Option<EventView>) {
    if ground.json {
        return output::line(event);
    }
    let Some(view) = view else { return };
    let source = view.text("source").unwrap_or_default();
    match chunk(&view) {
        Ok(bytes) if source == "stderr" => output::error_bytes(&bytes),
        Ok(bytes) if source == "stdout" => output::bytes(&bytes),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            output::line(format!("[{}] {}", view.text("level").unwrap_or("info"), text.trim_end()));
        }
        Err(failure) => output::talk(failure.to_string()),
    }
}

/// The bytes of a log event.
pub(crate) fn chunk(view: &EventView) -> Result<Vec<u8>, Failure> {
    if let Some(text) = view.text("text") {
        return Ok(text.as_bytes().to_vec());
    }
    let Some(encoded) = view.text("base64") else { return Ok(Vec::new()) };
    everloop_client::follow::decode_base64(encoded)
        .ok_or_else(|| Failure::refused(format!("the bytes of event {} can't be read", view.seq)))
}
