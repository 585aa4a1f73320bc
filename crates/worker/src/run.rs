//! The loop: register, claim, run, renew, listen, and go in peace.

use crate::context::{Context, Control};
use crate::executor::{Registry, Stop};
use crate::source::{Assignment, AttemptEnd, Signal, SourceError, Sourced, TaskSignal, WorkSource};
use everloop_types::error::{Code, TaskError};
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::names;
use everloop_types::time::Clock;
use everloop_types::worker::WorkerSpec;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Waits shorter than this are held instead of suspending the task.
pub const WARM_WAIT: Duration = Duration::from_secs(2);
/// How long a record waits for company before it is written by itself. The end of the task, or the next step, comes first
/// when they come at once, and then they share a commit.
const GATHER: Duration = Duration::from_millis(2);
/// How long a request for tasks or signals is held open.
const POLL: Duration = Duration::from_secs(30);
/// How often a worker says that it lives: often enough that it was always heard from in the last 30 seconds.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How long the loop waits for a word from the server: while it does, it looks at no lease and hears no signal.
const ANSWER: Duration = Duration::from_secs(5);
const _: () = assert!(HEARTBEAT.as_secs() + ANSWER.as_secs() < 30);
/// How often leases are looked at.
const LEASE_TICK: Duration = Duration::from_millis(500);

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// A name for people.
    pub name: String,
    /// Queues in the order in which they are tried.
    pub queues: Vec<String>,
    /// Tasks at the same time.
    pub max_concurrent_tasks: u32,
    /// What it can do beyond its kinds.
    pub capabilities: Vec<String>,
    /// How long running tasks may go on when the worker stops, before they are given back.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "worker".to_owned(),
            queues: names::QUEUES.iter().map(|queue| (*queue).to_owned()).collect(),
            max_concurrent_tasks: 16,
            capabilities: Vec::new(),
            drain: Duration::from_secs(10),
        }
    }
}

/// A worker.
pub struct Worker {
    /// Where work comes from.
    pub source: Arc<dyn WorkSource>,
    /// What does the work.
    pub registry: Registry,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How it is set up.
    pub options: Options,
}

/// An attempt as the loop sees it.
struct Running {
    attempt: u32,
    control: watch::Sender<Control>,
    /// The lease, its life, and when it was last renewed; none for a worker that can't outlive its server.
    lease: Option<(LeaseToken, Duration, Duration)>,
}

