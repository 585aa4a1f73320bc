//! The contract of an executor, and the registry of those that a worker has.

use crate::context::Context;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::json::Json;
use everloop_types::task::{PauseReason, TaskSpec};
use everloop_types::wait::Wait;
use everloop_types::worker::KindOffer;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why the code of a task stops before its end. Executors pass it on with `?`; they make only the first one themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The try has failed.
    Failed(TaskError),
    /// The task waits for something and needs no worker until then.
    Waiting(Wait),
    /// It stands still: it was asked to, or the code does not follow the journal.
    Paused(PauseReason),
    /// It was cancelled.
    Cancelled,
    /// It goes on as a new task with this input.
    ContinueAs(Json),
    /// The worker is stopping: another attempt goes on.
    HandedBack,
    /// The attempt is over: whatever is written now is refused.
    LeaseLost,
    /// It is only to be replayed, and has come to what is not recorded: these steps.
    Replayed(Vec<String>),
}

impl Stop {
    /// The task goes on as a new one with this input: `return Err(Stop::continue_as(&input))`. A long task keeps its history
    /// short by it; its key passes on.
    pub fn continue_as(input: &impl Serialize) -> Self {
        crate::context::canonical(input).map_or_else(|stop| stop, Self::ContinueAs)
    }
}

impl From<TaskError> for Stop {
    fn from(error: TaskError) -> Self {
        Self::Failed(error)
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(TaskError::new(
            Code::Internal,
            format!("a value could not be written or read as JSON: {error}"),
        ))
    }
}

/// Does the work of one kind of task.
///
/// `run` is called once an attempt, with a context that knows what earlier attempts recorded. Everything that has an effect
/// belongs into a step of the context; what stands between steps may run again. When the task is cancelled the context says
/// so, and the future is dropped when the grace has passed: whatever it holds has to clean up when dropped.
pub trait Executor: Send + Sync {
    /// The kind and the versions that it runs.
    fn offer(&self) -> KindOffer;

    /// One line about it, for `everloop explain` and the list of kinds.
    fn about(&self) -> &str;

    /// Refuses an input that can never work, before a task is made of it.
    ///
    /// # Errors
    /// `invalid_request` with the fields that are wrong, as paths, each with what would be right; `not_granted` where it is not
    /// the input that is wrong.
    fn check(&self, spec: &TaskSpec) -> Result<(), Refusal> {
        let _ = spec;
        Ok(())
    }

    /// Runs one attempt.
    fn run(&self, context: Context) -> BoxFuture<'_, Result<Json, Stop>>;
}

/// The executors of a worker, by kind.
#[derive(Clone, Default)]
pub struct Registry {
    executors: BTreeMap<String, Arc<dyn Executor>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.executors.keys()).finish()
    }
}

impl Registry {
    /// Adds an executor; a second one for the same kind takes the first one's place.
    #[must_use]
    pub fn with(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executors.insert(executor.offer().kind, executor);
        self
    }

    /// The executor of a kind.
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn Executor>> {
        self.executors.get(kind)
    }

    /// What the worker offers.
    pub fn offers(&self) -> Vec<KindOffer> {
        self.executors.values().map(|executor| executor.offer()).collect()
    }

    /// Every executor, by kind.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<dyn Executor>)> {
        self.executors.iter().map(|(kind, executor)| (kind.as_str(), executor))
    }
}
