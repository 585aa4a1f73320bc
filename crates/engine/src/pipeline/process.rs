//! What a batch does with each command.

use super::Pipeline;
use super::batch::{Batch, Tools, append, data_of, use_of};
use super::dispatcher::{Member, Poll};
use super::op::{Answer, Claimed, Op, Wish};
use crate::machine::{
    attempt, cancel, child, decision, dependency, due, input, lost, pause, project, resume, submit, update,
};
use everloop_store::work::Row;
use everloop_types::error::Refusal;
use everloop_types::event::{EventBody, LostReason};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::worker::Worker;
use everloop_worker::source::AttemptEnd;

/// An answer before the commit: those that show a task are made from what was committed.
pub(super) enum Outcome {
    Submitted {
        task: TaskId,
        created: bool,
    },
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
                    entry.rows.push(match project::next_timer_row(&entry.task, now) {
                        Some(timer) => Row::TimerPut(timer),
                        None => Row::TimerDelete(*task),
                    });
                }
                let is_news = match wish {
                    Wish::DependencyEnded { .. } => true,
                    Wish::Input { .. } | Wish::Decide(_) | Wish::ChildEnded(_) => !drafts.is_empty(),
                    _ => false,
                };
                append(tools, entry, now, drafts)?;
                // A time that came before everything else was there has no row any more, and the clock may have been set back.
                if is_news
                    && matches!(entry.task.state, State::Pending | State::Waiting)
                    && let Some(timer) = project::timer_row(&entry.task)
                {
                    entry.rows.push(Row::TimerPut(timer));
                }
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
                if let Some(AttemptEnd::ContinuedAs { input }) = &end {
                    // Decided before the task ends for it: the successor's first event must be one that can be written.
                    let spec = everloop_types::task::TaskSpec {
                        input: Some(input.clone()),
                        continues: Some(*task),
                        ..entry.task.spec.clone()
                    };
                    let begins = EventBody::Submitted(Box::new(spec));
                    data_of(&begins)?;
                    use_of(tools, *tenant, successor, &begins)?;
                }
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
                    let (spec_key, data_subject) = (entry.task.spec.key.clone(), entry.data_subject.clone());
                    let spec = everloop_types::task::TaskSpec {
                        input: Some(input),
                        continues: Some(*task),
                        not_before: None,
                        depends_on: Vec::new(),
                        ..entry.task.spec.clone()
                    };
                    let created =
                        submit::decide(successor, *tenant, &actor, spec, now, &|_| Some(State::Running))?;
                    let key = spec_key.map(|key| everloop_journal::digest::key_hash(*tenant, "key", &key));
                    let entry =
                        batch.create(tools, successor, *tenant, data_subject, None, created.events)?;
                    let moved = |hash| Row::KeyMove { hash, from: *task, to: successor, request: None };
                    entry.rows.extend(key.map(moved));
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
                let is_held = |member: &Member, claim: &Claimed| {
                    member.held.contains(&claim.task.id) && batch.leaves(claim.task.id, claim.lease.token)
                };
                match &member.last {
                    Some((last, claimed)) if last == request => {
                        let held: Vec<_> =
                            claimed.iter().filter(|claim| is_held(member, claim)).cloned().collect();
                        member.undelivered.retain(|c| held.iter().all(|given| given.task.id != c.task.id));
                        let given =
                            held.iter().map(|claim| (claim.task.id, claim.lease.token)).collect::<Vec<_>>();
                        let _ = tasks.send(held);
                        // Whoever gets them now counts their term from now.
                        self.renew(batch, *worker, &given);
                    }
                    Some(_) | None => {
                        member.polls.retain(|poll| !poll.tasks.is_closed());
                        let waiting = std::mem::take(&mut member.undelivered);
                        let mut waiting: Vec<_> =
                            waiting.into_iter().filter(|claim| is_held(member, claim)).collect();
                        if waiting.is_empty() {
                            member.polls.push_back(Poll { max: *max, request: *request, tasks });
                        } else {
                            member.undelivered = waiting.split_off(waiting.len().min(*max as usize));
                            let given = waiting
                                .iter()
                                .map(|claim| (claim.task.id, claim.lease.token))
                                .collect::<Vec<_>>();
                            member.last = Some((*request, waiting.clone()));
                            if let Err(waiting) = tasks.send(waiting) {
                                member.undelivered.extend(waiting);
                            }
                            self.renew(batch, *worker, &given);
                        }
                    }
                }
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Renew { worker, leases } => {
                Ok(Outcome::Ready(Answer::Lost(self.renew(batch, *worker, leases))))
            }
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
            Op::Forget { workers } => {
                let now = self.parts.clock.monotonic();
                // The wall clock may have jumped: of those that are here another clock tells.
                let lives = |worker: &WorkerId| {
                    self.dispatcher.members.get(worker).is_some_and(|member| {
                        member.standing.is_some()
                            || now.saturating_sub(member.heard) < limits::WORKER_FORGOTTEN
                    })
                };
                let gone = workers.iter().filter(|worker| !lives(worker));
                batch.rows.extend(gone.map(|worker| Row::WorkerDelete(*worker)));
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Delete { tenant, task, actor, reason } => {
                self.delete(batch, tools, *tenant, *task, actor, reason)
            }
            Op::Fold { tenant, task, seqs } => self.fold(batch, tools, *tenant, *task, seqs),
            Op::Trim { tenant, task, claims, anchor } => {
                self.trim(batch, tools, *tenant, *task, claims, anchor)
            }
            Op::Expire => {
                let expired = self.dispatcher.expired(self.parts.clock.monotonic());
                lose(batch, tools, expired, LostReason::Expired)?;
                Ok(Outcome::Ready(Answer::Done))
            }
            Op::Gone { worker } => {
                let held = self.dispatcher.held_by(*worker);
                lose(batch, tools, held, LostReason::HandedBack)?;
                // What it gives back is for others, and a heartbeat in the same batch does not bring it back.
                self.dispatcher.members.remove(worker);
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

    fn renew(&mut self, batch: &Batch, worker: WorkerId, leases: &[(TaskId, LeaseToken)]) -> Vec<TaskId> {
        let now = self.parts.clock.monotonic();
        if let Some(member) = self.dispatcher.members.get_mut(&worker) {
            member.heard = now;
        }
        let (mut lost, mut again) = (Vec::new(), Vec::new());
        for (task, token) in leases {
            match self.dispatcher.held.get_mut(task) {
                Some(held)
                    if held.token == *token && held.worker == worker && batch.leaves(*task, *token) =>
                {
                    held.ends = held.ends.map(|_| now + held.term);
                    again.extend(held.word.clone().map(|word| (*task, word)));
                }
                Some(_) | None => lost.push(*task),
            }
        }
        for (task, word) in again {
            if let Some(held) = self.dispatcher.held.get(&task) {
                self.dispatcher.tell(task, held, word);
            }
        }
        lost
    }
}
