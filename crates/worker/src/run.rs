//! The loop: register, claim, run, renew, listen, and go in peace.

use crate::attempt::run_attempt;
use crate::context::{Context, Control};
use crate::executor::Registry;
use crate::hold::Hold;
use crate::source::{Assignment, Signal, SourceError, Sourced, TaskSignal, WorkSource};
use everloop_types::error::Code;
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::names;
use everloop_types::time::Clock;
use everloop_types::worker::WorkerSpec;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

/// What every worker of this crate can do beyond its kinds: [`everloop_types::worker::Replay`].
const REPLAY: &str = "replay";
/// How long a request for tasks or signals is held open.
const POLL: Duration = Duration::from_secs(30);
/// How often a worker says that it lives: often enough that it was always heard from in the last 30 seconds.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How long the loop waits for a word from the server: while it does, it looks at no lease and hears no signal.
const ANSWER: Duration = Duration::from_secs(5);
const _: () = assert!(HEARTBEAT.as_secs() + ANSWER.as_secs() < 30);
/// Words about tasks that have not come yet, at most: a word may be faster than its task.
const EARLY: usize = 256;
/// How often leases are looked at: at least once between one third of the shortest and two.
const LEASE_TICK: Duration = Duration::from_millis(250);
const _: () = assert!(LEASE_TICK.as_millis() < limits::LEASE_LEAST.as_millis() / 3);

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
    lease: Option<(LeaseToken, Duration, watch::Sender<Duration>)>,
}

/// The attempts that run, by task.
type Held = BTreeMap<TaskId, Running>;

/// The last words about attempts that are not there, by task and attempt.
type Early = BTreeMap<(TaskId, u32), TaskSignal>;