impl Worker {
    /// Works until `stop` turns true, then lets running tasks go on for a while, and gives back the rest.
    ///
    /// # Errors
    /// If the source refuses the worker.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), SourceError> {
        let spec = WorkerSpec {
            capabilities: self.options.capabilities.clone(),
            kinds: self.registry.offers(),
            max_concurrent_tasks: self.options.max_concurrent_tasks,
            name: self.options.name.clone(),
            protocol: 1,
            queues: self.options.queues.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let Some(mut id) = self.register(&spec, &mut stop).await? else { return Ok(()) };
        let mut running: BTreeMap<TaskId, Running> = BTreeMap::new();
        let mut attempts: JoinSet<(TaskId, u32)> = JoinSet::new();
        let mut request = 0;
        // A request whose answer was lost is repeated under its number: what it was given is given again.
        let mut repeat = false;
        let mut claim: Option<Sourced<'_, Vec<Assignment>>> = None;
        let mut signals: Option<Sourced<'_, Vec<TaskSignal>>> = None;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut lease_tick = tokio::time::interval(LEASE_TICK);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        lease_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self
                .options
                .max_concurrent_tasks
                .saturating_sub(u32::try_from(attempts.len()).unwrap_or(u32::MAX));
            if claim.is_none() && room > 0 {
                request += u64::from(!std::mem::take(&mut repeat));
                claim = Some(self.source.claim(id, room, POLL, request));
            }
            let signalled = signals.get_or_insert_with(|| self.source.signals(id, POLL));
            tokio::select! {
                biased;
                changed = stop.changed() => {
                    if changed.is_err() || *stop.borrow() {
                        break;
                    }
                }
                Some(ended) = attempts.join_next() => {
                    if let Ok((task, attempt)) = ended
                        && running.get(&task).is_some_and(|running| running.attempt == attempt)
                    {
                        running.remove(&task);
                    }
                }
                heard = signalled => {
                    signals = None;
                    match heard {
                        Ok(heard) => heard.into_iter().for_each(|signal| tell(&running, signal)),
                        Err(error) => self.pause_after(&error).await,
                    }
                }
                claimed = async { match claim.as_mut() { Some(claim) => claim.await, None => std::future::pending().await } } => {
                    claim = None;
                    match claimed {
                        Ok(assignments) => for assignment in assignments {
                            self.begin(id, assignment, &mut running, &mut attempts);
                        },
                        Err(SourceError::Refused(refusal)) if refusal.code == Code::NotFound => {
                            // The server does not know us any more: what we held is lost, and we begin anew.
                            running.values().for_each(|running| { running.control.send_replace(Control::Lost); });
                            signals = None;
                            match self.register(&spec, &mut stop).await? {
                                Some(new) => id = new,
                                None => break,
                            }
                        }
                        Err(error) => {
                            repeat = true;
                            self.pause_after(&error).await;
                        }
                    }
                }
                _ = lease_tick.tick() => self.renew(id, &mut running).await,
                _ = heartbeat.tick() => {
                    match tokio::time::timeout(ANSWER, self.source.heartbeat(id, None)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%error, "a heartbeat was not heard"),
                        Err(_) => tracing::debug!("a heartbeat got no answer"),
                    }
                }
            }
        }
        self.drain(&running, attempts).await;
        Ok(())
    }

    async fn register(
        &self,
        spec: &WorkerSpec,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<WorkerId>, SourceError> {
        loop {
            match self.source.register(spec.clone()).await {
                Ok(id) => return Ok(Some(id)),
                Err(error @ SourceError::Refused(_)) => return Err(error),
                Err(SourceError::Unavailable(why)) => {
                    tracing::warn!(why, "the server can't be reached; trying again");
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                        _ = stop.changed() => return Ok(None),
                    }
                }
            }
        }
    }

    async fn pause_after(&self, error: &SourceError) {
        tracing::debug!(%error, "the source did not answer");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    fn begin(
        &self,
        worker: WorkerId,
        assignment: Assignment,
        running: &mut BTreeMap<TaskId, Running>,
        attempts: &mut JoinSet<(TaskId, u32)>,
    ) {
        let (task, attempt) = (assignment.task, assignment.attempt);
        let (control, heard) = watch::channel(Control::Run);
        let lease = assignment.lease_ttl.map(|ttl| (assignment.lease, ttl, self.clock.monotonic()));
        let context = Context::new(self.source.clone(), worker, assignment, heard, self.clock.clone());
        if let Some(earlier) = running.insert(task, Running { attempt, control: control.clone(), lease }) {
            // Word of its loss may come later, and would not be for this attempt.
            earlier.control.send_replace(Control::Lost);
        }
        let registry = self.registry.clone();
        attempts.spawn(async move {
            if AssertUnwindSafe(run_attempt(&registry, context, control)).catch_unwind().await.is_err() {
                tracing::error!(%task, "an attempt panicked");
            }
            (task, attempt)
        });
    }

    /// Renews leases that are a third through, and stops what was not renewed for two thirds.
    async fn renew(&self, id: WorkerId, running: &mut BTreeMap<TaskId, Running>) {
        let now = self.clock.monotonic();
        let mut due = Vec::new();
        for (task, attempt) in running.iter() {
            let Some((token, life, renewed)) = attempt.lease else { continue };
            let age = now.saturating_sub(renewed);
            if age >= life * 2 / 3 {
                tracing::warn!(%task, "the lease could not be renewed in time; the attempt is given up");
                attempt.control.send_replace(Control::Lost);
            } else if age >= life / 3 {
                due.push((*task, token));
            }
        }
        if due.is_empty() {
            return;
        }
        let renewed = tokio::time::timeout(ANSWER, self.source.renew(id, due.clone())).await;
        match renewed.unwrap_or_else(|_| Err(SourceError::Unavailable("no answer".to_owned()))) {
            Ok(lost) => {
                for (task, _) in due {
                    let Some(attempt) = running.get_mut(&task) else { continue };
                    if lost.contains(&task) {
                        attempt.control.send_replace(Control::Lost);
                    } else if let Some((_, _, renewed)) = attempt.lease.as_mut() {
                        *renewed = now;
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "leases could not be renewed"),
        }
    }

    /// Lets attempts end, then asks them to give their tasks back at the next step, then stops them.
    async fn drain(&self, running: &BTreeMap<TaskId, Running>, mut attempts: JoinSet<(TaskId, u32)>) {
        for attempt in running.values() {
            attempt.control.send_if_modified(|control| {
                let running = *control == Control::Run;
                if running {
                    *control = Control::HandBack;
                }
                running
            });
        }
        let ended = async { while attempts.join_next().await.is_some() {} };
        if tokio::time::timeout(self.options.drain, ended).await.is_err() {
            tracing::info!(left = attempts.len(), "tasks did not come to a step in time and are cut off");
        }
        attempts.shutdown().await;
    }
}

fn tell(running: &BTreeMap<TaskId, Running>, signal: TaskSignal) {
    let Some(attempt) = running.get(&signal.task).filter(|running| running.attempt == signal.attempt) else {
        return;
    };
    let new = match signal.signal {
        Signal::Pause => Control::Pause,
        Signal::Resume => Control::Run,
        Signal::Cancel { grace } => Control::Cancel { grace },
        Signal::LeaseLost => Control::Lost,
    };
    attempt.control.send_if_modified(|control| {
        // Who was told to stop does not go on again.
        let changes = !control.is_stop() || new == Control::Lost;
        if changes {
            *control = new;
        }
        changes
    });
}

/// Runs one attempt to its end, and writes the end.
async fn run_attempt(registry: &Registry, context: Context, control: watch::Sender<Control>) {
    let assignment = context.assignment().clone();
    let outbox = &context.shared().outbox;
    let mut writing = pin!(
        async {
            loop {
                outbox.added().await;
                tokio::time::sleep(GATHER).await;
                if let Err(stop) = outbox.flush().await {
                    break stop;
                }
            }
        }
        .fuse()
    );
    let outcome = {
        let Some(executor) = registry.get(&assignment.spec.kind) else {
            let message = format!("this worker does not run kind {:?}", assignment.spec.kind);
            let error = TaskError::new(Code::UnknownKind, message);
            let _ = outbox.end(AttemptEnd::Failed { error }).await;
            return;
        };
        let work = async {
            context.fetch_input().await?;
            executor.run(context.clone()).await
        };
        let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
        let mut too_long = pin!(async {
            match assignment.spec.policy.timeout_ms {
                Some(limit) => tokio::time::sleep(Duration::from_millis(limit)).await,
                None => std::future::pending().await,
            }
        });
        let mut given_up = pin!(give_up(&context));
        let mut timed_out = false;
        loop {
            tokio::select! {
                biased;
                done = &mut work => break done.unwrap_or_else(|panic| Err(Stop::Failed(panicked(&*panic)))),
                stop = &mut writing => break Err(stop),
                stop = &mut given_up => break Err(stop),
                () = &mut too_long, if !timed_out => {
                    timed_out = true;
                    let grace = assignment.spec.policy.grace();
                    control.send_if_modified(|control| {
                        let changes = !control.is_stop();
                        if changes {
                            *control = Control::Timeout { grace };
                        }
                        changes
                    });
                }
            }
        }
    };
    let Some(end) = ending(&context, outcome) else { return };
    let written = async {
        match outbox.end(end).await {
            // What could not be written is the end of the try, if that can be.
            Err(Stop::Failed(error)) => {
                // What else would be written might be refused as well, and then the attempt would never end.
                outbox.forget();
                outbox.end(AttemptEnd::Failed { error }).await
            }
            other => other,
        }
    };
    tokio::select! {
        biased;
        written = written => {
            if let Err(stop) = written {
                tracing::debug!(task = %assignment.task, ?stop, "the end of an attempt was not taken");
            }
        }
        // Polled on, because it may be in the middle of a batch that the end has to wait for.
        _ = &mut writing => {}
    }
}

/// Ends when the executor was told to stop and its grace has passed.
async fn give_up(context: &Context) -> Stop {
    let grace = match context.stopped().await {
        Control::Cancel { grace } | Control::Timeout { grace } => grace,
        Control::Run | Control::Pause | Control::HandBack | Control::Lost => return Stop::LeaseLost,
    };
    let mut control = context.shared().control.clone();
    tokio::select! {
        biased;
        () = tokio::time::sleep(grace) => {}
        // Nothing is left to clean up for: somebody else has the task.
        _ = control.wait_for(|control| *control == Control::Lost) => {}
    }
    match context.boundary() {
        Err(stop) => stop,
        Ok(()) => Stop::Cancelled,
    }
}

fn ending(context: &Context, outcome: Result<everloop_types::json::Json, Stop>) -> Option<AttemptEnd> {
    let outcome = match (outcome, context.control()) {
        (_, Control::Lost) | (Err(Stop::LeaseLost), _) => return None,
        (Ok(result), _) => match context.journal().unreached() {
            None => Ok(result),
            Some(stop) => Err(stop),
        },
        // Whatever an executor makes of being stopped: that is why.
        (Err(_), Control::Timeout { .. }) => Err(Stop::Failed(context.timed_out())),
        (Err(Stop::Failed(error)), Control::Cancel { .. }) if error.class.is_retried() => {
            Err(Stop::Cancelled)
        }
        (Err(stop), _) => Err(stop),
    };
    Some(match outcome {
        Ok(result) => AttemptEnd::Completed { result },
        Err(Stop::Failed(error)) => AttemptEnd::Failed { error },
        Err(Stop::Waiting(wait)) => AttemptEnd::Waiting { wait },
        Err(Stop::Paused(reason)) => AttemptEnd::Paused { reason },
        Err(Stop::Cancelled) => match context.control() {
            Control::Cancel { .. } => AttemptEnd::Cancelled,
            _ => AttemptEnd::Failed {
                error: TaskError::new(Code::Cancelled, "the executor gave up by itself"),
            },
        },
        Err(Stop::ContinueAs(input)) => AttemptEnd::ContinuedAs { input },
        Err(Stop::HandedBack) => AttemptEnd::Released,
        Err(Stop::LeaseLost) => return None,
    })
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> TaskError {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    TaskError::new(
        Code::ExecutorPanicked,
        format!("the executor panicked: {}", text.unwrap_or("without a message")),
    )
}
