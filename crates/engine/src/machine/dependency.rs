//! A prerequisite has ended.

use super::due::released;
use super::{Decision, Draft, View, failed};
use everloop_store::work::Relations;
use everloop_types::error::{Code, TaskError};
use everloop_types::id::TaskId;
use everloop_types::state::State;
use everloop_types::task::DependsOn;

/// The dependent fails with a prerequisite that did not end as needed, and is put into its queue with the last one that did.
pub fn decide(view: View<'_>, prerequisite: TaskId, ended: State) -> Decision {
    let task = view.task;
    let Some(row) = view.relations.prerequisites.iter().find(|row| row.prerequisite == prerequisite) else {
        // It was told already.
        return Ok(Vec::new());
    };
    if task.state.is_terminal() {
        return Ok(Vec::new());
    }
    if row.on == DependsOn::Completed && ended != State::Completed {
        let message = format!("prerequisite {prerequisite} is {ended}");
        return Ok(vec![Draft::system(failed(task, TaskError::new(Code::DependencyFailed, message)))]);
    }
    if task.state != State::Pending {
        return Ok(Vec::new());
    }
    let rest = view.relations.prerequisites.iter().filter(|row| row.prerequisite != prerequisite);
    let relations = Relations { prerequisites: rest.copied().collect(), ..view.relations.clone() };
    Ok(released(View { relations: &relations, ..view }).into_iter().collect())
}