impl Worker {
    /// Works until `stop` turns true, then lets running tasks go on for a while, and gives back the rest.
    ///
    /// # Errors
    /// If the source refuses the worker.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), SourceError> {
        let mut capabilities = self.options.capabilities.clone();
        capabilities.push(REPLAY.to_owned());
        let spec = WorkerSpec {
            capabilities,
            kinds: self.registry.offers(),
            max_concurrent_tasks: self.options.max_concurrent_tasks,
            name: self.options.name.clone(),
            protocol: 1,
            queues: self.options.queues.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let Some(mut id) = self.register(&spec, &mut stop).await? else { return Ok(()) };
        let mut running = Held::new();
        let mut attempts: JoinSet<(TaskId, u32)> = JoinSet::new();
        let mut early: Early = BTreeMap::new();
        let mut request = 0;
        // A request whose answer was lost is repeated under its number: what it was given is given again.
        let mut repeat = false;
        let mut asked = self.clock.monotonic();
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
                asked = self.clock.monotonic();
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
                Some(ended) = attempts.join_next() => forget(&mut running, ended),
                heard = signalled => {
                    signals = None;
                    match heard {
                        Ok(heard) => for signal in heard {
                            if !tell(&running, &signal) {
                                early.insert((signal.task, signal.attempt), signal);
                            }
                            if early.len() > EARLY {
                                early.pop_first();
                            }
                        },
                        Err(error) => self.pause_after(&error).await,
                    }
                }
                claimed = async { match claim.as_mut() { Some(claim) => claim.await, None => std::future::pending().await } } => {
                    claim = None;
                    match claimed {
                        Ok(assignments) => match self.confirm(id, assignments, asked).await {
                            Ok((assignments, renewed)) => for assignment in assignments {
                                let word = early.remove(&(assignment.task, assignment.attempt));
                                self.begin(id, assignment, renewed, &mut running, &mut attempts);
                                word.map(|word| tell(&running, &word));
                            },
                            Err(error) => {
                                repeat = true;
                                self.pause_after(&error).await;
                            }
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
        self.drain(id, running, attempts, signals).await;
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

    /// Leases may be older than their answer: it may have been long on its way, or the worker may have stood still. They
    /// count from when they were asked for; those that would be old by that are renewed before anything is begun.
    /// Gives the tasks that are held, and since when.
    async fn confirm(
        &self,
        id: WorkerId,
        assignments: Vec<Assignment>,
        asked: Duration,
    ) -> Result<(Vec<Assignment>, Duration), SourceError> {
        let now = self.clock.monotonic();
        let old = |of: &Assignment| of.lease_ttl.is_some_and(|life| now.saturating_sub(asked) >= life / 3);
        let due: Vec<_> = assignments.iter().filter(|of| old(of)).map(|of| (of.task, of.lease)).collect();
        if due.is_empty() {
            return Ok((assignments, asked));
        }
        // Of all of them: then one time is right for all.
        let all = assignments.iter().map(|of| (of.task, of.lease)).collect();
        let lost = match tokio::time::timeout(ANSWER, self.source.renew(id, all)).await {
            Ok(lost) => lost?,
            Err(_) => return Err(SourceError::Unavailable("no answer".to_owned())),
        };
        Ok((assignments.into_iter().filter(|of| !lost.contains(&of.task)).collect(), now))
    }

    fn begin(
        &self,
        worker: WorkerId,
        assignment: Assignment,
        renewed: Duration,
        running: &mut Held,
        attempts: &mut JoinSet<(TaskId, u32)>,
    ) {
        let (task, attempt) = (assignment.task, assignment.attempt);
        let (control, heard) = watch::channel(Control::Run);
        let (renewals, renewed) = watch::channel(renewed);
        let lease = assignment.lease_ttl.map(|life| (assignment.lease, life, renewals));
        let hold = assignment.lease_ttl.map(|life| Hold { life, renewed });
        let context = Context::new(self.source.clone(), worker, assignment, heard, hold, self.clock.clone());
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
    async fn renew(&self, id: WorkerId, running: &mut Held) {
        let now = self.clock.monotonic();
        let mut due = Vec::new();
        for (task, attempt) in running.iter() {
            let Some((token, life, renewed)) = &attempt.lease else { continue };
            let (token, life, age) = (*token, *life, now.saturating_sub(*renewed.borrow()));
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
                    } else if let Some((_, _, renewed)) = &attempt.lease {
                        renewed.send_replace(now);
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "leases could not be renewed"),
        }
    }

    /// Asks attempts to give their tasks back at the next step, and keeps their leases and listens for them until they do; then
    /// stops those that are left.
    async fn drain<'a>(
        &'a self,
        id: WorkerId,
        mut running: Held,
        mut attempts: JoinSet<(TaskId, u32)>,
        mut signals: Option<Sourced<'a, Vec<TaskSignal>>>,
    ) {
        running.values().for_each(hand_back);
        let ended = async {
            let mut lease_tick = tokio::time::interval(LEASE_TICK);
            loop {
                let signalled = signals.get_or_insert_with(|| self.source.signals(id, POLL));
                tokio::select! {
                    biased;
                    ended = attempts.join_next() => match ended {
                        Some(ended) => forget(&mut running, ended),
                        None => break,
                    },
                    heard = signalled => {
                        signals = None;
                        match heard {
                            Ok(heard) => heard.iter().for_each(|signal| { tell(&running, signal); }),
                            Err(error) => self.pause_after(&error).await,
                        }
                        // Who was to go on does so elsewhere.
                        running.values().for_each(hand_back);
                    }
                    _ = lease_tick.tick() => self.renew(id, &mut running).await,
                }
            }
        };
        if tokio::time::timeout(self.options.drain, ended).await.is_err() {
            tracing::info!(left = attempts.len(), "tasks did not come to a step in time and are cut off");
        }
        attempts.shutdown().await;
    }
}

/// Asks an attempt to give its task back, unless it was told something else.
fn hand_back(attempt: &Running) {
    attempt.control.send_if_modified(|control| {
        let running = *control == Control::Run;
        if running {
            *control = Control::HandBack;
        }
        running
    });
}

/// An attempt has come to its end; a later one of its task goes on.
fn forget(running: &mut Held, ended: Result<(TaskId, u32), JoinError>) {
    if let Ok((task, attempt)) = ended
        && running.get(&task).is_some_and(|running| running.attempt == attempt)
    {
        running.remove(&task);
    }
}

/// Tells an attempt; gives whether it is there.
fn tell(running: &Held, signal: &TaskSignal) -> bool {
    let Some(attempt) = running.get(&signal.task).filter(|running| running.attempt == signal.attempt) else {
        return false;
    };
    let new = match &signal.signal {
        Signal::Pause => Control::Pause,
        Signal::Resume => Control::Run,
        Signal::Cancel { grace } => Control::Cancel { grace: *grace },
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
    true
}
