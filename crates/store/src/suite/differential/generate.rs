//! Write sets, at random, and what is known of the database that they make.

use super::rows::{self, is_sweeping};
use super::{NAMES, Name};
use crate::error::StoreError;
use crate::port::{Order, Part, TaskFilter};
use crate::rows::{BlobRow, KeyHash, Lane};
use crate::suite::fixtures::{Log, Made, OURS, THEIRS, World, custom, key_hash};
use crate::suite::harness::Harness;
use crate::work::{Committed, ReadyQuery, Row, StreamWrite, Wanted, WantedTask, WriteSet};
use everloop_types::event::AuditSegment;
use everloop_types::id::{SessionId, TaskId, TenantId, WorkerId};
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::{Concurrency, Parent, TaskSpec};

/// What the operations so far have made.
pub(super) struct Model {
    pub(super) world: World,
    /// Tasks that exist, as their last accepted write left them.
    tasks: Vec<Made>,
    /// Tasks as they were before their last write: what another server may still believe.
    stale: Vec<Made>,
    audits: Vec<Log>,
    pub(super) blobs: Vec<BlobRow>,
    lanes: Vec<Lane>,
}

/// A write set and what it was meant to do.
pub(super) struct Planned {
    pub(super) writes: WriteSet,
    /// Whether all engines have to count the same rows: not where rows of one table follow each other, nor where whole
    /// streams go.
    pub(super) counts_exactly: bool,
    intent: Vec<Name>,
    tasks: Vec<Made>,
    audits: Vec<Log>,
}

/// What a list is asked for.
pub(super) struct Query {
    pub(super) tenant: TenantId,
    pub(super) filter: TaskFilter,
    pub(super) order: Order,
    pub(super) part: Part,
    pub(super) limit: usize,
}

