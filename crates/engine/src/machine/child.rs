//! A child has ended.

use super::input::then_wake;
use super::{Decision, Draft, View};
use everloop_types::event::Child;
use everloop_types::task::ArrivedWhat;

/// The end is kept whether or not anybody waits for it, once: it may be told again after a crash, when the parent has taken it
/// already. A parent that has ended is told nothing.
pub fn decide(view: View<'_>, child: Child) -> Decision {
    let told = view.task.arrived.iter().any(|arrived| match &arrived.what {
        ArrivedWhat::Child { task } => *task == child.task,
        ArrivedWhat::Input { .. } | ArrivedWhat::Decision { .. } => false,
    });
    let name = child.task.to_string();
    let taken = view.task.taken.iter().any(|taken| taken.id == name);
    if view.task.state.is_terminal() || told || taken {
        return Ok(Vec::new());
    }
    let mut events = vec![Draft::system(child)];
    then_wake(view, &mut events);
    Ok(events)
}
