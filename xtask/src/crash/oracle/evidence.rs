//! What the server shows when all is over.

use super::client::View;
use super::door::{Answer, Door};
use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Events that are asked for at once.
const EVENTS: usize = 1000;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// Every task that is listed.
    pub(crate) tasks: Vec<View>,
    /// The histories of the listed tasks, by id.
    pub(crate) histories: BTreeMap<String, History>,
    /// The public keys, as they are published.
    pub(crate) keys: String,
}

/// The history of a task.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Its events, byte for byte.
    pub(crate) events: Vec<String>,
    /// Its receipt, or why there is none.
    pub(crate) receipt: std::result::Result<String, String>,
}

#[derive(Deserialize)]
struct TaskPage {
    items: Vec<View>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct EventPage {
    items: Vec<Box<RawValue>>,
    next_after: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct Receipt {
    receipt: String,
}

/// Asks the server for everything.
pub(crate) fn gather(door: &Door) -> Result<Evidence> {
    let mut evidence = Evidence { keys: get(door, "/.well-known/jwks.json")?.text, ..Evidence::default() };
    let mut path = "/api/v1/tasks?limit=200&order=oldest".to_owned();
    loop {
        let page: TaskPage = get(door, &path)?.read()?;
        evidence.tasks.extend(page.items);
        let Some(cursor) = page.next_cursor else { break };
        path = format!("/api/v1/tasks?limit=200&order=oldest&cursor={cursor}");
    }
    for task in &evidence.tasks {
        evidence.histories.insert(task.id.clone(), history(door, &task.id)?);
    }
    Ok(evidence)
}

fn history(door: &Door, task: &str) -> Result<History> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let path = format!("/api/v1/tasks/{task}/events?after={after}&limit={EVENTS}");
        let page: EventPage = get(door, &path)?.read()?;
        events.extend(page.items.iter().map(|item| item.get().to_owned()));
        if page.next_after >= page.last_seq || page.items.is_empty() {
            break;
        }
        after = page.next_after;
    }
    let answer = ask(door, &format!("/api/v1/tasks/{task}/receipt"))?;
    let receipt = match answer.status {
        200 => Ok(answer.read::<Receipt>()?.receipt),
        status => Err(format!("{status} {}", answer.text)),
    };
    Ok(History { events, receipt })
}

fn ask(door: &Door, path: &str) -> Result<Answer> {
    match door.insist("GET", path, None) {
        Some(answer) => Ok(answer),
        None => bail!("the server did not answer {path}"),
    }
}

fn get(door: &Door, path: &str) -> Result<Answer> {
    let answer = ask(door, path)?;
    if answer.status != 200 {
        bail!("{path} was answered with {} {}", answer.status, answer.text);
    }
    Ok(answer)
}
