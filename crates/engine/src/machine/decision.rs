//! Somebody answers a question that a task has asked.

use super::input::then_wake;
use super::{Decision, Draft, View, illegal};
use everloop_types::error::{Code, Refusal};
use everloop_types::event::ApprovalDecision;

/// The first answer wins; later ones learn of it.
pub fn decide(view: View<'_>, actor: &str, answer: ApprovalDecision) -> Decision {
    let task = view.task;
    if let Some(won) = task.decided.get(&answer.id) {
        let detail = format!(
            "{:?} was decided already: {} by {} (event {})",
            answer.id, won.decision, won.by, won.seq
        );
        return Err(Refusal::new(Code::AlreadyDecided, detail));
    }
    if task.state.is_terminal() {
        return Err(illegal(task, "decided about", "the task has ended"));
    }
    let Some(asked) = task.open_requests.iter().find(|open| open.id == answer.id) else {
        let open: Vec<_> = task.open_requests.iter().map(|open| open.id.as_str()).collect();
        let hint = match open.as_slice() {
            [] => "the task asks nothing now".to_owned(),
            open => format!("it asks: {}", open.join(", ")),
        };
        return Err(
            Refusal::not_found(format!("open request {:?} in task {}", answer.id, task.id)).hint(hint)
        );
    };
    if !asked.choices.is_empty() && !asked.choices.contains(&answer.decision) {
        return Err(Refusal::field("decision", format!("must be one of: {}", asked.choices.join(", "))));
    }
    let mut events = vec![Draft::by(actor, answer)];
    then_wake(view, &mut events);
    Ok(events)
}
