//! One step: run once, recorded, and from then on replayed.

use crate::context::{Context, canonical};
use crate::executor::Stop;
use crate::journal::{Found, Outcome};
use everloop_types::error::{Code, TaskError};
use everloop_types::event::{Level, StepCompleted, StepFailed, StepStarted};
use everloop_types::json::Json;
use everloop_types::step::OnUnknown;
use everloop_types::task::Parent;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;

/// What a person may answer about a step that was cut off.
const IN_DOUBT_CHOICES: [&str; 3] = ["happened", "rerun", "fail"];

/// What became of a step that was cut off, as whoever made its effect knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It happened, with this result.
    Happened(T),
    /// It did not happen, and won't: it may run again.
    NotHappened,
    /// Nobody knows: a person is asked.
    Unknown,
}

/// A step that is about to be run, or replayed.
///
/// ```no_run
/// # use everloop_worker::{context::Context, executor::Stop};
/// # use everloop_types::error::TaskError;
/// # async fn example(context: Context) -> Result<(), Stop> {
/// let length: u64 = context.step("measure").args(&"a.txt").run(async { Ok::<_, TaskError>(42) }).await?;
/// # Ok(()) }
/// ```
#[must_use = "a step does nothing until it is run"]
pub struct Step<'a> {
    context: &'a Context,
    key: String,
    name: String,
    kind: String,
    args: Result<Json, Stop>,
    on_unknown: OnUnknown,
    verify: Option<BoxFuture<'a, Result<Verdict<Json>, Stop>>>,
    code_version: Option<String>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(context: &'a Context, name: &str) -> Self {
        Self {
            context,
            key: context.next_key(name),
            name: name.to_owned(),
            kind: "step".to_owned(),
            args: Ok(Json::null()),
            on_unknown: OnUnknown::Rerun,
            verify: None,
            code_version: None,
        }
    }

    /// What the step depends on: a replay with other arguments is found out.
    pub fn args(mut self, args: &impl Serialize) -> Self {
        self.args = canonical(args);
        self
    }

    /// What kind of step it is: `http`, `shell`, `model`. The context's own are `version` and `race`.
    pub fn kind(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.kind);
        self
    }

    /// What to do if it is cut off and its outcome stays unknown, unless the task's policy says something else.
    pub fn on_unknown(mut self, on_unknown: OnUnknown) -> Self {
        self.on_unknown = on_unknown;
        self
    }

    /// If it is cut off, asks this whether it happened, unless the task's policy says something else. It is run only then,
    /// and may be run again. With an error, nothing is known: the try ends with it, and the next one asks again.
    pub fn verify<V: Serialize + Send>(
        mut self,
        verify: impl Future<Output = Result<Verdict<V>, TaskError>> + Send + 'a,
    ) -> Self {
        self.on_unknown = OnUnknown::Verify;
        self.verify = Some(Box::pin(async move {
            Ok(match verify.await? {
                Verdict::Happened(value) => Verdict::Happened(canonical(&value)?),
                Verdict::NotHappened => Verdict::NotHappened,
                Verdict::Unknown => Verdict::Unknown,
            })
        }));
        self
    }

    /// The version of the code that runs it, for the record.
    pub fn code_version(mut self, version: &str) -> Self {
        self.code_version = Some(version.to_owned());
        self
    }

    /// The key that makes the effect of this step happen once where it is made: the same for every try and attempt.
    pub fn idempotency_key(&self) -> String {
        let keys_of = self.context.journal().keys_of().unwrap_or(self.context.assignment().task);
        everloop_journal::digest::step_idempotency_key(keys_of, &self.key)
    }

    /// What to give as `parent` to a task that the step starts: its end is told to this task, and it ends with it.
    pub fn parent(&self) -> Parent {
        Parent { step: Some(self.key.clone()), task: self.context.assignment().task }
    }

    /// Runs the step, or gives what was recorded of it. The outcomes of all steps before it are durable before it begins.
    ///
    /// # Errors
    /// The step's error; the reason to stop.
    pub async fn run<T, F>(mut self, work: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, TaskError>>,
    {
        let args = std::mem::replace(&mut self.args, Ok(Json::null()))?;
        let intent = everloop_journal::digest::intent(&args);
        let context = self.context;
        let found = context.journal().find(&self.key, &self.kind, &intent)?;
        let failed_tries = match found {
            Found::Outcome(Outcome::Completed(result)) => {
                return Ok(context.resolve(result).await?.parse()?);
            }
            Found::Outcome(Outcome::Failed(error)) => return Err(Stop::Failed(error)),
            Found::Nothing { failed_tries } => failed_tries,
            Found::InDoubt(policy, start) => match self.in_doubt(policy, start).await? {
                Some(result) => {
                    record(
                        context,
                        &self.key,
                        &self.kind,
                        &intent,
                        self.code_version,
                        context.now(),
                        result.clone(),
                    );
                    return Ok(context.resolve(result).await?.parse()?);
                }
                None => 0,
            },
        };
        context.boundary()?;
        if let Some(ahead) = context.journal().passed_over() {
            context.log(
                Level::Warn,
                format!("step {} is new and stands before recorded step {ahead}", self.key),
            );
        }
        let on_unknown = context.on_unknown(self.on_unknown);
        let started_at = context.now();
        if on_unknown.needs_start() {
            let started = StepStarted {
                at: started_at,
                code_version: self.code_version.clone(),
                intent: intent.clone(),
                kind: self.kind.clone(),
                on_unknown,
                step: self.key.clone(),
            };
            context.shared().outbox.push(started.into());
        }
        context.flush().await?;
        // Whoever was heard while waiting for the disk is heard before anything happens.
        context.boundary()?;
        match work.await {
            Ok(value) => {
                let result = canonical(&value)?;
                record(context, &self.key, &self.kind, &intent, self.code_version, started_at, result);
                Ok(value)
            }
            Err(error) => {
                let again = error.class.is_retried();
                let failed = StepFailed {
                    error: error.clone(),
                    intent,
                    kind: self.kind,
                    // It runs again with the next try of the task; when that is, the task's policy says.
                    next_at: again.then(|| context.now()),
                    step: self.key,
                    r#try: failed_tries + 1,
                };
                context.shared().outbox.push(failed.into());
                Err(Stop::Failed(error))
            }
        }
    }
}

