//! One step: run once, recorded, and from then on replayed.

use crate::context::{Context, canonical};
use crate::executor::Stop;
use crate::journal::{Found, Outcome};
use crate::wait::WARM_WAIT;
use everloop_types::error::{Class, Code, TaskError};
use everloop_types::event::{Level, StepCompleted, StepFailed, StepStarted};
use everloop_types::json::Json;
use everloop_types::retry::RetryPolicy;
use everloop_types::step::OnUnknown;
use everloop_types::task::Parent;
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

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
    timeout: Option<Duration>,
}

/// A step that is tried again by itself; what it does is given as a function, which makes a future for each try.
///
/// ```no_run
/// # use everloop_worker::{context::Context, executor::Stop};
/// # use everloop_types::error::TaskError;
/// # async fn fetch(url: &str) -> Result<String, TaskError> { Ok(url.to_owned()) }
/// # async fn example(context: Context, url: &str) -> Result<(), Stop> {
/// let page: String = context.step("fetch").args(&url).retries(3).run(|| fetch(url)).await?;
/// # Ok(()) }
/// ```
#[must_use = "a step does nothing until it is run"]
pub struct Retried<'a> {
    step: Step<'a>,
    retry: RetryPolicy,
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
            timeout: None,
        }
    }

    /// What the step depends on: a replay with other arguments is found out.
    pub fn args(mut self, args: &impl Serialize) -> Self {
        self.args = canonical(args);
        self
    }

    /// What kind of step it is: `http`, `shell`, `model`. The context's own are `version`, `race`, `value`, `sleep` and `child`.
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

    /// The longest time that one try may take; then it fails with `step_timeout`, which is tried again.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often the step is tried again by itself after an error of class `transient` or `internal`: at most a second apart, then
    /// two, and so on up to a minute. A delay of two seconds and more frees the worker.
    pub fn retries(self, retries: u32) -> Retried<'a> {
        let retry = RetryPolicy { max_tries: retries.saturating_add(1), ..RetryPolicy::default() };
        Retried { step: self, retry }
    }

    /// Runs the step, or gives what was recorded of it. The outcomes of all steps before it are durable before it begins.
    /// An error with the code `outcome_unknown` is no outcome: the step is in doubt, as if its worker had been lost.
    ///
    /// The result is written as JSON and read back, so that a replay gives what the first run gave.
    ///
    /// # Errors
    /// The step's error; the reason to stop.
    pub async fn run<T, F>(self, work: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, TaskError>>,
    {
        let once = RetryPolicy { max_tries: 1, ..RetryPolicy::default() };
        let mut work = Some(work);
        self.tried(&once, || work.take()).await
    }

    async fn tried<T, F>(
        mut self,
        retry: &RetryPolicy,
        mut work: impl FnMut() -> Option<F>,
    ) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, TaskError>>,
    {
        let args = std::mem::replace(&mut self.args, Ok(Json::null()))?;
        let intent = everloop_journal::digest::intent(&args);
        let context = self.context;
        let mut starts = context.journal().starts(&self.key);
        let found = context.journal().find(&self.key, &self.kind, &intent)?;
        let (mut tries, next_at) = match found {
            Found::Outcome(Outcome::Completed(result)) => {
                return Ok(context.resolve(result).await?.parse()?);
            }
            Found::Outcome(Outcome::Failed(error)) => return Err(Stop::Failed(error)),
            Found::Nothing { failed_tries, next_at } => (failed_tries, next_at),
            Found::InDoubt(policy, start) => match self.in_doubt(policy, start).await? {
                Some(result) => {
                    self.record(&intent, context.wall_clock(), result.clone());
                    return Ok(context.resolve(result).await?.parse()?);
                }
                None => (0, None),
            },
        };
        self.goes_on()?;
        context.boundary()?;
        let ahead = context.journal().passed_over(context.path()).map(str::to_owned);
        if let Some(ahead) = ahead {
            let text = format!("step {} is new and stands before recorded step {ahead}", self.key);
            context.log_chunk("executor", Level::Warn, 0, text.into_bytes());
        }
        let retries = retry.max_tries.saturating_sub(1);
        if let Some(at) = next_at.filter(|_| tries <= retries) {
            until_next_try(context, &self.key, tries, at).await?;
        }
        let on_unknown = context.on_unknown(self.on_unknown);
        // One that had all its tries has another one with each try of the task.
        let last = retries.max(tries);
        loop {
            context.boundary()?;
            let started_at = context.wall_clock();
            if on_unknown.needs_start() {
                starts += 1;
                let started = StepStarted {
                    at: started_at,
                    code_version: self.code_version.clone(),
                    intent: intent.clone(),
                    kind: self.kind.clone(),
                    on_unknown,
                    step: self.key.clone(),
                };
                context.push(started.into());
            }
            context.flush().await?;
            // Whoever was heard while waiting for the disk is heard before anything happens.
            context.boundary()?;
            let Some(work) = work() else { return Err(self.unknown()) };
            let error = match once(context, &self.key, self.timeout, work).await {
                Ok(value) => {
                    let result = canonical(&value)?;
                    self.record(&intent, started_at, result.clone());
                    context.go_on(&self.key)?;
                    return Ok(result.parse()?);
                }
                Err(Stop::Failed(error)) if error.code == Code::OutcomeUnknown.as_str() => {
                    context.log(Level::Warn, format!("step {} was cut off: {}", self.key, error.message));
                    if let Some(result) = self.in_doubt(on_unknown, starts).await? {
                        self.record(&intent, started_at, result.clone());
                        return Ok(context.resolve(result).await?.parse()?);
                    }
                    error
                }
                Err(Stop::Failed(error)) => error,
                Err(stop) => return Err(stop),
            };
            tries += 1;
            let is_again = error.class.is_retried();
            let delay = retry.delay(tries, &context.chance(&format!("{}/try-{tries}", self.key)));
            let at = context.wall_clock().plus(delay);
            let goes_on = is_again && tries <= last;
            let failed = StepFailed {
                error: error.clone(),
                intent: intent.clone(),
                kind: self.kind.clone(),
                next_at: goes_on.then_some(at),
                step: self.key.clone(),
                r#try: tries,
            };
            if goes_on {
                context.push(failed.into());
                until_next_try(context, &self.key, tries, at).await?;
                continue;
            }
            if is_again {
                context.hold(failed);
            } else {
                context.push(failed.into());
                context.go_on(&self.key)?;
            }
            return Err(Stop::Failed(error));
        }
    }

    /// Whether anything new may be done.
    fn goes_on(&self) -> Result<(), Stop> {
        if self.context.is_dry() { Err(Stop::Replayed(vec![self.key.clone()])) } else { Ok(()) }
    }

    fn record(&self, intent: &str, started_at: Timestamp, result: Json) {
        let completed = StepCompleted {
            attempt: self.context.assignment().attempt,
            code_version: self.code_version.clone(),
            intent: intent.to_owned(),
            kind: self.kind.clone(),
            result,
            started_at,
            step: self.key.clone(),
        };
        self.context.push(completed.into());
    }
}

