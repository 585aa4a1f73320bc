//! What a batch does with each command, and what follows its commit.

use super::Pipeline;
use super::audit::Audit;
use super::batch::{Batch, Tools, append};
use super::dispatcher::{Member, Poll};
use super::op::{Answer, Claimed, Op, Reply, Submit, Wish};
use crate::live::Published;
use crate::machine::dispatch::{Candidate, plan};
use crate::machine::{
    attempt, cancel, child, decision, dependency, due, fork, input, lost, pause, project, resume, start,
    submit, update,
};
use everloop_store::rows::{KeyRow, LeaseRow, QueueRow};
use everloop_store::work::{Committed, Row, Wanted, WantedTask, WriteSet};
use everloop_types::error::{Code, Refusal};
use everloop_types::event::{LostReason, TaskDeleted};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::worker::Worker;
use everloop_worker::source::{AttemptEnd, Signal};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An answer before the commit: those that show a task are made from what was committed.
pub(super) enum Outcome {
    Submitted { task: TaskId, created: bool },
    Task(TaskId),
    /// Something that the tenant's audit stream tells of.
    Audited(TenantId),
    Ready(Answer),
}

fn lose(
    batch: &mut Batch,
    tools: Tools<'_>,
    held: Vec<(TenantId, TaskId, LeaseToken)>,
    reason: LostReason,
) -> Result<(), Refusal> {
    let now = batch.now;
    for (tenant, task, token) in held {
        if let Ok(entry) = batch.entry(tenant, task) {
            let drafts = lost::decide(entry.view(now), token, reason)?;
            append(tools, entry, now, drafts)?;
        }
    }
    Ok(())
}

/// What a command came to.
pub(super) type Processed = Result<Outcome, Refusal>;

impl Pipeline {
    pub(super) fn wanted(&mut self, ops: &[(Op, Reply)]) -> Wanted {
        let mut wanted = Wanted::default();
        for (op, _) in ops {
            match op {
                Op::Submit(submit) => {
                    wanted.keys.extend(&submit.keys);
                    let ties = submit
                        .spec
                        .depends_on
                        .iter()
                        .map(|on| on.task)
                        .chain(submit.spec.parent.as_ref().map(|p| p.task));
                    wanted.tasks.extend(ties.map(|task| WantedTask {
                        tenant: submit.tenant,
                        task,
                        relations: false,
                    }));
                }
                Op::Wish { tenant, task, wish, .. } => {
                    let relations = wish.needs_relations();
                    wanted.tasks.push(WantedTask { tenant: *tenant, task: *task, relations });
                }
                Op::Write { tenant, task, write, .. } => {
                    let relations = write.end.is_some();
                    wanted.tasks.push(WantedTask { tenant: *tenant, task: *task, relations });
                }
                // Their arrival makes room for what waits.
                Op::Attach { worker, tasks, signals } => {
                    let member = self.member(worker, signals.clone());
                    member.standing = Some(tasks.clone());
                }
                Op::Register { worker, signals } => {
                    self.member(worker, signals.clone());
                }
                Op::Gone { worker } => {
                    let held = self.dispatcher.held.iter().filter(|(_, held)| held.worker == *worker);
                    let held = held.map(|(task, held)| WantedTask {
                        tenant: held.tenant,
                        task: *task,
                        relations: true,
                    });
                    wanted.tasks.extend(held);
                }
                Op::Delete { tenant, task, .. } => {
                    wanted.tasks.push(WantedTask { tenant: *tenant, task: *task, relations: true });
                    wanted.streams.push((*tenant, StreamName::Audit(*tenant, self.audit_segment(*tenant))));
                }
                Op::Expire => {
                    let expired = self.dispatcher.expired(self.parts.clock.monotonic());
                    let expired = expired.into_iter().map(|(tenant, task, _)| WantedTask {
                        tenant,
                        task,
                        relations: true,
                    });
                    wanted.tasks.extend(expired);
                }
                Op::Claim { .. } | Op::Renew { .. } | Op::Heard { .. } | Op::Rows(_) | Op::Barrier => {}
            }
        }
        let (mut ends, mut asks) = (HashMap::new(), HashMap::new());
        for (op, _) in ops {
            match op {
                Op::Write { task, write, .. } if write.end.is_some() => {
                    if let Some(held) = self.dispatcher.held.get(task) {
                        *ends.entry(held.worker).or_default() += 1;
                    }
                }
                Op::Claim { worker, max, .. } => *asks.entry(*worker).or_default() += max,
                _ => {}
            }
        }
        wanted.ready = self.dispatcher.wanted(&self.dispatcher.offers(&ends, &asks));
        wanted
    }