impl Planned {
    /// The kinds of operations that did what they were meant to.
    pub(super) fn succeeded(&self, outcome: &Result<Committed, StoreError>) -> Vec<Name> {
        let intended =
            |names: &[Name]| self.intent.iter().copied().filter(|name| names.contains(name)).collect();
        let Ok(committed) = outcome else {
            return intended(&["row without task", "malformed set"]);
        };
        let alone = self.intent.len() == 1;
        let has_new_key =
            self.writes.streams.iter().flat_map(|write| &write.rows).any(|row| matches!(row, Row::KeyNew(_)));
        if !committed.moved.is_empty() {
            let mut done: Vec<_> = if alone { intended(&["head moved"]) } else { Vec::new() };
            // A stream alone that is new can only have come back for its key.
            done.extend((alone && has_new_key).then_some("key taken"));
            return done;
        }
        let events: usize = self.writes.streams.iter().map(|write| write.events.len()).sum();
        let is_done = |name: &Name| match *name {
            "head moved" => false,
            "compare" | "empty set" => true,
            other if NAMES.contains(&other) => committed.rows_written > 0,
            // A row counts where it certainly changed something.
            _ => alone && committed.rows_written > events as u64,
        };
        let mut done: Vec<_> = self.intent.iter().copied().filter(is_done).collect();
        done.extend(has_new_key.then_some("KeyNew"));
        done
    }
}

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        let world = World::seeded(seed);
        Self {
            world,
            tasks: Vec::new(),
            stale: Vec::new(),
            audits: Vec::new(),
            blobs: Vec::new(),
            lanes: Vec::new(),
        }
    }

    pub(super) fn a_task(&self) -> Option<Made> {
        self.world.dice.pick(&self.tasks).cloned()
    }

    pub(super) fn a_task_of(&self, tenant: TenantId) -> Option<Made> {
        let of: Vec<_> = self.tasks.iter().filter(|made| made.task.tenant == tenant).collect();
        self.world.dice.pick(&of).copied().cloned()
    }

    pub(super) fn ended_of(&self, tenant: TenantId) -> Option<Made> {
        let is_ended = |made: &&Made| made.task.tenant == tenant && made.task.state.is_terminal();
        let of: Vec<_> = self.tasks.iter().filter(is_ended).collect();
        self.world.dice.pick(&of).copied().cloned()
    }

    /// One to four operations that go together.
    pub(super) fn plan(&mut self, h: &mut Harness) -> Planned {
        let mut planned = Planned {
            writes: WriteSet::default(),
            counts_exactly: true,
            intent: Vec::new(),
            tasks: Vec::new(),
            audits: Vec::new(),
        };
        let parts = [1, 1, 1, 2, 3, 4][self.world.dice.below(6)];
        for _ in 0..parts {
            if self.world.dice.chance(45) {
                self.plan_stream(&mut planned);
            } else if !self.plan_row(h, &mut planned) {
                break;
            }
        }
        match planned.intent.len() {
            0 => planned.intent.push("empty set"),
            1 => {}
            _ => planned.counts_exactly = false,
        }
        if planned.writes.streams.len() > 1 {
            planned.intent.push("several streams");
        }
        planned
    }

    /// A row, of the set or of a stream that goes with it. False where nothing may follow.
    fn plan_row(&mut self, h: &mut Harness, planned: &mut Planned) -> bool {
        let Some(row) = self.world.dice.pick(rows::NAMES).and_then(|name| self.row(h, name)) else {
            return true;
        };
        let sweeping = is_sweeping(&row);
        if sweeping && !planned.intent.is_empty() {
            return true;
        }
        planned.counts_exactly &= !matches!(row, Row::StreamDelete { .. } | Row::StreamTrim { .. });
        planned.intent.push(rows::name(&row));
        match planned.writes.streams.last_mut() {
            Some(write) if self.world.dice.chance(50) => write.rows.push(row),
            Some(_) | None => planned.writes.rows.push(row),
        }
        !sweeping
    }

    fn plan_stream(&mut self, planned: &mut Planned) {
        let dice = self.world.dice.below(100);
        match dice {
            // Enough tasks to meet one another, few enough to be looked at often.
            0..30 if self.tasks.len() < 50 => self.plan_submit(planned),
            0..30 => self.plan_growth(planned),
            30..55 => self.plan_growth(planned),
            55..67 => self.plan_end(planned),
            67..73 => self.plan_comparison(planned),
            73..79 => self.plan_audit(planned),
            79..89 => self.plan_stale(planned),
            89..92 => {
                let nowhere = self.world.task(OURS);
                planned.intent.push("row without task");
                planned.writes.rows.push(Row::TimerPut(nowhere.timer(self.world.now)));
            }
            92..95 => {
                if let Some(write) = planned.writes.streams.last().cloned() {
                    planned.intent.push("malformed set");
                    planned.writes.streams.push(write);
                }
            }
            _ => {
                let lane = Lane {
                    queue: "default".to_owned(),
                    kind: format!("k{}", self.world.dice.below(6)),
                    kind_version: None,
                    requires: Vec::new(),
                };
                self.lanes.push(lane.clone());
                planned.intent.push("lane");
                planned.writes.lanes.push(lane);
            }
        }
    }

    fn push(planned: &mut Planned, name: Name, made: Made, write: StreamWrite) {
        // One write a stream and set: the second one would be malformed.
        if planned.writes.streams.iter().all(|other| other.stream != write.stream) {
            planned.intent.push(name);
            planned.writes.streams.push(write);
            planned.tasks.push(made);
        }
    }

    fn plan_submit(&mut self, planned: &mut Planned) {
        let tenant = if self.world.dice.chance(70) { OURS } else { THEIRS };
        let mut spec = TaskSpec::new(format!("k{}", self.world.dice.below(3)));
        spec.queue = ["default", "high"][self.world.dice.below(2)].to_owned();
        spec.policy.priority = self.world.dice.below(3) as i32 - 1;
        spec.key = self.world.dice.chance(50).then(|| format!("key-{}", self.world.dice.below(30)));
        spec.title = self.world.dice.chance(50).then(|| format!("Title {}", self.world.dice.below(20)));
        spec.labels = [("l".to_owned(), self.world.dice.below(3).to_string())].into();
        spec.session = self.world.dice.chance(30).then_some(SessionId([7; 16]));
        let key = format!("c{}", self.world.dice.below(3));
        spec.policy.concurrency = self.world.dice.chance(50).then_some(Concurrency { key, limit: 2 });
        if self.world.dice.chance(30) {
            spec.parent = self.a_task_of(tenant).map(|parent| Parent { step: None, task: parent.id() });
        }
        let mut made = self.world.task_of(tenant, spec);
        let mut own = Vec::new();
        if self.world.dice.chance(50) {
            own.push(self.key(&made));
        }
        if self.world.dice.chance(50) {
            own.push(Row::QueuePut(made.queue_row()));
        }
        self.lanes.push(made.lane());
        let write = made.submit(&mut self.world, own);
        Self::push(planned, "submit", made, write);
    }

    fn plan_growth(&mut self, planned: &mut Planned) {
        let Some(mut made) = self.a_task().filter(|made| !made.task.state.is_terminal()) else { return };
        for _ in 0..self.world.dice.below(4) {
            let data = format!("{{\"n\":{}}}", self.world.dice.below(1_000));
            made.append(&mut self.world, custom(&data));
        }
        let write = if self.world.dice.chance(30) {
            made.start(&mut self.world, WorkerId([1; 16]))
        } else {
            made.task.state =
                [State::Queued, State::Waiting, State::Paused, State::Pending][self.world.dice.below(4)];
            made.task.spec.labels = [("l".to_owned(), self.world.dice.below(3).to_string())].into();
            made.note(&mut self.world, Vec::new())
        };
        Self::push(planned, "grow", made, write);
    }

    fn plan_end(&mut self, planned: &mut Planned) {
        let Some(mut made) = self.a_task().filter(|made| !made.task.state.is_terminal()) else { return };
        let state = [State::Completed, State::Failed, State::Cancelled][self.world.dice.below(3)];
        let write = made.end(&mut self.world, state, Vec::new());
        Self::push(planned, "end", made, write);
    }

    fn plan_comparison(&mut self, planned: &mut Planned) {
        let Some(mut made) = self.a_task() else { return };
        let write = made.write(vec![Row::OutboxDelete(made.id())]);
        Self::push(planned, "compare", made, write);
    }

    fn plan_audit(&mut self, planned: &mut Planned) {
        let tenant = if self.world.dice.chance(70) { OURS } else { THEIRS };
        let name = StreamName::Audit(tenant, 1 + self.world.dice.below(3) as u32);
        if planned.writes.streams.iter().any(|write| write.stream == name) {
            return;
        }
        let known = self.audits.iter().find(|log| log.name == name).cloned();
        let mut log = known.unwrap_or_else(|| Log::new(tenant, name));
        log.append(&mut self.world, AuditSegment { hash: None, previous: None });
        planned.intent.push("audit");
        planned.writes.streams.push(log.write());
        planned.audits.push(log);
    }

    fn plan_stale(&mut self, planned: &mut Planned) {
        let Some(mut made) = self.world.dice.pick(&self.stale).cloned() else { return };
        let row = Row::TimerPut(made.timer(self.world.now));
        let write = made.note(&mut self.world, vec![row, Row::LeaseDelete(made.id())]);
        Self::push(planned, "head moved", made, write);
    }

    /// Takes over what was accepted.
    pub(super) fn settle(&mut self, planned: Planned, outcome: &Result<Committed, StoreError>) {
        let Ok(committed) = outcome else { return };
        for made in planned.tasks {
            if committed.moved.contains(&made.log.name) {
                continue;
            }
            match self.tasks.iter_mut().find(|known| known.id() == made.id()) {
                Some(known) => {
                    if known.log.head != made.log.head {
                        self.stale.push(known.clone());
                    }
                    *known = made;
                }
                None => self.tasks.push(made),
            }
        }
        for log in planned.audits {
            if !committed.moved.contains(&log.name) {
                self.audits.retain(|known| known.name != log.name);
                self.audits.push(log);
            }
        }
        let rows = planned.writes.streams.iter().flat_map(|write| &write.rows).chain(&planned.writes.rows);
        for row in rows {
            if let Row::StreamDelete { task, .. } = row {
                self.tasks.retain(|made| made.id() != *task);
            }
        }
        let keep = self.stale.len().saturating_sub(20);
        self.stale.drain(..keep);
        let keep = self.blobs.len().saturating_sub(20);
        self.blobs.drain(..keep);
        self.lanes.sort();
        self.lanes.dedup();
    }

    /// Tasks to look at, living or not, each with a tenant that may be the wrong one.
    pub(super) fn some_tasks(&self, limit: usize) -> Vec<(TenantId, TaskId)> {
        let known = self.tasks.iter().map(|made| (made.task.tenant, made.id()));
        if limit >= self.tasks.len() {
            return known.collect();
        }
        let mut some: Vec<_> =
            self.tasks.iter().rev().take(1).map(|made| (made.task.tenant, made.id())).collect();
        while some.len() < limit {
            let Some(made) = self.world.dice.pick(&self.tasks).or(self.world.dice.pick(&self.stale)) else {
                break;
            };
            some.push((if self.world.dice.chance(80) { made.task.tenant } else { THEIRS }, made.id()));
        }
        some
    }

    fn concurrency(&self, tenant: TenantId) -> KeyHash {
        everloop_journal::digest::key_hash(tenant, "concurrency", &format!("c{}", self.world.dice.below(3)))
    }

    pub(super) fn wanted(&self) -> Wanted {
        let dice = &self.world.dice;
        let want = |(tenant, task)| WantedTask { tenant, task, relations: dice.chance(60) };
        let key =
            |_| key_hash(if dice.chance(70) { OURS } else { THEIRS }, &format!("key-{}", dice.below(30)));
        let query = |lane: &Lane| ReadyQuery {
            lane: lane.id(),
            per_tenant: dice.below(4) as u32,
            full: (0..dice.below(4))
                .map(|_| self.concurrency(if dice.chance(70) { OURS } else { THEIRS }))
                .collect(),
        };
        Wanted {
            tasks: self.some_tasks(5).into_iter().map(want).collect(),
            keys: (0..4).map(key).collect(),
            ready: self.lanes.iter().filter(|_| dice.chance(40)).map(query).collect(),
            streams: [OURS, THEIRS]
                .map(|tenant| (tenant, StreamName::Audit(OURS, 1 + dice.below(3) as u32)))
                .to_vec(),
            blobs: dice.pick(&self.blobs).map(|blob| (blob.tenant, blob.id.clone())).into_iter().collect(),
        }
    }

    pub(super) fn query(&self) -> Query {
        let dice = &self.world.dice;
        let mut filter = TaskFilter::default();
        let on = |percent| dice.chance(percent);
        filter.states = State::ALL.into_iter().filter(|_| on(10)).collect();
        filter.kinds =
            if on(30) { vec!["k1".to_owned(), "k2".to_owned(), "k1".to_owned()] } else { Vec::new() };
        filter.queue = on(20).then(|| "high".to_owned());
        filter.priority = on(20).then_some(0);
        filter.labels = if on(30) { [("l".to_owned(), "1".to_owned())].into() } else { Default::default() };
        filter.parent = if on(20) { self.a_task().map(|made| made.id()) } else { None };
        filter.session = on(20).then_some(SessionId([7; 16]));
        filter.key_prefix = on(20).then(|| "key-1".to_owned());
        filter.text = on(20).then(|| "tITLE 1".to_owned());
        Query {
            tenant: if on(70) { OURS } else { THEIRS },
            filter,
            order: if on(50) { Order::Newest } else { Order::Oldest },
            part: Part {
                after: if on(30) { self.a_task().map(|made| made.id()) } else { None },
                upto: if on(20) { self.a_task().map(|made| made.id()) } else { None },
            },
            limit: dice.below(30),
        }
    }
}
