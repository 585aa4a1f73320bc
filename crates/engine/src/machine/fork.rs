//! A new task begins with a prefix of another one's steps.

use super::Draft;
use everloop_types::event::{Event, EventBody, Forked};
use everloop_types::task::ForkedFrom;

/// The events that follow `task.submitted` in a fork: where it comes from, and copies of the outcomes
/// that it keeps, those of children too.
pub fn prefix(actor: &str, from: ForkedFrom, source: &[Event]) -> Vec<Draft> {
    let upto = from.upto_seq;
    let kept = source.iter().filter(|event| event.seq <= upto).filter_map(|event| match event.body() {
        Ok(Some(body @ EventBody::StepCompleted(_))) => Some(body),
        // Children stay the source's, and tell nobody else: what they told it is kept with the steps that started them.
        Ok(Some(body @ EventBody::Child(_))) => Some(body),
        // A failure that would be tried again is no outcome.
        Ok(Some(EventBody::StepFailed(step))) if step.next_at.is_none() => Some(EventBody::StepFailed(step)),
        _ => None,
    });
    std::iter::once(Draft::by(actor, Forked { from }))
        .chain(kept.map(|body| Draft::by(actor, body)))
        .collect()
}
