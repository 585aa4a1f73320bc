//! What an executor sees of the world.

use crate::activity::Activity;
use crate::executor::Stop;
use crate::hold::Hold;
use crate::journal::{Journal, VERSION};
use crate::outbox::Outbox;
use crate::race::Race;
use crate::source::{Assignment, WorkSource};
use crate::step::Step;
use crate::tell::Frames;
use everloop_journal::digest;
use everloop_types::error::{Code, TaskError};
use everloop_types::event::{EventBody, StepCompleted, StepFailed};
use everloop_types::id::WorkerId;
use everloop_types::json::Json;
use everloop_types::step::{OnUnknown, step_key};
use everloop_types::task::PauseReason;
use everloop_types::time::{Clock, Timestamp};
use everloop_types::worker::Replay;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What an attempt was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Run,
    /// Stop at the next step.
    Pause,
    /// Give up, within this time.
    Cancel {
        /// Time to clean up.
        grace: Duration,
    },
    /// The attempt ran longer than it may: give up, within this time.
    Timeout {
        /// Time to clean up.
        grace: Duration,
    },
    /// The worker is stopping: give the task back at the next step.
    HandBack,
    /// The lease is lost: stop at once.
    Lost,
}

impl Control {
    /// Whether the executor shall give up.
    pub fn is_stop(self) -> bool {
        matches!(self, Self::Cancel { .. } | Self::Timeout { .. } | Self::Lost)
    }
}

/// One attempt, shared by every branch of its code. Cloning is cheap.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
    pub(crate) scope: Arc<str>,
    pub(crate) manner: Manner,
}

/// How the code of a branch is run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// A step that runs is dropped when the task shall stop.
    pub(crate) is_interrupted: bool,
    /// It cleans up: it goes on although the task was cancelled or took too long.
    pub(crate) cleans_up: bool,
    /// It is run beside something else, of which the first to end counts.
    pub(crate) in_race: bool,
    /// All of it lies in the past: it has won a race that is recorded.
    pub(crate) is_past: bool,
    /// It is run in a race of which nobody knows yet who wins.
    pub(crate) is_contested: bool,
}

pub(crate) struct Shared {
    pub(crate) assignment: Assignment,
    pub(crate) outbox: Outbox,
    pub(crate) frames: Frames,
    pub(crate) activity: Activity,
    pub(crate) control: watch::Receiver<Control>,
    /// None for a worker that can't outlive its server.
    hold: Option<Hold>,
    source: Arc<dyn WorkSource>,
    clock: Arc<dyn Clock>,
    /// The input itself, once it was fetched.
    input: OnceLock<Json>,
    pub(crate) journal: Mutex<Journal>,
    /// What the journal was made of, and what was recorded since: kept where the code is run again over it.
    pub(crate) past: Mutex<Vec<EventBody>>,
    /// How much of it the journal was made of.
    pub(crate) known: AtomicUsize,
    /// Failures of which nobody knows yet what the code makes of them, and their scopes.
    pub(crate) held: Mutex<Vec<(Arc<str>, StepFailed)>>,
    /// How often a name was used in a scope.
    pub(crate) occurrences: Mutex<HashMap<(Arc<str>, String), u32>>,
    /// When progress was last written, in milliseconds of the monotonic clock.
    pub(crate) progress_at: AtomicU64,
}

