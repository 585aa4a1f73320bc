//! Clients: each submits a task of the plan, does with it what its course says, sees it end, and takes the next.

use super::door::{Answer, Door};
use super::follow;
use super::ledger::{Act, Entry};
use crate::crash::plan::{Course, Following, INPUT, Plan, Scripted};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A task, as the server shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct View {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) last_seq: u64,
    #[serde(default)]
    pub(crate) key: Option<String>,
}

impl View {
    fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed" | "cancelled")
    }
}

/// Runs the tasks `first`, `first + step`, … until the door says that it is enough.
pub(crate) fn run(door: &Arc<Door>, plan: Plan, first: u64, step: u64) -> Result<()> {
    let mut n = first;
    while !door.finishing.load(Ordering::Relaxed) {
        one(door, &plan.task(n))?;
        n += step;
    }
    Ok(())
}

/// One task, from its submit to its end.
fn one(door: &Arc<Door>, script: &Scripted) -> Result<()> {
    let twin = script.twins.then(|| {
        let (door, script) = (door.clone(), script.clone());
        std::thread::spawn(move || submit(&door, &script).map(|_| ()))
    });
    let view = submit(door, script)?;
    if let Some(twin) = twin {
        twin.join().ok().context("a client panicked")??;
    }
    let Some(view) = view else { return Ok(()) };
    let follower = (script.following != Following::No).then(|| {
        let (door, task, following, n) = (door.clone(), view.id.clone(), script.following, script.n);
        std::thread::spawn(move || follow::run(&door, &task, following, n))
    });
    if script.again {
        submit(door, script)?;
    }
    course(door, script, &view.id)?;
    until(door, script, &view.id, View::has_ended)?;
    if let Some(follower) = follower {
        follower.join().ok().context("a follower panicked")??;
    }
    Ok(())
}

/// Submits until it is acknowledged.
fn submit(door: &Door, script: &Scripted) -> Result<Option<View>> {
    let Some(answer) = door.insist("POST", "/api/v1/tasks", Some(&script.request(door.effects_port))) else {
        return Ok(None);
    };
    if !matches!(answer.status, 200 | 201) {
        door.refused(&format!("submit {}", script.key), &answer)?;
        return Ok(None);
    }
    let view: View = answer.read()?;
    door.record(&[Entry::Submitted {
        n: script.n,
        task: view.id.clone(),
        status: answer.status,
        state: view.state.clone(),
        seq: view.last_seq,
    }])?;
    Ok(Some(view))
}

fn course(door: &Door, script: &Scripted, task: &str) -> Result<()> {
    match script.course {
        Course::Straight | Course::Effect { .. } | Course::Retried(_) | Course::Dead => Ok(()),
        Course::Input { early } => {
            if !early {
                until(door, script, task, |view| view.state == "waiting" || view.has_ended())?;
            }
            let body = json!({ "name": INPUT, "data": script.result(), "id": script.input_id() });
            act(door, script, task, Act::Input, &body.to_string())
        }
        Course::Paused => {
            act(door, script, task, Act::Pause, "{}")?;
            until(door, script, task, |view| view.state == "paused" || view.has_ended())?;
            act(door, script, task, Act::Resume, "{}")
        }
        Course::Cancelled => act(door, script, task, Act::Cancel, "{}"),
    }
}

/// Wants something of a task until it is answered.
fn act(door: &Door, script: &Scripted, task: &str, act: Act, body: &str) -> Result<()> {
    let path = format!("/api/v1/tasks/{task}/{}", act.as_str());
    let Some(answer) = door.insist("POST", &path, Some(body)) else { return Ok(()) };
    let (state, seq) = match answer.status {
        200..=202 => {
            let view = changed(&answer)?;
            (view.state, view.last_seq)
        }
        // The task has ended or was resumed by a try whose answer was lost; what is recorded shows whether that may be.
        409 => (String::new(), 0),
        _ => return door.refused(&path, &answer),
    };
    let (n, task, status) = (script.n, task.to_owned(), answer.status);
    door.record(&[Entry::Acted { n, task, act, status, state, seq }])
}

/// The task in the answer, which is wrapped where the answer says more.
fn changed(answer: &Answer) -> Result<View> {
    #[derive(Deserialize)]
    struct Wrapped {
        task: View,
    }
    answer.read::<View>().or_else(|_| answer.read::<Wrapped>().map(|wrapped| wrapped.task))
}

/// Asks until the task is as wanted, and records its end when it is seen.
fn until(door: &Door, script: &Scripted, task: &str, wanted: impl Fn(&View) -> bool) -> Result<()> {
    // The server answers when the task has ended, or after this time.
    let path = format!("/api/v1/tasks/{task}?wait=50ms");
    loop {
        let Some(answer) = door.insist("GET", &path, None) else { return Ok(()) };
        if answer.status != 200 {
            return door.refused(&path, &answer);
        }
        let view: View = answer.read()?;
        if view.has_ended() {
            let (n, task, state, seq) = (script.n, view.id.clone(), view.state.clone(), view.last_seq);
            door.record(&[Entry::Ended { n, task, state, seq }])?;
        }
        if wanted(&view) {
            return Ok(());
        }
    }
}