/// One try.
async fn once<T>(
    context: &Context,
    key: &str,
    timeout: Option<Duration>,
    work: impl Future<Output = Result<T, TaskError>>,
) -> Result<T, Stop> {
    let in_time = async {
        let Some(limit) = timeout else { return work.await };
        let late = || TaskError {
            class: Class::Transient,
            code: "step_timeout".to_owned(),
            details: None,
            message: format!("step {} took longer than {limit:?}", key),
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
    };
    tokio::select! {
        biased;
        done = in_time => Ok(done?),
        stop = context.must_end(), if context.manner.is_interrupted => Err(stop),
    }
}

/// Waits until the step is to be tried again.
async fn until_next_try(context: &Context, key: &str, tries: u32, at: Timestamp) -> Result<(), Stop> {
    let id = format!("{}/try-{}", key, tries + 1);
    if context.journal().has_fired(&id) {
        return Ok(());
    }
    let left = at.since(context.wall_clock());
    if left < WARM_WAIT {
        context.flush().await?;
        tokio::select! {
            biased;
            () = tokio::time::sleep(left) => return Ok(()),
            stop = context.must_end() => return Err(stop),
        }
    }
    if context.held(left).await? {
        return Ok(());
    }
    Err(Stop::Waiting(Wait::Timer { at, id }))
}

impl Retried<'_> {
    /// How far apart the tries are: the largest delay before the second one, which doubles from there, and the largest of all.
    pub fn backoff(mut self, initial: Duration, max: Duration) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        (self.retry.initial_ms, self.retry.max_ms) = (millis(initial), millis(max));
        self
    }

    /// See [`Step::idempotency_key`].
    pub fn idempotency_key(&self) -> String {
        self.step.idempotency_key()
    }

    /// Runs the step, or gives what was recorded of it: see [`Step::run`]. Each try is a future of its own.
    ///
    /// # Errors
    /// The error of the last try; the reason to stop.
    pub async fn run<T, F>(self, mut work: impl FnMut() -> F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, TaskError>>,
    {
        self.step.tried(&self.retry, || Some(work())).await
    }
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
                self.goes_on()?;
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
        if !context.journal().was_asked(&id) {
            self.goes_on()?;
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
