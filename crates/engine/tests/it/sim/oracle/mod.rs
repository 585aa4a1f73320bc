//! Stands outside of the system, writes down what was promised and what happened, and says when the two do not fit.
//!
//! It sees every commit right after it, before anybody else does, and holds what is stored against the rules of this folder:
//! [`events`] looks at each new event, [`rows`] at everything beside the events, [`promises`] at what somebody was told,
//! [`waits`] at how long somebody had to wait for it, [`effects`] at what tasks did to the world, [`after`] at what a crash left and at the end. Each rule is a function, and
//! its name is printed with what broke it.

mod after;
mod effects;
mod events;
mod promises;
mod rows;
mod waits;

pub(crate) use effects::Effect;

use everloop_engine::machine::evolve::{Meta, born, evolve};
use everloop_journal::chain::Verifier;
use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_store::work::{Row, WriteSet};
use everloop_types::event::{Event, EventBody};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::stream::StreamName;
use everloop_types::task::Task;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

pub(crate) const TENANT: TenantId = TenantId::DEFAULT;

/// A rule that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) text: String,
}

/// What a rule says: nothing, or what is wrong.
type Verdict = Result<(), String>;

/// A task as its events tell it.
pub(crate) struct Told {
    pub(crate) events: Vec<Event>,
    pub(crate) task: Task,
    verifier: Verifier,
    facts: events::Facts,
    /// When each event was there.
    learnt: Vec<Instant>,
    /// Up to here the store said that it is durable, or somebody was told.
    sure: u64,
}

#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) tasks: BTreeMap<TaskId, Told>,
    audit: BTreeMap<StreamName, (Verifier, Vec<Event>)>,
    pub(crate) deleted: BTreeSet<TaskId>,
    keys: BTreeMap<String, TaskId>,
    effects: BTreeMap<(TaskId, String), Vec<Effect>>,
    /// Who won which race.
    winners: BTreeMap<(TaskId, String), usize>,
    /// Streams that could not be read after a commit of theirs.
    unread: BTreeSet<StreamName>,
    /// Streams of commits that may come to light when the power was cut.
    in_doubt: BTreeSet<StreamName>,
    /// Tasks whose last commit had no answer: the server may not know of it, and then tells nobody.
    untold: BTreeSet<TaskId>,
    /// Tasks whose deletion was written, or may have been.
    leaving: BTreeSet<TaskId>,
    pub(crate) violations: Vec<Violation>,
    /// Nothing goes wrong in this run.
    quiet: bool,
    /// How often each rule was asked.
    pub(crate) asked: BTreeMap<&'static str, u64>,
}

