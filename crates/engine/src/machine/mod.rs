//! The rules of a task, as pure functions: no clock, no I/O, no chance but what is passed in.
//!
//! A command is decided in a file of its own: it looks at a [`View`] and gives the events that happen, or a refusal.
//! [`evolve`](evolve::evolve) is the only function that changes a record, and it takes nothing but events, so that
//! replaying a stream gives the record that the live path had. [`project`] says which rows a record needs.

pub mod attempt;
pub mod cancel;
pub mod child;
pub mod decision;
pub mod dependency;
pub mod dispatch;
pub mod due;
pub mod evolve;
pub mod fork;
pub mod input;
pub mod lost;
pub mod pause;
pub mod project;
pub mod resume;
pub mod start;
pub mod submit;
#[cfg(test)]
mod tests;
pub mod update;

use everloop_store::rows::LeaseRow;
use everloop_store::work::Relations;
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{Completed, EventBody, Failed, Ready, SYSTEM};
use everloop_types::json::Json;
use everloop_types::task::{ArrivedWhat, Task};
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;

/// What a command sees of a task.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The record.
    pub task: &'a Task,
    /// Number of the last event.
    pub seq: u64,
    /// Who holds it.
    pub lease: Option<&'a LeaseRow>,
    /// Its ties to others, where they were asked for.
    pub relations: &'a Relations,
    /// The only time there is.
    pub now: Timestamp,
}

/// An event that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who causes it.
    pub actor: String,
    /// What it says.
    pub body: EventBody,
}

impl Draft {
    /// An event caused by somebody.
    pub fn by(actor: &str, body: impl Into<EventBody>) -> Self {
        Self { actor: actor.to_owned(), body: body.into() }
    }

    /// An event caused by the server.
    pub fn system(body: impl Into<EventBody>) -> Self {
        Self::by(SYSTEM, body)
    }
}

/// What a command comes to: the events, none if there is nothing to change.
pub type Decision = Result<Vec<Draft>, Refusal>;

fn illegal(task: &Task, wish: &str, hint: &str) -> Refusal {
    Refusal::new(Code::IllegalTransition, format!("task {} is {} and can't be {wish}", task.id, task.state))
        .hint(hint)
}

/// Whether a leaf of a wait holds for a task at a time.
pub fn holds(task: &Task, leaf: &Wait, now: Timestamp) -> bool {
    match leaf {
        Wait::All(_) | Wait::Any(_) => false,
        Wait::Timer { at, .. } => *at <= now,
        Wait::Input { name, .. } => task.arrived.iter().any(|arrived| match &arrived.what {
            ArrivedWhat::Input { name: of, .. } => of == name,
            ArrivedWhat::Decision { .. } | ArrivedWhat::Child { .. } => false,
        }),
        Wait::Decision { id } => task.decided.contains_key(id),
        Wait::Child { task: child, .. } => task.arrived.iter().any(|arrived| match &arrived.what {
            ArrivedWhat::Child { task: of } => of == child,
            ArrivedWhat::Input { .. } | ArrivedWhat::Decision { .. } => false,
        }),
    }
}

/// The time that a pending task waits for: that of its next try, or, before its first, the one that it was submitted with. A task
/// that has begun does not wait for that one again, even where the clock was set back since.
fn begins_at(task: &Task) -> Option<Timestamp> {
    task.retry_at.or(task.spec.not_before.filter(|_| task.attempt == 0))
}

/// The event that ends a wait that is over.
pub fn wake(task: &Task, wait: &Wait, now: Timestamp) -> Option<Draft> {
    wait.satisfied(&|leaf| holds(task, leaf, now)).map(|leaf| {
        let (cause, id) = leaf.cause();
        Draft::system(Ready { cause, id: id.map(str::to_owned) })
    })
}

/// Ids of inputs that nobody took: listed when a task ends.
pub fn unconsumed(task: &Task) -> Vec<String> {
    let input = |arrived: &everloop_types::task::Arrived| match &arrived.what {
        ArrivedWhat::Input { id, .. } => Some(id.clone()),
        ArrivedWhat::Decision { .. } | ArrivedWhat::Child { .. } => None,
    };
    task.arrived.iter().filter_map(input).collect()
}

fn failed(task: &Task, error: everloop_types::error::TaskError) -> Failed {
    Failed { error, unconsumed: unconsumed(task) }
}

fn completed(task: &Task, result: Json) -> Completed {
    Completed { continued_as: None, result, unconsumed: unconsumed(task) }
}

fn cancelled(task: &Task, reason: Option<String>) -> everloop_types::event::Cancelled {
    everloop_types::event::Cancelled { reason, unconsumed: unconsumed(task) }
}
