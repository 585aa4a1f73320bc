//! Somebody changes a task.

use super::{Decision, Draft, View, illegal};
use everloop_types::event::{TaskPatch, Updated};

/// Only a live task can be changed, and nothing happens where nothing would change.
pub fn decide(view: View<'_>, actor: &str, fields: TaskPatch) -> Decision {
    if view.task.state.is_terminal() {
        return Err(illegal(view.task, "changed", "the task has ended"));
    }
    let mut after = view.task.spec.clone();
    fields.apply(&mut after);
    if after == view.task.spec {
        return Ok(Vec::new());
    }
    Ok(vec![Draft::by(actor, Updated { fields })])
}
