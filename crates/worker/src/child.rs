//! Tasks that a task starts, and waits for.

use crate::context::{Context, canonical};
use crate::executor::Stop;
use crate::journal::{Found, Outcome};
use crate::source::{Output, SourceError, Sourced, Tasks};
use everloop_journal::digest;
use everloop_types::error::{Code, TaskError};
use everloop_types::event::{InputTaken, StepFailed};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::task::TaskSpec;
use everloop_types::wait::Wait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The kind of the records of a child: its start, and its result.
const CHILD: &str = "child";

/// A task that was started by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its id.
    pub id: TaskId,
    kind: String,
}

/// What is recorded of the start of a child.
#[derive(Serialize, Deserialize)]
struct Started {
    task: TaskId,
}

impl Context {
    /// Starts a task of this kind as a child of this one: its end is told to this task, and it ends with it. However often the
    /// code comes by, it is started once.
    ///
    /// # Errors
    /// The server's refusal; `internal` where the worker has no way to start tasks; the reason to stop.
    pub async fn start(&self, kind: &str, input: &impl Serialize) -> Result<Child, Stop> {
        let input = Some(canonical(input)?);
        self.start_as(TaskSpec { input, ..TaskSpec::new(kind) }).await
    }

    /// The same with everything that can be said of a task. Its parent is this one.
    ///
    /// # Errors
    /// As [`Context::start`].
    pub async fn start_as(&self, mut spec: TaskSpec) -> Result<Child, Stop> {
        spec.parent = None;
        let kind = spec.kind.clone();
        let step = self.step(&kind).kind(CHILD).args(&spec);
        let key = step.idempotency_key();
        spec.parent = Some(step.parent());
        let submit = async {
            let task = asked(self, |tasks| tasks.submit(spec.clone(), key.clone())).await?;
            Ok(Started { task })
        };
        let Started { task } = step.run(submit).await?;
        Ok(Child { id: task, kind })
    }

    /// Starts a child and waits for its result.
    ///
    /// # Errors
    /// As [`Context::start`] and [`Child::result`].
    pub async fn call<T: DeserializeOwned>(&self, kind: &str, input: &impl Serialize) -> Result<T, Stop> {
        self.start(kind, input).await?.result(self).await
    }
}

impl Child {
    /// Waits for the child's end, as long as it takes: its result, recorded here so that no replay asks for it again.
    ///
    /// # Errors
    /// The error that it ended with; the reason to stop: the wait itself, if it has not ended.
    pub async fn result<T: DeserializeOwned>(&self, context: &Context) -> Result<T, Stop> {
        let key = context.next_key(&format!("{}.result", self.kind));
        let intent = digest::intent(&canonical(&self.id)?);
        let found = context.journal().find(&key, CHILD, &intent)?;
        match found {
            Found::Outcome(Outcome::Completed(result)) => {
                return Ok(context.resolve(result).await?.parse()?);
            }
            Found::Outcome(Outcome::Failed(error)) => return Err(Stop::Failed(error)),
            Found::Nothing { .. } | Found::InDoubt(..) => {}
        }
        context.boundary()?;
        let mut last = self.id;
        let output = loop {
            let Some((_, taken)) = context.journal().child(last) else {
                return Err(Stop::Waiting(Wait::Child { id: key, task: last }));
            };
            if context.is_dry() {
                return Err(Stop::Replayed(vec![key]));
            }
            let output = asked(context, |tasks| tasks.output(last)).await?;
            if !taken {
                context.push(InputTaken { id: last.to_string(), step: key.clone() }.into());
            }
            match output.continued_as {
                Some(next) => last = next,
                None => break output,
            }
        };
        match ended(last, output) {
            Ok(result) => {
                context.record(key.clone(), CHILD, intent, result.clone());
                context.go_on(&key)?;
                Ok(context.resolve(result).await?.parse()?)
            }
            Err(error) => {
                // What became of a child does not change by asking again.
                let failed = StepFailed {
                    error: error.clone(),
                    intent,
                    kind: CHILD.to_owned(),
                    next_at: None,
                    step: key.clone(),
                    r#try: 1,
                };
                context.push(failed.into());
                context.go_on(&key)?;
                Err(Stop::Failed(error))
            }
        }
    }
}

fn ended(task: TaskId, output: Output) -> Result<Json, TaskError> {
    match (output.state, output.error) {
        (State::Completed, _) => Ok(output.result.unwrap_or_default()),
        (_, Some(error)) => Err(error),
        (_, None) => Err(TaskError::new(Code::Cancelled, format!("{task} was cancelled"))),
    }
}

/// Asks for tasks of others until there is an answer.
async fn asked<'a, T>(
    context: &'a Context,
    ask: impl Fn(&'a dyn Tasks) -> Sourced<'a, T>,
) -> Result<T, TaskError> {
    let Some(tasks) = context.shared().source().tasks() else {
        let message = "this worker has no way to start tasks: run the function in a worker over HTTP";
        return Err(TaskError::new(Code::Internal, message));
    };
    let mut pause = Duration::from_millis(20);
    loop {
        match ask(tasks).await {
            Ok(answer) => return Ok(answer),
            Err(SourceError::Refused(refusal)) => return Err(TaskError::new(refusal.code, refusal.detail)),
            Err(SourceError::Unavailable(why)) => {
                tracing::debug!(why, "a task could not be started or asked for; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    }
}
