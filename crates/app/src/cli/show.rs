//! Tasks and events as lines for people.

use crate::output;
use everloop_api::task::TaskView;
use everloop_types::error::TaskError;
use everloop_types::json::Json;
use everloop_types::wait::Wait;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;

/// The members of an event that people look at.
#[derive(Debug, Deserialize)]
pub(crate) struct EventView {
    pub(crate) seq: u64,
    pub(crate) ts: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) data: Option<Value>,
}

/// An event, as far as it can be read.
pub(crate) fn event(event: &Json) -> Option<EventView> {
    event.parse().ok()
}

impl EventView {
    /// A member of the data, as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.data.as_ref()?.get(name)?.as_str()
    }

    /// A member of the data.
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        self.data.as_ref()?.get(name)
    }

    /// A line for people.
    pub(crate) fn line(&self) -> String {
        let time = self.ts.get(11..23).unwrap_or(&self.ts);
        let about = self.about();
        let line = format!("{:>5}  {time}  {:<20} {}", self.seq, self.kind, short(&about, 120));
        line.trim_end().to_owned()
    }

    fn about(&self) -> String {
        let Some(data) = &self.data else { return "(its payload is gone)".to_owned() };
        let text = |name: &str| self.text(name).unwrap_or_default().to_owned();
        match self.kind.as_str() {
            "task.submitted" => text("kind"),
            "task.started" => format!("attempt {} by {}", data["attempt"], text("worker")),
            "step.started" | "step.completed" => text("step"),
            "step.failed" => {
                format!("{}: {}", text("step"), data["error"]["message"].as_str().unwrap_or_default())
            }
            "log" => {
                self.text("text").map_or_else(|| "(bytes)".to_owned(), |text| text.trim_end().to_owned())
            }
            "task.progress" => {
                let count = match (&data["done"], &data["total"]) {
                    (Value::Null, _) => String::new(),
                    (done, Value::Null) => done.to_string(),
                    (done, total) => format!("{done} of {total}"),
                };
                format!("{count} {}", text("note")).trim().to_owned()
            }
            "task.failed" | "task.retry_scheduled" => {
                let error = &data["error"];
                format!(
                    "{}: {}",
                    error["code"].as_str().unwrap_or_default(),
                    error["message"].as_str().unwrap_or_default()
                )
            }
            "task.completed" => data["result"].to_string(),
            "task.lease_lost" => format!("attempt {}: {}", data["attempt"], text("reason")),
            "approval.requested" => format!("{}: {}", text("id"), text("prompt")),
            "approval.decision" => format!("{}: {}", text("id"), text("decision")),
            _ if data.as_object().is_some_and(serde_json::Map::is_empty) => String::new(),
            _ => data.to_string(),
        }
    }
}

/// The first line of a text, cut where it is too long.
pub(crate) fn short(text: &str, chars: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= chars {
        return line.to_owned();
    }
    line.chars().take(chars.saturating_sub(1)).chain(['…']).collect()
}

/// An error of a task in one line.
pub(crate) fn error(error: &TaskError) -> String {
    format!("{} ({})", error.message, error.code)
}

/// What a wait is for.
fn wait(wait: &Wait) -> String {
    let join = |parts: &[Wait], word: &str| parts.iter().map(self::wait).collect::<Vec<_>>().join(word);
    match wait {
        Wait::All(parts) => join(parts, " and "),
        Wait::Any(parts) => join(parts, " or "),
        Wait::Timer { at, .. } => format!("the time {at}"),
        Wait::Input { name, .. } => format!("the input {name}"),
        Wait::Decision { id } => format!("a decision about {id}"),
        Wait::Child { task, .. } => format!("the end of {task}"),
    }
}

/// A task as people read it.
pub(crate) fn task(task: &TaskView) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            // Writing to a string can't fail.
            let _ = writeln!(out, "{name:<12} {value}");
        }
    };
    row("id", task.id.to_string());
    row("state", task.state.to_string());
    row("kind", task.kind.clone());
    row("key", task.key.clone().unwrap_or_default());
    row("title", task.title.clone().or_else(|| task.name.clone()).unwrap_or_default());
    row("queue", task.queue.clone());
    row(
        "labels",
        task.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
    );
    row("attempts", format!("{} ({} tries failed, {} lost)", task.attempt, task.tries, task.lost_attempts));
    row("steps", task.steps.to_string());
    if let Some(progress) = &task.progress {
        let part = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let words = [part(progress.done), part(progress.total)].into_iter().filter(|part| !part.is_empty());
        let count = words.collect::<Vec<_>>().join(" of ");
        row("progress", format!("{count} {}", progress.note.clone().unwrap_or_default()).trim().to_owned());
    }
    row("waits for", task.waiting_for.as_ref().map(wait).unwrap_or_default());
    row("questions", task.open_requests.join(" "));
    row("paused", task.paused.as_ref().map(|paused| paused.reason.clone()).unwrap_or_default());
    row("not claimed", task.unclaimable.clone().unwrap_or_default());
    row(
        "forked from",
        task.forked_from.as_ref().map(|from| format!("{}/{}", from.task, from.upto_seq)).unwrap_or_default(),
    );
    row("created", task.created_at.to_string());
    row("finished", task.finished_at.map(|at| at.to_string()).unwrap_or_default());
    row("last event", task.last_seq.to_string());
    row("result", task.result.as_ref().map(|result| short(result.as_str(), 2_000)).unwrap_or_default());
    row("error", task.error.as_ref().map(error).unwrap_or_default());
    out
}

/// Tasks as a table.
pub(crate) fn tasks(tasks: &[TaskView]) -> String {
    let mut rows = vec![["TASK", "STATE", "KIND", "CREATED", "NAME"].map(str::to_owned).to_vec()];
    for task in tasks {
        let name =
            task.key.clone().or_else(|| task.title.clone()).or_else(|| task.name.clone()).unwrap_or_default();
        let name = match &task.error {
            Some(error) => format!("{name}  {}: {}", error.code, error.message).trim().to_owned(),
            None => name,
        };
        let created = task.created_at.to_string();
        let created = created.get(..19).unwrap_or(&created).replace('T', " ");
        rows.push(vec![
            task.id.to_string(),
            task.state.to_string(),
            task.kind.clone(),
            created,
            short(&name, 80),
        ]);
    }
    output::table(&rows)
}
