//! Somebody sends something to a task.

use super::evolve::{Meta, evolve};
use super::{Decision, Draft, View, illegal, wake};
use everloop_types::error::{Code, Refusal};
use everloop_types::event::Input;
use everloop_types::json::Json;
use everloop_types::limits;
use everloop_types::state::State;

/// The input is kept whether or not anybody waits for it; a task that waits for it goes on. One that is sent again, by its id,
/// changes nothing.
pub fn decide(view: View<'_>, actor: &str, id: String, name: String, data: Json) -> Decision {
    if view.task.known_input(&id).is_some() {
        return Ok(Vec::new());
    }
    if view.task.state.is_terminal() {
        return Err(illegal(view.task, "sent an input", "the task has ended: fork it to go on"));
    }
    if view.task.arrived.len() >= limits::UNCONSUMED_INPUTS {
        let detail =
            format!("task {} has {} inputs that it has not taken", view.task.id, view.task.arrived.len());
        return Err(Refusal::new(Code::LimitReached, detail).hint("let the task take its inputs first"));
    }
    let mut events = vec![Draft::by(actor, Input { data, id, name })];
    then_wake(view, &mut events);
    Ok(events)
}

/// Adds the event that ends the wait of a waiting task, if these events do.
pub(super) fn then_wake(view: View<'_>, events: &mut Vec<Draft>) {
    let State::Waiting = view.task.state else { return };
    let mut after = view.task.clone();
    for draft in &*events {
        let meta = Meta { seq: view.seq, ts: view.now, actor: &draft.actor, bytes: 0 };
        if evolve(&mut after, meta, &draft.body).is_err() {
            return;
        }
    }
    if let Some(ready) = after.waiting_for.as_ref().and_then(|wait| wake(&after, wait, view.now)) {
        events.push(ready);
    }
}
