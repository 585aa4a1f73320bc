//! Acts on many tasks: counted first, then done.

use crate::caller::Caller;
use crate::control::Control;
use crate::forks::ForkPlan;
use everloop_store::port::{Order, TaskFilter};
use everloop_types::error::{Code, Refusal};
use everloop_types::id::TaskId;
use everloop_types::limits;
use everloop_types::state::State;
use futures_util::StreamExt;

/// Tasks that one call takes.
const AT_ONCE: usize = 1_000;
/// Refusals that an answer names.
const NAMED: usize = 100;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// End them.
    Cancel,
    /// Let them stand still.
    Pause,
    /// Let them go on.
    Resume,
    /// Fork them with all that succeeded.
    Redrive,
}

impl Act {
    /// The states in which it is possible.
    pub fn states(self) -> &'static [State] {
        match self {
            Self::Cancel => &[
                State::Pending,
                State::Queued,
                State::Running,
                State::Waiting,
                State::Pausing,
                State::Paused,
            ],
            Self::Pause => &[State::Pending, State::Queued, State::Running, State::Waiting],
            Self::Resume => &[State::Pausing, State::Paused],
            Self::Redrive => &[State::Failed, State::Cancelled],
        }
    }
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    /// How many tasks match, counted to 10,000.
    pub matched: u64,
    /// How many it was done to.
    pub done: u64,
    /// Those that refused.
    pub refused: Vec<(TaskId, Refusal)>,
    /// Whether there are more than one call takes.
    pub more: bool,
}

impl Control {
    /// Counts the tasks that match and, if they are as many as expected, acts on them, oldest first.
    ///
    /// # Errors
    /// `precondition_failed` where they are not as many.
    pub async fn bulk(
        &self,
        caller: &Caller,
        act: Act,
        mut filter: TaskFilter,
        expect: Option<u64>,
        reason: Option<String>,
    ) -> Result<Bulk, Refusal> {
        if filter.states.is_empty() {
            filter.states = match act {
                Act::Redrive => vec![State::Failed],
                Act::Cancel | Act::Pause | Act::Resume => act.states().to_vec(),
            };
        } else if let Some(state) = filter.states.iter().find(|state| !act.states().contains(state)) {
            let able: Vec<_> = act.states().iter().map(|state| state.as_str()).collect();
            let message =
                format!("has {state}, in which it is not possible; possible are {}", able.join(", "));
            return Err(Refusal::field("filter.state", message));
        }
        let tenant = caller.tenant;
        let (matched, tasks) = self
            .engine()
            .read(move |store| {
                let matched = store.tasks_count(tenant, &filter, limits::COUNTED_ITEMS)?;
                let mut tasks: Vec<TaskId> = Vec::new();
                while expect.is_some() && tasks.len() < AT_ONCE {
                    let after = tasks.last().copied();
                    let page =
                        store.tasks(tenant, &filter, Order::Oldest, after.into(), limits::PAGE_ITEMS)?;
                    let full = page.len() == limits::PAGE_ITEMS;
                    tasks.extend(page.into_iter().map(|row| row.task.id));
                    if !full {
                        break;
                    }
                }
                Ok((matched, tasks))
            })
            .await?;
        let mut bulk = Bulk { matched, more: matched > AT_ONCE as u64, ..Bulk::default() };
        let Some(expected) = expect else { return Ok(bulk) };
        if expected != matched {
            let detail = format!("{matched} tasks match, not {expected}; nothing was done");
            return Err(Refusal::new(Code::PreconditionFailed, detail)
                .hint("look at them again, then send the new count"));
        }
        let one = |task| {
            let reason = reason.clone();
            async move {
                let done = match act {
                    Act::Cancel => self.cancel(caller, task, reason).await.map(|_| ()),
                    Act::Pause => self.pause(caller, task, reason).await.map(|_| ()),
                    Act::Resume => self.resume(caller, task).await.map(|_| ()),
                    Act::Redrive => self.redrive(caller, task, ForkPlan::default()).await.map(|_| ()),
                };
                (task, done)
            }
        };
        let mut outcomes =
            futures_util::stream::iter(tasks.into_iter().map(one)).buffered(limits::COMMIT_COMMANDS / 2);
        while let Some((task, done)) = outcomes.next().await {
            match done {
                Ok(()) => bulk.done += 1,
                Err(refusal) if bulk.refused.len() < NAMED => bulk.refused.push((task, refusal)),
                Err(_) => {}
            }
        }
        Ok(bulk)
    }
}
