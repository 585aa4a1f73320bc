//! What the pipeline keeps in memory between batches: who works, who holds what, and how much waits where.
//!
//! All of it can be read back from the store; nothing here is acted upon without the heads being compared at the commit.

use super::op::Claimed;
use crate::machine::dispatch::{Offer, Turns, version_for};
use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_store::rows::{KeyHash, Lane, LaneId, LeaseRow};
use everloop_store::work::{ReadyQuery, Row, WriteSet};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::worker::Worker;
use everloop_worker::source::{Signal, TaskSignal};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A request for tasks that waits.
#[derive(Debug)]
pub struct Poll {
    /// At most so many.
    pub max: u32,
    /// Its number.
    pub request: u64,
    /// Where they go.
    pub tasks: oneshot::Sender<Vec<Claimed>>,
}

/// A worker as the pipeline sees it.
#[derive(Debug)]
pub struct Member {
    /// What it said about itself.
    pub worker: Worker,
    /// Where tasks of a worker of this process go.
    pub standing: Option<mpsc::UnboundedSender<Claimed>>,
    /// Requests of a worker elsewhere.
    pub polls: VecDeque<Poll>,
    /// What the last request got, for when its answer was lost.
    pub last: Option<(u64, Vec<Claimed>)>,
    /// Tasks that it holds and was not given, because its request had ended: its next one gets them.
    pub undelivered: Vec<Claimed>,
    /// Where words about its tasks go.
    pub signals: mpsc::UnboundedSender<TaskSignal>,
    /// Tasks that it holds.
    pub held: HashSet<TaskId>,
    /// When it was last heard from, by the monotonic clock.
    pub heard: Duration,
}

impl Member {
    /// How many tasks more it takes now, if it gets rid of so many and asks for so many.
    fn free(&self, ends: u32, asks: u32) -> u32 {
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX).saturating_sub(ends);
        let room = self.worker.spec.max_concurrent_tasks.saturating_sub(held);
        if self.standing.is_some() {
            return room;
        }
        let asked =
            self.polls.iter().filter(|poll| !poll.tasks.is_closed()).map(|poll| poll.max).sum::<u32>();
        room.min(asked + asks)
    }
}

/// A lease and its clock.
#[derive(Clone, Debug)]
pub struct Held {
    /// Whose task it is.
    pub tenant: TenantId,
    /// Who holds it.
    pub worker: WorkerId,
    /// What the holder shows.
    pub token: LeaseToken,
    /// When it ends, by the monotonic clock; none for a worker of this process, which can't outlive it.
    pub ends: Option<Duration>,
    /// Its term.
    pub term: Duration,
    /// What the holder was last told: told again when it renews, because the word may have been lost on its way.
    pub word: Option<Signal>,
    concurrency: Option<KeyHash>,
}

/// Bytes of inputs that are kept for the worker that will claim their tasks.
const INPUT_BYTES: usize = 32 * 1024 * 1024;

/// Inputs of tasks that were submitted here and wait to be claimed: handed out without reading them back. What does not fit
/// is read from the first event.
#[derive(Debug, Default)]
pub struct Inputs {
    kept: HashMap<TaskId, Option<Json>>,
    bytes: usize,
}

impl Inputs {
    fn size(input: Option<&Json>) -> usize {
        // A guess at what an entry costs beside its text.
        128 + input.map_or(0, Json::len)
    }

    /// Keeps an input, if there is room.
    pub fn keep(&mut self, task: TaskId, input: Option<Json>) {
        let size = Self::size(input.as_ref());
        if self.bytes + size <= INPUT_BYTES && self.kept.insert(task, input).is_none() {
            self.bytes += size;
        }
    }

    /// Takes one out.
    pub fn take(&mut self, task: TaskId) -> Option<Option<Json>> {
        let input = self.kept.remove(&task)?;
        self.bytes = self.bytes.saturating_sub(Self::size(input.as_ref()));
        Some(input)
    }
}

/// The memory of the pipeline.
#[derive(Debug, Default)]
pub struct Dispatcher {
    /// Inputs of waiting tasks.
    pub inputs: Inputs,
    lanes: HashMap<LaneId, Lane>,
    depth: HashMap<LaneId, i64>,
    /// Workers by id.
    pub members: HashMap<WorkerId, Member>,
    /// Leases by task.
    pub held: HashMap<TaskId, Held>,
    /// Running tasks by concurrency key.
    pub running: HashMap<KeyHash, u32>,
    /// Caps of the concurrency keys that run.
    pub caps: HashMap<KeyHash, u32>,
    /// Who was served when.
    pub turns: Turns,
    /// Queues that stand still.
    pub paused: HashSet<String>,
}