fn record(
    context: &Context,
    key: &str,
    kind: &str,
    intent: &str,
    code_version: Option<String>,
    started_at: everloop_types::time::Timestamp,
    result: Json,
) {
    let completed = StepCompleted {
        attempt: context.assignment().attempt,
        code_version,
        intent: intent.to_owned(),
        kind: kind.to_owned(),
        result,
        started_at,
        step: key.to_owned(),
    };
    context.shared().outbox.push(completed.into());
}

impl Step<'_> {
    /// A step that was started and never recorded: gives its outcome if somebody knows it, nothing if it shall run again.
    async fn in_doubt(&mut self, policy: OnUnknown, start: u32) -> Result<Option<Json>, Stop> {
        let context = self.context;
        // An answer is about the start that it was asked for: one that is cut off again is asked about again.
        let id = if start <= 1 { self.key.clone() } else { format!("{}/start-{start}", self.key) };
        match policy {
            OnUnknown::Rerun => return Ok(None),
            OnUnknown::Fail => return Err(self.unknown()),
            OnUnknown::Verify if !context.journal().was_asked(&id) => {
                if let Some(verify) = self.verify.take() {
                    context.boundary()?;
                    match verify.await? {
                        Verdict::Happened(result) => return Ok(Some(result)),
                        Verdict::NotHappened => return Ok(None),
                        Verdict::Unknown => {}
                    }
                }
            }
            // Who was asked about it has the word.
            OnUnknown::Verify | OnUnknown::Ask => {}
        }
        let prompt = format!("Step {} was started and cut off. Did it happen?", self.name);
        let (decision, result) = context.ask_with_id(id, &prompt, &IN_DOUBT_CHOICES, None)?;
        match decision.as_str() {
            "happened" => Ok(Some(result.unwrap_or_default())),
            "rerun" => Ok(None),
            _ => Err(self.unknown()),
        }
    }

    fn unknown(&self) -> Stop {
        let message = format!("step {} was cut off, and nobody knows whether it happened", self.key);
        Stop::Failed(TaskError::new(Code::OutcomeUnknown, message))
    }
}