    /// The audit segment that grows.
    fn audit_segment(&mut self, tenant: TenantId) -> u32 {
        if let Some(segment) = self.segments.get(&tenant) {
            return *segment;
        }
        // What can't be read now is asked for again by the next one; the heads are compared at the commit.
        let segment = self.parts.reader.audit_segment(tenant).ok().flatten().unwrap_or(1);
        self.segments.insert(tenant, segment);
        segment
    }

    fn member(
        &mut self,
        worker: &Worker,
        signals: tokio::sync::mpsc::UnboundedSender<everloop_worker::source::TaskSignal>,
    ) -> &mut Member {
        let heard = self.parts.clock.monotonic();
        let held =
            self.dispatcher.held.iter().filter(|(_, held)| held.worker == worker.id).map(|(task, _)| *task);
        let member = Member {
            worker: worker.clone(),
            standing: None,
            polls: Default::default(),
            last: None,
            signals,
            held: held.collect(),
            heard,
        };
        self.dispatcher.members.entry(worker.id).insert_entry(member).into_mut()
    }

    pub(super) fn process(&mut self, batch: &mut Batch, tools: Tools<'_>, op: &mut Op) -> Processed {
        match op {
            Op::Submit(submit) => self.submit(batch, tools, submit),
            Op::Wish { tenant, task, actor, wish } => {
                let now = batch.now;
                let entry = batch.entry(*tenant, *task)?;
                let view = entry.view(now);
                let drafts = match &*wish {
                    Wish::Pause { reason } => pause::decide(view, actor, reason.clone()),
                    Wish::Resume => resume::decide(view, actor),
                    Wish::Cancel { reason } => cancel::decide(view, actor, reason.clone()),
                    Wish::Input { id, name, data } => {
                        input::decide(view, actor, id.clone(), name.clone(), data.clone())
                    }
                    Wish::Decide(answer) => decision::decide(view, actor, answer.clone()),
                    Wish::Update(patch) => update::decide(view, actor, (**patch).clone()),
                    Wish::Due => due::decide(view),
                    Wish::Lost { token, reason } => lost::decide(view, *token, *reason),
                    Wish::DependencyEnded { task, state } => dependency::decide(view, *task, *state),
                    Wish::ChildEnded(ended) => child::decide(view, ended.clone()),
                }?;
                if let Wish::DependencyEnded { task: prerequisite, .. } = wish {
                    entry.relations.prerequisites.retain(|row| row.prerequisite != *prerequisite);
                    entry.rows.push(Row::DependencyDelete { prerequisite: *prerequisite, dependent: *task });
                }
                if let Wish::Due = wish
                    && drafts.is_empty()
                {
                    // The timer that asked was an old one, or it waits for something else: let the row say what is next.
                    entry.rows.push(match project::timer_row(&entry.task).filter(|timer| timer.at > now) {
                        Some(timer) => Row::TimerPut(timer),
                        None => Row::TimerDelete(*task),
                    });
                }
                append(tools, entry, now, drafts)?;
                Ok(Outcome::Task(*task))
            }
            Op::Write { tenant, task, write, prepared } => {
                let now = batch.now;
                let entry = batch.entry(*tenant, *task)?;
                let batch_number = write.batch;
                let token = write.token;
                let end = write.end.clone();
                let successor = write.successor;
                let actor = write.actor.clone();
                if !prepared.take().is_some_and(|prepared| entry.take_over(*prepared)) {
                    let drafts = attempt::decide(entry.view(now), (**write).clone(), tools.random)?;
                    append(tools, entry, now, drafts)?;
                }
                if let Some(lease) = entry.lease.as_mut().filter(|lease| lease.token == token) {
                    lease.batch = lease.batch.max(batch_number);
                }
                if let Some(AttemptEnd::ContinuedAs { input }) = end
                    && entry.task.continued_as == Some(successor)
                {
                    let spec = everloop_types::task::TaskSpec {
                        input: Some(input),
                        continues: Some(*task),
                        not_before: None,
                        depends_on: Vec::new(),
                        ..entry.task.spec.clone()
                    };
                    let created =
                        submit::decide(successor, *tenant, &actor, spec, now, &|_| Some(State::Running))?;
                    batch.create(tools, successor, *tenant, None, None, created.events)?;
                }
                Ok(Outcome::Task(*task))
            }
            Op::Attach { worker, .. } | Op::Register { worker, .. } => {
                batch.rows.push(Row::WorkerPut(worker.clone()));
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Claim { worker, max, request, tasks } => {
                let (sender, _) = tokio::sync::oneshot::channel();
                let tasks = std::mem::replace(tasks, sender);
                let heard = self.parts.clock.monotonic();
                let Some(member) = self.dispatcher.members.get_mut(worker) else {
                    return Err(Refusal::not_found(format!("worker {worker}")).hint("register again"));
                };
                member.heard = heard;
                match &member.last {
                    Some((last, claimed)) if last == request => {
                        let held: Vec<_> =
                            claimed.iter().filter(|c| member.held.contains(&c.task.id)).cloned().collect();
                        let _ = tasks.send(held);
                    }
                    Some(_) | None => {
                        member.polls.retain(|poll| !poll.tasks.is_closed());
                        member.polls.push_back(Poll { max: *max, request: *request, tasks });
                    }
                }
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Renew { worker, leases } => Ok(Outcome::Ready(Answer::Lost(self.renew(*worker, leases)))),
            Op::Heard { worker, trouble } => {
                let heard = self.parts.clock.monotonic();
                let Some(member) = self.dispatcher.members.get_mut(worker) else {
                    return Err(Refusal::not_found(format!("worker {worker}")).hint("register again"));
                };
                member.heard = heard;
                let worker = Worker {
                    last_heartbeat_at: batch.now,
                    trouble: trouble.clone(),
                    ..member.worker.clone()
                };
                batch.rows.push(Row::WorkerPut(worker));
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Delete { tenant, task, actor, reason } => {
                let now = batch.now;
                let segment = self.audit_segment(*tenant);
                let entry = batch.entry(*tenant, *task)?;
                if !entry.task.state.is_terminal() {
                    let detail = format!("task {task} is {} and can't be deleted", entry.task.state);
                    return Err(Refusal::new(Code::IllegalTransition, detail).hint("cancel it first"));
                }
                let body = TaskDeleted {
                    hash: everloop_journal::hex::encode(&entry.head.hash),
                    last_seq: entry.head.seq,
                    reason: (*reason).to_owned(),
                    task: *task,
                };
                let row = Row::StreamDelete { tenant: *tenant, task: *task, at: now };
                let head = batch.streams.get(&StreamName::Audit(*tenant, segment)).copied();
                let audit = batch.audit.entry(*tenant).or_insert_with(|| Audit::load(*tenant, segment, head));
                audit.add(tools, now, actor, &body.into(), row)?;
                // Whoever comes after in this batch finds it gone.
                batch.entries.remove(task);
                Ok(Outcome::Audited(*tenant))
            }
            Op::Expire => {
                let expired = self.dispatcher.expired(self.parts.clock.monotonic());
                lose(batch, tools, expired, LostReason::Expired)?;
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Gone { worker } => {
                let held = self.dispatcher.held.iter().filter(|(_, held)| held.worker == *worker);
                let held = held.map(|(task, held)| (held.tenant, *task, held.token)).collect();
                lose(batch, tools, held, LostReason::HandedBack)?;
                batch.rows.push(Row::WorkerDelete(*worker));
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Rows(rows) => {
                batch.rows.extend(rows.iter().cloned());
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Barrier => Ok(Outcome::Ready(Answer::Done)),
        }
    }

    fn submit(&mut self, batch: &mut Batch, tools: Tools<'_>, submit: &Submit) -> Processed {
        for hash in &submit.keys {
            let Some(row) = batch.keys.get(hash).filter(|row| row.tenant == submit.tenant) else { continue };
            if row.task == submit.id {
                // This very command was written before its answer was lost.
                return Ok(Outcome::Ready(Answer::Existing(row.task)));
            }
            if row.deleted_at.is_some() {
                let detail = format!("the key stood for task {}, which was deleted", row.task);
                return Err(Refusal::new(Code::TaskDeleted, detail)
                    .hint("use another key; this one is free 30 days after the deletion"));
            }
            if row.request != submit.request {
                let detail =
                    format!("the key stands for task {}, which was submitted with another request", row.task);
                return Err(Refusal::new(Code::IdempotencyConflict, detail)
                    .hint("use another key, or send the same request"));
            }
            let task = row.task;
            return Ok(if batch.entries.contains_key(&task) {
                Outcome::Submitted { task, created: false }
            } else {
                Outcome::Ready(Answer::Existing(task))
            });
        }
        let state_of = |task: TaskId| {
            batch
                .entries
                .get(&task)
                .filter(|entry| entry.task.tenant == submit.tenant)
                .map(|entry| entry.task.state)
        };
        let decided = submit::decide(
            submit.id,
            submit.tenant,
            &submit.actor,
            submit.spec.clone(),
            batch.now,
            &state_of,
        )?;
        let mut events = decided.events;
        if let Some(source) = &submit.fork {
            let prefix = fork::prefix(&submit.actor, source.from.clone(), &source.events);
            events.splice(1..1, prefix);
        }
        let keys: Vec<_> = submit
            .keys
            .iter()
            .map(|hash| KeyRow {
                hash: *hash,
                tenant: submit.tenant,
                task: submit.id,
                request: submit.request,
                deleted_at: None,
            })
            .collect();
        let entry = batch.create(
            tools,
            submit.id,
            submit.tenant,
            submit.data_subject.clone(),
            submit.trace.as_deref(),
            events,
        )?;
        entry.relations.prerequisites.clone_from(&decided.prerequisites);
        entry.rows.extend(decided.prerequisites.into_iter().map(Row::DependencyPut));
        entry.rows.extend(keys.iter().cloned().map(Row::KeyNew));
        batch.keys.extend(keys.into_iter().map(|row| (row.hash, row)));
        // A prerequisite of this batch learns that somebody waits for it.
        let prerequisites: Vec<_> = submit.spec.depends_on.iter().map(|on| on.task).collect();
        for task in prerequisites {
            if let Some(entry) = batch.entries.get_mut(&task) {
                entry.relations.has_dependents = true;
            }
        }
        if let Some(parent) =
            submit.spec.parent.as_ref().and_then(|parent| batch.entries.get_mut(&parent.task))
        {
            parent.relations.has_live_children = true;
        }
        Ok(Outcome::Submitted { task: submit.id, created: true })
    }

    fn renew(&mut self, worker: WorkerId, leases: &[(TaskId, LeaseToken)]) -> Vec<TaskId> {
        let now = self.parts.clock.monotonic();
        if let Some(member) = self.dispatcher.members.get_mut(&worker) {
            member.heard = now;
        }
        let mut lost = Vec::new();
        for (task, token) in leases {
            match self.dispatcher.held.get_mut(task) {
                Some(held) if held.token == *token && held.worker == worker => {
                    held.ends = held.ends.map(|_| now + held.term);
                }
                Some(_) | None => lost.push(*task),
            }
        }
        lost
    }

    /// Gives what waits to workers with room, in the same batch: the claim is folded into whatever made the task ready.
    pub(super) fn dispatch(
        &mut self,
        batch: &mut Batch,
        tools: Tools<'_>,
        ready: Vec<QueueRow>,
    ) -> Vec<(WorkerId, Claimed)> {
        let mut ends: HashMap<WorkerId, u32> = HashMap::new();
        for entry in batch.entries.values() {
            if let (Some(lease), None) = (entry.lease_before(), &entry.lease) {
                *ends.entry(lease.worker).or_default() += 1;
            }
        }
        let mut running = std::mem::take(&mut self.dispatcher.running);
        let mut turns = std::mem::take(&mut self.dispatcher.turns);
        let mut caps = std::mem::take(&mut self.dispatcher.caps);
        let stored = ready.iter().map(|row| row.task);
        let mut candidates: BTreeMap<TaskId, Candidate> = BTreeMap::new();
        for task in stored
            .chain(batch.entries.iter().filter(|(_, entry)| !entry.events.is_empty()).map(|(id, _)| *id))
        {
            if let Some(entry) = batch.entries.get(&task)
                && let Some(row) = project::queue_row(&entry.task)
            {
                caps.extend(row.concurrency);
                candidates.insert(task, Candidate { lane: project::lane(&entry.task), row });
            }
        }
        let offers = self.dispatcher.offers(&ends, &HashMap::new());
        let matches = if offers.is_empty() {
            Vec::new()
        } else {
            plan(
                &offers,
                candidates.into_values().collect(),
                &self.dispatcher.paused,
                &mut turns,
                &mut running,
            )
        };
        // What is committed is counted when it is; the plan only had to see itself.
        for found in &matches {
            if let Some((key, _)) =
                batch.entries.get(&found.task).and_then(|entry| project::concurrency(&entry.task))
                && let Some(count) = running.get_mut(&key)
            {
                *count -= 1;
            }
        }
        running.retain(|_, count| *count > 0);
        self.dispatcher.running = running;
        self.dispatcher.turns = turns;
        self.dispatcher.caps = caps;
        let mut claims = Vec::with_capacity(matches.len());
        for found in matches {
            let Some(member) = self.dispatcher.members.get(&found.worker) else { continue };
            let embedded = member.standing.is_some();
            let now = batch.now;
            let Some(entry) = batch.entries.get_mut(&found.task) else { continue };
            let Ok(drafts) = start::decide(entry.view(now), found.worker, found.kind_version) else {
                continue;
            };
            let token = LeaseToken {
                epoch: self.parts.epoch,
                attempt: entry.task.attempt + 1,
                nonce: tools.random.next_u64(),
            };
            let term = entry.task.spec.policy.lease();
            let lease = LeaseRow {
                task: found.task,
                tenant: entry.task.tenant,
                token,
                worker: found.worker,
                incarnation: embedded.then_some(self.parts.incarnation),
                expires_at: now.plus(term),
                batch: 0,
                concurrency: project::concurrency(&entry.task).map(|(key, _)| key),
            };
            let fresh =
                entry.task.attempt == 0 && entry.task.forked_from.is_none() && entry.task.arrived.is_empty();
            if append(tools, entry, now, drafts).is_err() {
                continue;
            }
            entry.lease = Some(lease.clone());
            claims.push((
                found.worker,
                Claimed {
                    task: entry.task.clone(),
                    lease,
                    ttl: (!embedded).then_some(term),
                    kind_version: found.kind_version,
                    input: entry.input.clone(),
                    fresh,
                },
            ));
        }
        claims
    }

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
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters
            .events
            .fetch_add(writes.streams.iter().map(|s| s.events.len() as u64).sum(), Ordering::Relaxed);
        self.counters.rows.fetch_add(committed.rows_written, Ordering::Relaxed);
        let monotonic = self.parts.clock.monotonic();
        let terms: HashMap<TaskId, Duration> =
            claims.iter().map(|(_, c)| (c.task.id, c.task.spec.policy.lease())).collect();
        let ended = self.dispatcher.learn(&writes, &terms, monotonic);
        self.signal(&batch, &writes, ended);
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
                Ok(Outcome::Ready(answer)) => Ok(answer),
                Err(refusal) => Err(refusal),
            };
            let _ = reply.send(answer);
        }
        again
    }

    /// Tells holders what has changed about their tasks.
    fn signal(&self, batch: &Batch, writes: &WriteSet, ended: Vec<(TaskId, super::dispatcher::Held)>) {
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
            self.dispatcher.tell(task.id, held, signal);
        }
        for (task, held) in ended {
            // A holder that ended its attempt itself doesn't listen any more.
            self.dispatcher.tell(task, &held, Signal::LeaseLost);
        }
    }
}
