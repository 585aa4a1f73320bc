//! Rules about how long somebody waits for what is there already: nothing is lost by a hint that is not given, but time is.

use super::{Oracle, Told, Verdict};
use everloop_types::event::{Event, EventBody, LostReason, SYSTEM};
use everloop_types::id::TaskId;
use everloop_types::time::Timestamp;
use everloop_types::wait::{Cause, Wait};
use std::time::Duration;
use tokio::time::Instant;

/// Longest time that something may take where nothing goes wrong: less than anybody looks again by himself.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Longest time between a moment and what was to happen then, where nothing goes wrong.
const ON_TIME: Duration = Duration::from_millis(1_500);
/// Longest time that somebody who waits is not told, whatever goes wrong.
const EVER: Duration = Duration::from_secs(5);

/// How late an event is, for the rules about events of runs in which nothing goes wrong.
pub(super) fn in_time(oracle: &Oracle, told: &Told, event: &Event, body: &EventBody) -> Verdict {
    if !oracle.quiet {
        return Ok(());
    }
    let late = |since: Option<Timestamp>, longest: Duration| match since {
        Some(since) if event.ts.since(since) > longest => Err(format!("it was due at {since}")),
        _ => Ok(()),
    };
    match body {
        EventBody::Ready(ready) => match ready.cause {
            Cause::Timer => late(told.task.waiting_for.as_ref().and_then(Wait::next_timer), ON_TIME),
            Cause::Retry => late(told.task.retry_at, ON_TIME),
            Cause::Time => late(told.task.spec.not_before.max(Some(told.task.created_at)), ON_TIME),
            Cause::Dependency | Cause::Input | Cause::Decision | Cause::Child => Ok(()),
        },
        // A fork begins with copies of what its source was told.
        EventBody::Child(child) if event.actor == SYSTEM => {
            let ended = oracle.tasks.get(&child.task).and_then(|child| child.task.finished_at);
            late(ended, AT_ONCE)
        }
        EventBody::LeaseLost(lost) if lost.reason == LostReason::Expired => {
            Err("nobody has taken its worker away".to_owned())
        }
        _ => Ok(()),
    }
}

impl Oracle {
    /// A follower that has waited for long hears nothing, and was shown so many events.
    pub(crate) fn hears_nothing(&mut self, who: &str, task: TaskId, seen: usize) {
        let waits = self.tasks.get(&task).and_then(|told| told.learnt.get(seen)).map(Instant::elapsed);
        let excused = self.deleted.contains(&task) || self.untold.contains(&task);
        let verdict = match waits.filter(|waits| *waits > EVER && !excused) {
            Some(waits) => Err(format!("{who} has waited for {task}/{} for {waits:?}", seen + 1)),
            None => Ok(()),
        };
        self.rule("a follower that waits is told", verdict);
    }

    /// A feed that waited since then was shown this.
    pub(crate) fn fed_live(&mut self, who: &str, since: Instant, event: &Event) {
        let told = event.stream.task().and_then(|task| self.tasks.get(&task));
        let at = usize::try_from(event.seq - 1).ok().and_then(|at| told?.learnt.get(at)).copied();
        let verdict = match at.filter(|at| self.quiet && *at > since && at.elapsed() > AT_ONCE) {
            Some(at) => {
                Err(format!("{who} was shown {}/{} after {:?}", event.stream, event.seq, at.elapsed()))
            }
            None => Ok(()),
        };
        self.rule("a feed that waits is told", verdict);
    }

    /// Somebody who waited for the end of a task is told that it goes on.
    pub(crate) fn goes_on(&mut self, who: &str, task: TaskId) {
        let ended = self.tasks.get(&task).filter(|told| told.task.state.is_terminal());
        let ago = ended.and_then(|told| told.learnt.last()).map(Instant::elapsed);
        let excused = self.untold.contains(&task);
        let verdict = match ago.filter(|ago| *ago > EVER && !excused) {
            Some(ago) => Err(format!("{who} waited for {task}, which ended {ago:?} ago")),
            None => Ok(()),
        };
        self.rule("who waits for an end is told of it", verdict);
    }
}
