//! What follows a commit: memory learns, followers are served, workers are told, callers are answered.

use super::Pipeline;
use super::batch::Batch;
use super::dispatcher::Member;
use super::op::{Answer, Claimed, Op, Reply};
use super::process::{Outcome, Processed};
use crate::live::Published;
use everloop_store::work::{Committed, Row, WriteSet};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::worker::Worker;
use everloop_worker::source::Signal;
use everloop_worker::source::TaskSignal;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

impl Pipeline {
    /// After the commit: memory learns, followers are served, workers are told, callers are answered.
    pub(super) fn settle(
        &mut self,
        mut batch: Batch,
        writes: WriteSet,
        committed: Committed,
        claims: Vec<(WorkerId, Claimed)>,
        outcomes: Vec<((Op, Reply), Processed)>,
    ) -> Vec<(Op, Reply)> {
        let moved = |task: TaskId| committed.moved.contains(&StreamName::Task(task));
        let audit_moved = |of: TenantId| {
            committed.moved.iter().any(|name| matches!(name, StreamName::Audit(tenant, _) if *tenant == of))
        };
        let writes = if committed.moved.is_empty() {
            writes
        } else {
            WriteSet {
                streams: writes
                    .streams
                    .into_iter()
                    .filter(|s| !committed.moved.contains(&s.stream))
                    .collect(),
                ..writes
            }
        };
        // A batch that changes nothing is not written.
        if !writes.streams.is_empty() || !writes.rows.is_empty() {
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
        }
        self.counters
            .events
            .fetch_add(writes.streams.iter().map(|s| s.events.len() as u64).sum(), Ordering::Relaxed);
        self.counters.rows.fetch_add(committed.rows_written, Ordering::Relaxed);
        let monotonic = self.parts.clock.monotonic();
        let terms: HashMap<TaskId, Duration> =
            claims.iter().map(|(_, c)| (c.task.id, c.task.spec.policy.lease())).collect();
        let ended = self.dispatcher.learn(&writes, &terms, monotonic);
        self.signal(&batch, &writes, ended);
        for (id, entry) in batch.entries.iter_mut().filter(|(id, _)| !moved(**id)) {
            match entry.task.state {
                // Whoever claims it later will want its input.
                State::Pending | State::Queued => {
                    if let Some(input) = entry.input.take() {
                        self.dispatcher.inputs.keep(*id, input);
                    }
                }
                state if state.is_terminal() => drop(self.dispatcher.inputs.take(*id)),
                _ => {}
            }
        }
        let mut woken = false;
        let mut published = Vec::with_capacity(writes.streams.len());
        for stream in writes.streams {
            if let StreamName::Audit(tenant, segment) = stream.stream {
                self.segments.insert(tenant, segment);
            }
            woken |= stream.rows.iter().any(|row| matches!(row, Row::OutboxPut(_) | Row::TimerPut(_)));
            let snapshot = stream.stream.task().and_then(|task| batch.snapshot(task));
            let events = stream.events.into_iter().map(Arc::new).collect();
            published.push(Published {
                tenant: stream.tenant,
                stream: stream.stream,
                head: stream.head,
                events,
                snapshot,
            });
        }
        self.parts.tails.publish(&published);
        self.leased.learn(published.iter().filter_map(|new| {
            let snapshot = new.snapshot.clone()?;
            let lease = batch.entries.get(&snapshot.task.id)?.lease.clone();
            Some((snapshot, lease))
        }));
        let snapshots: HashMap<TaskId, _> =
            published.into_iter().filter_map(|p| Some((p.stream.task()?, p.snapshot?))).collect();
        let mut by_worker: BTreeMap<WorkerId, Vec<Claimed>> = BTreeMap::new();
        for (worker, claimed) in claims {
            if !moved(claimed.task.id) {
                by_worker.entry(worker).or_default().push(claimed);
            }
        }
        for (worker, claimed) in by_worker {
            self.dispatcher.deliver(worker, claimed);
        }
        if woken {
            self.parts.wake.wake();
        }
        let mut again = Vec::new();
        for ((op, reply), outcome) in outcomes {
            let snapshot = |batch: &mut Batch, task: TaskId| {
                snapshots.get(&task).cloned().or_else(|| batch.snapshot(task))
            };
            let answer = match outcome {
                Ok(Outcome::Submitted { task, .. } | Outcome::Task(task)) if moved(task) => {
                    again.push((op, reply));
                    continue;
                }
                Ok(Outcome::Submitted { task, created }) => match snapshot(&mut batch, task) {
                    Some(snapshot) => Ok(Answer::Submitted { snapshot, created }),
                    None => Ok(Answer::Existing(task)),
                },
                Ok(Outcome::Task(task)) => match snapshot(&mut batch, task) {
                    Some(snapshot) => Ok(Answer::Task(snapshot)),
                    None => Ok(Answer::Existing(task)),
                },
                Ok(Outcome::Audited(tenant)) if audit_moved(tenant) => {
                    self.segments.remove(&tenant);
                    again.push((op, reply));
                    continue;
                }
                Ok(Outcome::Audited(_)) => Ok(Answer::Done),
                Ok(Outcome::Ready(answer)) => {
                    match &op {
                        Op::Attach { worker, tasks, signals } => {
                            self.join(worker, Some(tasks.clone()), signals)
                        }
                        Op::Register { worker, signals } => self.join(worker, None, signals),
                        _ => {}
                    }
                    Ok(answer)
                }
                Err(refusal) => Err(refusal),
            };
            let _ = reply.send(answer);
        }
        again
    }