impl Oracle {
    /// For a run in which something goes wrong, or nothing.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, ..Self::default() }
    }

    pub(crate) fn rule(&mut self, rule: &'static str, verdict: Verdict) {
        *self.asked.entry(rule).or_default() += 1;
        if let Err(text) = verdict {
            self.violations.push(Violation { rule, text });
        }
    }

    /// A commit failed, and may be there after a crash.
    pub(crate) fn in_doubt(&mut self, writes: &WriteSet) {
        self.in_doubt.extend(writes.streams.iter().map(|stream| stream.stream));
        self.leave(writes);
    }

    /// Tasks that are deleted by a commit.
    fn leave(&mut self, writes: &WriteSet) {
        for row in writes.streams.iter().flat_map(|stream| &stream.rows) {
            if let Row::StreamDelete { task, .. } = row {
                self.leaving.insert(*task);
            }
        }
    }

    /// Looks at a commit: one that worked, or one whose outcome the server does not know.
    pub(crate) fn committed(&mut self, store: &dyn ReadStore, writes: &WriteSet, known: bool) {
        self.unread.extend(writes.streams.iter().map(|stream| stream.stream));
        for task in writes.streams.iter().filter_map(|stream| stream.stream.task()) {
            let _ = if known { self.untold.remove(&task) } else { self.untold.insert(task) };
        }
        self.leave(writes);
        self.look(store);
        if known && self.unread.is_empty() {
            for stream in writes.streams.iter().filter_map(|stream| stream.stream.task()) {
                if let Some(told) = self.tasks.get_mut(&stream) {
                    told.sure = told.events.len() as u64;
                }
            }
        }
    }

    /// Reads what is new. What can't be read now is read later.
    pub(crate) fn look(&mut self, store: &dyn ReadStore) {
        self.see_who_is_gone(store);
        let unread = std::mem::take(&mut self.unread);
        let mut all_read = true;
        for stream in unread {
            if self.read(store, stream).is_err() {
                self.unread.insert(stream);
                all_read = false;
            }
        }
        if all_read {
            rows::hold(self, store);
        }
    }

    fn see_who_is_gone(&mut self, store: &dyn ReadStore) {
        for task in std::mem::take(&mut self.leaving) {
            if !matches!(store.task(TENANT, task), Ok(None)) {
                self.leaving.insert(task);
                continue;
            }
            let state = self.tasks.get(&task).map(|told| told.task.state);
            let verdict = match state {
                Some(state) if !state.is_terminal() => {
                    Err(format!("{task} was deleted while it was {state}"))
                }
                _ => Ok(()),
            };
            self.rule("a live task is not deleted", verdict);
            self.deleted.insert(task);
        }
    }

    fn read(&mut self, store: &dyn ReadStore, stream: StreamName) -> Result<(), StoreError> {
        let Some(task) = stream.task() else { return self.read_audit(store, stream) };
        if self.deleted.contains(&task) {
            return Ok(());
        }
        loop {
            let after = self.tasks.get(&task).map_or(0, |told| told.events.len() as u64);
            let page = store.events(TENANT, stream, after, 1_000)?;
            if page.is_empty() {
                break;
            }
            for event in page {
                if !self.learn(task, event) {
                    return Ok(());
                }
            }
        }
        let row = store.task(TENANT, task)?;
        let verdict = match (self.tasks.get(&task), row) {
            (Some(told), Some(row)) if row.task != told.task => {
                Err(format!("of {task} the events say\n{:?}\nand the record\n{:?}", told.task, row.task))
            }
            (Some(told), Some(row)) if told.events.last().map(|last| last.hash) != Some(row.head.hash) => {
                Err(format!(
                    "the head of {task} is event {}, and its record says {}",
                    told.events.len(),
                    row.head.seq
                ))
            }
            (Some(_), None) => Err(format!("{task} has events and no record")),
            (Some(_), Some(_)) | (None, None) => Ok(()),
            (None, Some(_)) => Err(format!("{task} has a record and no events")),
        };
        self.rule("replaying the events gives the record", verdict);
        Ok(())
    }

    /// Learns an event of a task; gives whether to go on with its stream.
    fn learn(&mut self, task: TaskId, event: Event) -> bool {
        let stream = StreamName::Task(task);
        let mut verifier =
            self.tasks.get(&task).map_or_else(|| Verifier::new(TENANT, stream), |told| told.verifier.clone());
        let verdict = verifier.check(&event).map_err(|error| format!("stream of {task}: {error}"));
        let whole = verdict.is_ok();
        self.rule("numbers have no gaps, and the chain verifies", verdict);
        if !whole {
            return false;
        }
        let (Ok(Some(body)), Some(payload)) = (event.body(), event.payload.as_ref()) else {
            self.rule("every event can be read", Err(format!("{task}/{} has no readable data", event.seq)));
            return false;
        };
        let meta = Meta { seq: event.seq, ts: event.ts, actor: &event.actor, bytes: payload.data.len() };
        match (self.tasks.get_mut(&task), body) {
            (None, EventBody::Submitted(spec)) => {
                let verdict = self.one_task_per_key(task, &spec);
                self.rule("a key is one task", verdict);
                let record = born(task, TENANT, meta, *spec);
                let facts = events::Facts::default();
                let learnt = vec![Instant::now()];
                let told = Told { task: record, verifier, facts, learnt, sure: 0, events: vec![event] };
                self.tasks.insert(task, told);
            }
            (None, body) => {
                self.rule("a stream begins with task.submitted", Err(format!("{task} begins with {body:?}")));
                return false;
            }
            (Some(_), body) => {
                for (rule, verdict) in events::rules(self, task, &event, &body) {
                    self.rule(rule, verdict);
                }
                let Some(told) = self.tasks.get_mut(&task) else { return false };
                let before = told.task.state;
                let evolved = evolve(&mut told.task, meta, &body);
                told.facts.learn(&event, &body);
                told.verifier = verifier;
                told.events.push(event);
                told.learnt.push(Instant::now());
                let verdict = match evolved {
                    Err(error) => Err(format!("{task}: {error}")),
                    Ok(()) if before.is_terminal() => Err(format!("{task} was {before}, and went on")),
                    Ok(()) => Ok(()),
                };
                self.rule("a state follows from the one before, and an end is final", verdict);
            }
        }
        true
    }

    fn read_audit(&mut self, store: &dyn ReadStore, stream: StreamName) -> Result<(), StoreError> {
        let (verifier, known) =
            self.audit.entry(stream).or_insert_with(|| (Verifier::new(TENANT, stream), Vec::new()));
        let mut verdict = Ok(());
        for event in store.events(TENANT, stream, known.len() as u64, 10_000)? {
            verdict = verdict.and(verifier.check(&event).map_err(|error| format!("{stream}: {error}")));
            known.push(event);
        }
        self.rule("numbers have no gaps, and the chain verifies", verdict);
        Ok(())
    }

    /// What came so far, for messages.
    pub(crate) fn story(&self, task: TaskId) -> String {
        let Some(told) = self.tasks.get(&task) else { return format!("{task} has no events") };
        let lines = told.events.iter().map(|event| {
            let data = event.payload.as_ref().map_or("", |payload| payload.data.as_str());
            let data: String = data.chars().take(160).collect();
            format!("  {} {} {} by {} {data}", event.seq, event.ts, event.kind, event.actor)
        });
        let lines: Vec<_> = lines.collect();
        format!("{task} is {}:\n{}", told.task.state, lines.join("\n"))
    }
}