impl Dispatcher {
    /// What the store knows. Leases of workers elsewhere get a full term from now.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn read(store: &dyn ReadStore, monotonic: Duration) -> Result<Self, StoreError> {
        let mut read = Self {
            lanes: store.lanes()?.into_iter().collect(),
            paused: store.paused_queues()?.into_iter().collect(),
            ..Self::default()
        };
        for depth in store.depths()? {
            *read.depth.entry(depth.lane).or_default() += i64::try_from(depth.tasks).unwrap_or(i64::MAX);
        }
        for lease in store.leases()? {
            // What a worker elsewhere was promised stands in its task.
            let task = if lease.incarnation.is_none() { store.task(lease.tenant, lease.task)? } else { None };
            let term = task.as_ref().map_or(limits::LEASE, |row| row.task.spec.policy.lease());
            read.hold(&lease, term, monotonic);
            let Some(held) = read.held.get_mut(&lease.task) else { continue };
            if lease.incarnation.is_some() {
                // Its holder was in an earlier run of the server, and is gone with that.
                held.ends = Some(monotonic);
            }
            if let Some(row) = task {
                held.word = match row.task.state {
                    State::Pausing => Some(Signal::Pause),
                    State::Cancelling => Some(Signal::Cancel { grace: row.task.spec.policy.grace() }),
                    _ => None,
                };
            }
        }
        Ok(read)
    }

    fn hold(&mut self, lease: &LeaseRow, term: Duration, monotonic: Duration) {
        self.release(lease.task);
        if let Some(key) = lease.concurrency {
            *self.running.entry(key).or_default() += 1;
        }
        if let Some(member) = self.members.get_mut(&lease.worker) {
            member.held.insert(lease.task);
        }
        let held = Held {
            tenant: lease.tenant,
            worker: lease.worker,
            token: lease.token,
            ends: lease.incarnation.is_none().then(|| monotonic + term),
            term,
            word: None,
            concurrency: lease.concurrency,
        };
        self.held.insert(lease.task, held);
    }

    fn release(&mut self, task: TaskId) -> Option<Held> {
        let held = self.held.remove(&task)?;
        if let Some(member) = self.members.get_mut(&held.worker) {
            member.held.remove(&task);
        }
        if let Some(key) = held.concurrency
            && let Some(count) = self.running.get_mut(&key)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.running.remove(&key);
                self.caps.remove(&key);
            }
        }
        Some(held)
    }

    /// Workers with room, once these have ended so many attempts and asked for so many more tasks.
    pub fn offers(&self, ends: &HashMap<WorkerId, u32>, asks: &HashMap<WorkerId, u32>) -> Vec<Offer<'_>> {
        let of = |counts: &HashMap<WorkerId, u32>, id| counts.get(id).copied().unwrap_or(0);
        let mut offers: Vec<_> = self
            .members
            .iter()
            .map(|(id, member)| Offer {
                worker: *id,
                spec: &member.worker.spec,
                free: member.free(of(ends, id), of(asks, id)),
            })
            .filter(|offer| offer.free > 0)
            .collect();
        // Whoever holds least is asked first; the id settles the rest, so that a simulation repeats itself.
        offers
            .sort_by_key(|offer| (self.members.get(&offer.worker).map_or(0, |m| m.held.len()), offer.worker));
        offers
    }

    /// What to ask the store for, so that workers with room get what waits.
    pub fn wanted(&self, offers: &[Offer<'_>]) -> Vec<ReadyQuery> {
        let is_full = |key: &&KeyHash| self.caps.get(*key).is_some_and(|cap| self.running[*key] >= *cap);
        let full: Vec<_> = self.running.keys().filter(is_full).copied().collect();
        let room: u32 = offers.iter().map(|offer| offer.free).sum();
        if room == 0 {
            return Vec::new();
        }
        self.depth
            .iter()
            .filter(|(_, depth)| **depth > 0)
            .filter_map(|(id, _)| Some((id, self.lanes.get(id)?)))
            .filter(|(_, lane)| !self.paused.contains(&lane.queue))
            .filter(|(_, lane)| offers.iter().any(|offer| version_for(offer.spec, lane).is_some()))
            .map(|(id, _)| ReadyQuery {
                lane: *id,
                per_tenant: room.min(u32::try_from(limits::COMMIT_COMMANDS).unwrap_or(u32::MAX)),
                full: full.clone(),
            })
            .collect()
    }

    /// Entries about tasks in this memory.
    pub fn kept(&self) -> usize {
        let undelivered: usize = self.members.values().map(|member| member.undelivered.len()).sum();
        self.held.len() + self.inputs.kept.len() + self.running.len() + self.caps.len() + undelivered
    }

    /// The lane of an id.
    pub fn lane(&self, id: LaneId) -> Option<&Lane> {
        self.lanes.get(&id)
    }

    /// Whether any worker could run tasks of this lane.
    pub fn is_claimable(&self, lane: &Lane) -> bool {
        self.members.values().any(|member| version_for(&member.worker.spec, lane).is_some())
    }

    /// Learns what was committed. Gives the leases that ended.
    pub fn learn(
        &mut self,
        writes: &WriteSet,
        terms: &HashMap<TaskId, Duration>,
        monotonic: Duration,
    ) -> Vec<(TaskId, Held)> {
        let mut ended = Vec::new();
        for lane in &writes.lanes {
            self.lanes.entry(lane.id()).or_insert_with(|| lane.clone());
        }
        let rows = writes.streams.iter().flat_map(|stream| &stream.rows).chain(&writes.rows);
        for row in rows {
            match row {
                Row::QueuePut(row) => *self.depth.entry(row.lane).or_default() += 1,
                Row::QueueDelete(row) => *self.depth.entry(row.lane).or_default() -= 1,
                Row::LeasePut(lease) => match self.held.get(&lease.task) {
                    Some(held) if held.token == lease.token => {}
                    Some(_) | None => {
                        // Lost and claimed again in one commit: whoever had it before has to hear of it.
                        ended.extend(self.release(lease.task).map(|held| (lease.task, held)));
                        let term = terms.get(&lease.task).copied().unwrap_or(limits::LEASE);
                        self.hold(lease, term, monotonic);
                    }
                },
                Row::LeaseDelete(task) => ended.extend(self.release(*task).map(|held| (*task, held))),
                Row::QueuePaused { queue, paused: true } => {
                    self.paused.insert(queue.clone());
                }
                Row::QueuePaused { queue, paused: false } => {
                    self.paused.remove(queue);
                }
                Row::WorkerPut(worker) => {
                    if let Some(member) = self.members.get_mut(&worker.id) {
                        member.worker = worker.clone();
                    }
                }
                Row::WorkerDelete(worker) => {
                    self.members.remove(worker);
                }
                Row::KeyNew(_)
                | Row::KeyPut(_)
                | Row::KeyMove { .. }
                | Row::JobPut(_)
                | Row::JobDelete(_)
                | Row::InstallationPut(_)
                | Row::TimerPut(_)
                | Row::TimerDelete(_)
                | Row::DependencyPut(_)
                | Row::DependencyDelete { .. }
                | Row::OutboxPut(_)
                | Row::OutboxDelete(_)
                | Row::BlobPut(_)
                | Row::BlobUse { .. }
                | Row::BlobDelete { .. }
                | Row::TenantPut(_)
                | Row::SigningKeyPut(_)
                | Row::StreamDelete { .. }
                | Row::PayloadsErase { .. }
                | Row::StreamTrim { .. }
                | Row::KeysSweep { .. } => {}
            }
        }
        ended
    }

    /// Gives claimed tasks to their worker. A worker elsewhere gets them as the answers to its requests.
    pub fn deliver(&mut self, worker: WorkerId, claimed: Vec<Claimed>) {
        let Some(member) = self.members.get_mut(&worker) else { return };
        if let Some(standing) = &member.standing {
            for task in claimed {
                // A worker that is gone has lost its leases by now, or will when the server starts again.
                let _ = standing.send(task);
            }
            return;
        }
        let mut claimed = VecDeque::from(claimed);
        while !claimed.is_empty() {
            let Some(poll) = member.polls.pop_front() else { break };
            if poll.tasks.is_closed() {
                continue;
            }
            let part: Vec<_> = claimed.drain(..claimed.len().min(poll.max as usize)).collect();
            member.last = Some((poll.request, part.clone()));
            if let Err(part) = poll.tasks.send(part) {
                member.undelivered.extend(part);
            }
        }
        member.undelivered.extend(claimed);
    }

    /// Tells the holder of a task something.
    pub fn tell(&self, task: TaskId, held: &Held, signal: Signal) {
        if let Some(member) = self.members.get(&held.worker) {
            let _ = member.signals.send(TaskSignal { task, attempt: held.token.attempt, signal });
        }
    }

    /// Leases that ended by the monotonic clock.
    pub fn expired(&self, monotonic: Duration) -> Vec<(TenantId, TaskId, LeaseToken)> {
        self.leases(|held| held.ends.is_some_and(|ends| ends <= monotonic))
    }

    /// Leases of a worker.
    pub fn held_by(&self, worker: WorkerId) -> Vec<(TenantId, TaskId, LeaseToken)> {
        self.leases(|held| held.worker == worker)
    }

    /// In the order of their tasks, so that a batch of them is the same each time.
    fn leases(&self, which: impl Fn(&Held) -> bool) -> Vec<(TenantId, TaskId, LeaseToken)> {
        let chosen = self.held.iter().filter(|(_, held)| which(held));
        let mut chosen: Vec<_> = chosen.map(|(task, held)| (held.tenant, *task, held.token)).collect();
        chosen.sort_by_key(|(_, task, _)| *task);
        chosen
    }
}