    /// A worker is there: what it held before the server was started again is still its.
    fn join(
        &mut self,
        worker: &Worker,
        standing: Option<mpsc::UnboundedSender<Claimed>>,
        signals: &mpsc::UnboundedSender<TaskSignal>,
    ) {
        let held =
            self.dispatcher.held.iter().filter(|(_, held)| held.worker == worker.id).map(|(task, _)| *task);
        let member = Member {
            worker: worker.clone(),
            standing,
            polls: Default::default(),
            last: None,
            undelivered: Vec::new(),
            signals: signals.clone(),
            held: held.collect(),
            heard: self.parts.clock.monotonic(),
        };
        self.dispatcher.members.insert(worker.id, member);
    }

    /// Tells holders what has changed about their tasks.
    fn signal(&mut self, batch: &Batch, writes: &WriteSet, ended: Vec<(TaskId, super::dispatcher::Held)>) {
        for stream in &writes.streams {
            let Some(task) = &stream.task else { continue };
            let task = &task.task;
            let Some(entry) = batch.entries.get(&task.id) else { continue };
            let before = entry.task_before().map(|task| task.state);
            let Some(held) = self.dispatcher.held.get(&task.id) else { continue };
            let signal = match (before, task.state) {
                (Some(State::Running), State::Pausing) => Signal::Pause,
                (Some(State::Pausing), State::Running) => Signal::Resume,
                (Some(State::Running | State::Pausing), State::Cancelling) => {
                    Signal::Cancel { grace: task.spec.policy.grace() }
                }
                _ => continue,
            };
            self.dispatcher.tell(task.id, held, signal.clone());
            if let Some(held) = self.dispatcher.held.get_mut(&task.id) {
                held.word = Some(signal);
            }
        }
        let streams: HashMap<_, _> = match &ended[..] {
            [] => HashMap::new(),
            _ => writes.streams.iter().map(|stream| (stream.stream, stream)).collect(),
        };
        for (task, held) in ended {
            let last = streams.get(&StreamName::Task(task)).and_then(|stream| stream.events.last());
            // A holder that ended its attempt itself knows.
            if last.is_none_or(|event| event.actor != held.worker.to_string()) {
                self.dispatcher.tell(task, &held, Signal::LeaseLost);
            }
        }
    }
}
