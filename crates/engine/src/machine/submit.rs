//! Somebody submits a task.

use super::View;
use super::evolve::{Meta, born};
use super::{Draft, due};
use everloop_store::rows::DependencyRow;
use everloop_store::work::Relations;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::event::{EventBody, Failed};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::state::State;
use everloop_types::task::{DependsOn, TaskSpec};
use everloop_types::time::Timestamp;

/// What submitting comes to.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The first events of the stream.
    pub events: Vec<Draft>,
    /// Prerequisites that have not ended yet.
    pub prerequisites: Vec<DependencyRow>,
}

/// The task is queued, or waits for its time and its prerequisites. One that failed already fails it at once.
///
/// `state_of` gives the state of a task of the same tenant.
///
/// # Errors
/// If a prerequisite or the parent does not exist.
pub fn decide(
    id: TaskId,
    tenant: TenantId,
    actor: &str,
    spec: TaskSpec,
    now: Timestamp,
    state_of: &dyn Fn(TaskId) -> Option<State>,
) -> Result<Submitted, Refusal> {
    if let Some(parent) = &spec.parent {
        match state_of(parent.task) {
            None => return Err(Refusal::field("parent.task", format!("there is no task {}", parent.task))),
            Some(state) if state.is_terminal() => {
                let detail = format!("parent {} is {state}: it can't have new children", parent.task);
                return Err(
                    Refusal::new(Code::IllegalTransition, detail).hint("submit the task without a parent")
                );
            }
            Some(_) => {}
        }
    }
    let mut prerequisites = Vec::new();
    let mut broken = None;
    for (i, dependency) in spec.depends_on.iter().enumerate() {
        match state_of(dependency.task) {
            None => {
                let message = format!("there is no task {}: submit the prerequisite first", dependency.task);
                return Err(Refusal::field(format!("depends_on[{i}].task"), message));
            }
            Some(State::Completed) => {}
            Some(State::Failed | State::Cancelled) if dependency.on == DependsOn::Ended => {}
            Some(state @ (State::Failed | State::Cancelled)) => broken = Some((dependency.task, state)),
            Some(
                State::Pending
                | State::Queued
                | State::Running
                | State::Waiting
                | State::Pausing
                | State::Paused
                | State::Cancelling,
            ) => prerequisites.push(DependencyRow {
                tenant,
                prerequisite: dependency.task,
                dependent: id,
                on: dependency.on,
            }),
        }
    }
    let waits = !spec.depends_on.is_empty();
    let task = waits.then(|| born(id, tenant, Meta { seq: 1, ts: now, actor, bytes: 0 }, spec.clone()));
    let mut events = vec![Draft::by(actor, EventBody::Submitted(Box::new(spec)))];
    if let Some((which, state)) = broken {
        let error = TaskError::new(Code::DependencyFailed, format!("prerequisite {which} is {state}"));
        events.push(Draft::system(Failed { error, unconsumed: Vec::new() }));
        prerequisites.clear();
    } else if let Some(task) = &task {
        let relations = Relations { prerequisites: prerequisites.clone(), ..Relations::default() };
        events.extend(due::released(View { task, seq: 1, lease: None, relations: &relations, now }));
    }
    Ok(Submitted { events, prerequisites })
}