impl Shared {
    pub(crate) fn source(&self) -> &dyn WorkSource {
        &*self.source
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Waits until the lease can't be counted on any more: whatever the loop of the worker waits for meanwhile.
    pub(crate) async fn expired(&self) {
        match &self.hold {
            Some(hold) => hold.over(&*self.clock).await,
            None => std::future::pending().await,
        }
    }
}

impl Context {
    pub(crate) fn new(
        source: Arc<dyn WorkSource>,
        worker: WorkerId,
        mut assignment: Assignment,
        control: watch::Receiver<Control>,
        hold: Option<Hold>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let past: Vec<_> =
            std::mem::take(&mut assignment.journal).into_iter().map(|entry| entry.body).collect();
        let is_kept = assignment.replay == Some(Replay::Always);
        let kept = if is_kept { past.clone() } else { Vec::new() };
        let outbox =
            Outbox::new(source.clone(), worker, assignment.tenant, assignment.task, assignment.lease);
        let shared = Shared {
            assignment,
            outbox,
            frames: Frames::default(),
            activity: Activity::default(),
            control,
            hold,
            source,
            clock,
            input: OnceLock::new(),
            journal: Mutex::new(Journal::new(past)),
            known: AtomicUsize::new(kept.len()),
            past: Mutex::new(kept),
            held: Mutex::default(),
            occurrences: Mutex::default(),
            progress_at: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), scope: "".into(), manner: Manner::default() }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.shared.journal)
    }

    /// The task: its id, what was asked for, the number of the attempt.
    pub fn assignment(&self) -> &Assignment {
        &self.shared.assignment
    }

    /// The input, `null` if there was none.
    pub fn input(&self) -> Json {
        let sent = || self.shared.assignment.spec.input.clone().unwrap_or_default();
        self.shared.input.get().cloned().unwrap_or_else(sent)
    }

    /// Fetches the input, where it was too large for its event.
    pub(crate) async fn fetch_input(&self) -> Result<(), Stop> {
        let input = self.resolve(self.input()).await?;
        // Set once, before the executor runs.
        let _ = self.shared.input.set(input);
        Ok(())
    }

    /// The input, read into a type of the executor's.
    ///
    /// # Errors
    /// A `validation` error that says what serde missed.
    pub fn input_as<T: DeserializeOwned>(&self) -> Result<T, Stop> {
        serde_json::from_str(self.input().as_str())
            .map_err(|error| Stop::Failed(TaskError::new(Code::InvalidRequest, format!("input: {error}"))))
    }

    /// The wall clock, as it is.
    pub(crate) fn wall_clock(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// A branch of the code with a scope of its own: `parallel[0]`, `map[key]`. Whatever runs beside something else needs one.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        let scope = if self.scope.is_empty() { name.to_owned() } else { format!("{}/{name}", self.scope) };
        self.within(&scope)
    }

    /// A branch whose whole path is given.
    pub(crate) fn within(&self, path: &str) -> Self {
        Self { shared: self.shared.clone(), scope: path.into(), manner: self.manner }
    }

    /// The same branch, run in another manner.
    pub(crate) fn with_manner(&self, manner: Manner) -> Self {
        Self { manner, ..self.clone() }
    }

    /// The same branch, whose steps are dropped where they stand when the task shall stop. Without it, what a step does is
    /// left to come to its end, for as long as the grace lasts.
    #[must_use]
    pub fn interrupted(&self) -> Self {
        self.with_manner(Manner { is_interrupted: true, ..self.manner })
    }

    /// The path of the branch.
    pub(crate) fn path(&self) -> &str {
        &self.scope
    }

    /// The identity of the next step of this name in this scope.
    pub(crate) fn next_key(&self, name: &str) -> String {
        if !self.manner.cleans_up {
            // The code goes on: what failed before is an outcome of which it knows.
            self.settle(&self.scope, true);
        }
        let mut occurrences = lock(&self.shared.occurrences);
        let count = occurrences.entry((self.scope.clone(), name.to_owned())).or_default();
        *count += 1;
        let key = step_key(&self.scope, name, *count);
        drop(occurrences);
        self.journal().name(&key);
        key
    }

    /// Begins a step: `context.step("charge").args(&order).run(async { … }).await?`.
    pub fn step(&self, name: &str) -> Step<'_> {
        Step::new(self, name)
    }

    /// What the attempt was last told.
    pub fn control(&self) -> Control {
        *self.shared.control.borrow()
    }

    /// Waits until the executor shall give up: for its own cleaning up.
    pub async fn stopped(&self) -> Control {
        let mut control = self.shared.control.clone();
        match control.wait_for(|control| control.is_stop()).await {
            Ok(control) => *control,
            Err(_) => Control::Lost,
        }
    }

    /// Waits until this branch shall give up.
    pub(crate) async fn must_end(&self) -> Stop {
        let mut control = self.shared.control.clone();
        let cleans_up = self.manner.cleans_up;
        let ends = |control: &Control| *control == Control::Lost || (!cleans_up && control.is_stop());
        // Whoever could say something else is gone.
        let _ = control.wait_for(ends).await;
        self.boundary().err().unwrap_or(Stop::LeaseLost)
    }

    /// What stands between two steps: whoever wants the task to stop is heard here.
    ///
    /// # Errors
    /// The reason to stop.
    pub fn boundary(&self) -> Result<(), Stop> {
        let now = self.shared.clock.monotonic();
        if self.shared.hold.as_ref().is_some_and(|hold| hold.is_over(now)) {
            return Err(Stop::LeaseLost);
        }
        match self.control() {
            Control::Run => Ok(()),
            Control::Pause => {
                let reason = PauseReason::REQUESTED.to_owned();
                Err(Stop::Paused(PauseReason { by: String::new(), details: None, reason }))
            }
            Control::Cancel { .. } | Control::Timeout { .. } if self.manner.cleans_up => Ok(()),
            Control::Cancel { .. } => Err(Stop::Cancelled),
            Control::Timeout { .. } => Err(Stop::Failed(self.timed_out())),
            Control::HandBack => Err(Stop::HandedBack),
            Control::Lost => Err(Stop::LeaseLost),
        }
    }

    pub(crate) fn timed_out(&self) -> TaskError {
        let limit = self.shared.assignment.spec.policy.timeout_ms.unwrap_or_default();
        TaskError::new(
            Code::Timeout,
            format!("attempt {} ran longer than {limit} ms", self.shared.assignment.attempt),
        )
    }

    /// Makes everything that was written so far durable.
    ///
    /// # Errors
    /// If the attempt is over.
    pub async fn flush(&self) -> Result<(), Stop> {
        self.shared.outbox.flush().await
    }

    /// Which version of the code goes on from here: `max` where a task comes by for the first time, whatever it was then on
    /// every later attempt, and `min` where it had gone on from here before there was a gate. One id decides once in a scope.
    ///
    /// # Errors
    /// A mismatch, if the task passed the gate as a version that is not in `min..=max`: the task stands still.
    pub fn version(&self, id: &str, min: u32, max: u32) -> Result<u32, Stop> {
        let key = step_key(&self.scope, id, VERSION);
        let mut journal = self.journal();
        if let Some(version) = journal.version(&key, min, max)? {
            return Ok(version);
        }
        let version = if journal.has_ahead(&self.scope) { min } else { max };
        let result = canonical(&version)?;
        journal.decide_version(key.clone(), result.clone());
        drop(journal);
        self.record(key.clone(), VERSION, digest::intent(&Json::null()), result);
        self.go_on(&key)?;
        Ok(version)
    }

    /// Begins a race: several things at once, of which the first to end counts.
    pub fn race<'a, T>(&'a self, name: &str) -> Race<'a, T> {
        Race::new(self, name)
    }

    /// Records an outcome of the context's own.
    pub(crate) fn record(&self, step: String, kind: &str, intent: String, result: Json) {
        let completed = StepCompleted {
            attempt: self.shared.assignment.attempt,
            code_version: None,
            intent,
            kind: kind.to_owned(),
            result,
            started_at: self.wall_clock(),
            step,
        };
        self.push(completed.into());
    }

    /// The default for steps that say nothing themselves: the task's policy, else this one.
    pub(crate) fn on_unknown(&self, own: OnUnknown) -> OnUnknown {
        self.shared.assignment.spec.policy.on_unknown.unwrap_or(own)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value as canonical JSON.
pub fn canonical(value: &impl Serialize) -> Result<Json, Stop> {
    everloop_journal::canonical::to_canonical(value).map_err(|error| {
        let message = format!("the value has no canonical form: {error}");
        Stop::Failed(TaskError::new(Code::NotCanonical, message))
    })
}
