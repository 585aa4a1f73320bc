//! A world that can be forged: one task of the plan, its history, and the ledger of whoever watched it.

use crate::crash::oracle::check::check;
use crate::crash::oracle::client::View;
use crate::crash::oracle::evidence::{Evidence, History};
use crate::crash::oracle::ledger::Entry;
use crate::crash::plan::{Course, Following, Plan, STEP_TYPES, Scripted};
use everloop_journal::chain::{Draft, head_after, link, start, to_json};
use everloop_journal::keys::{Jwks, SigningKey};
use everloop_journal::{canonical, hex, receipt};
use everloop_types::error::{Class, TaskError};
use everloop_types::event::{
    Completed, Event, EventBody, Failed, LeaseLost, LostReason, Started, StepCompleted, TypeFilter,
};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::stream::StreamName;
use everloop_types::task::TaskSpec;
use everloop_types::time::Timestamp;
use serde_json::json;

pub(super) const PLAN_SEED: u64 = 5;
pub(super) const STAND_STILL: u64 = 1000;
pub(super) const MS: i64 = 1000;

/// What one task's server and oracle may have seen: each part can be forged.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) script: Scripted,
    pub(super) bodies: Vec<EventBody>,
    /// When each event was written, in milliseconds.
    pub(super) times: Vec<i64>,
}

pub(super) fn json(value: &impl serde::Serialize) -> Json {
    canonical::to_canonical(value).unwrap()
}

pub(super) fn started(attempt: u32) -> EventBody {
    Started { attempt, kind_version: None, worker: "wkr_1".to_owned() }.into()
}

pub(super) fn effect(step: &str, n: u32) -> EventBody {
    EventBody::Custom { name: "mock".to_owned(), data: json(&json!({ "n": n, "step": step })) }
}

pub(super) fn lost(attempt: u32) -> EventBody {
    LeaseLost { attempt, reason: LostReason::Expired }.into()
}

pub(super) fn recorded(step: &str) -> EventBody {
    StepCompleted {
        attempt: 1,
        code_version: None,
        intent: String::new(),
        kind: "mock".to_owned(),
        result: Json::null(),
        started_at: Timestamp::default(),
        step: format!("{step}#1"),
    }
    .into()
}

pub(super) fn failed(code: &str) -> EventBody {
    let error =
        TaskError { class: Class::Transient, code: code.to_owned(), details: None, message: String::new() };
    Failed { error, unconsumed: Vec::new() }.into()
}

impl World {
    /// A task of the plan that did what it should.
    pub(super) fn of(wanted: impl Fn(&Scripted) -> bool) -> Self {
        let plan = Plan::new(PLAN_SEED);
        let good = |script: &Scripted| {
            script.steps.len() >= 2 && script.steps.iter().all(|step| step.events > 0) && wanted(script)
        };
        let script = (0..10_000).map(|n| plan.task(n)).find(good).unwrap();
        let mut bodies = vec![EventBody::Submitted(Box::new(TaskSpec::new("mock"))), started(1)];
        for step in &script.steps {
            bodies.extend((1..=step.events).map(|n| effect(&step.name, n)));
            bodies.push(recorded(&step.name));
        }
        let result = json(&script.result());
        bodies.push(Completed { continued_as: None, result, unconsumed: Vec::new() }.into());
        let times = (0..).take(bodies.len()).collect();
        Self { plan, script, bodies, times }
    }

    pub(super) fn straight(following: Following) -> Self {
        Self::of(|script| script.course == Course::Straight && script.following == following)
    }

    /// Puts an event in place, at the time of the one before it.
    pub(super) fn insert(&mut self, at: usize, body: EventBody) {
        self.bodies.insert(at, body);
        self.times.insert(at, self.times[at - 1]);
    }

    pub(super) fn position(&self, wanted: impl Fn(&EventBody) -> bool) -> usize {
        self.bodies.iter().position(wanted).unwrap()
    }

    pub(super) fn events(&self, task: TaskId) -> Vec<Event> {
        let stream = StreamName::Task(task);
        let mut head = start(&stream);
        let mut events = Vec::new();
        for (body, ms) in self.bodies.iter().zip(&self.times) {
            let draft = Draft {
                tenant: TenantId::DEFAULT,
                stream,
                ts: Timestamp::from_micros(ms * MS),
                kind: body.kind().into_owned().into(),
                body_v: 1,
                actor: "system".to_owned(),
                trace: None,
                salt: [7; 16],
                data: body.data().unwrap(),
            };
            let event = link(&head, draft);
            head = head_after(&event);
            events.push(event);
        }
        events
    }

    /// What the oracle finds after the forger was at the ledger and the evidence.
    pub(super) fn judge(&self, forge: impl FnOnce(&mut Vec<Entry>, &mut Evidence)) -> Vec<String> {
        let id = TaskId([9; 16]);
        let events = self.events(id);
        let key = SigningKey::from_seed(&[3; 32]);
        let last = events.last().unwrap();
        let (task, n, seq) = (id.to_string(), self.script.n, last.seq);
        let state = last.kind.strip_prefix("task.").unwrap().to_owned();
        let signed = receipt::claims_of(last, "mock").map(|claims| receipt::sign(&key, &claims));
        let history = History {
            events: events.iter().map(to_json).collect(),
            receipt: signed.ok_or_else(|| "409 not_finished".to_owned()),
        };
        let view = View {
            id: task.clone(),
            state: state.clone(),
            last_seq: seq,
            key: Some(self.script.key.clone()),
        };
        let mut evidence = Evidence {
            tasks: vec![view],
            histories: [(task.clone(), history)].into(),
            keys: Jwks::new(vec![key.public().clone()]).to_json(),
        };
        let submitted =
            Entry::Submitted { n, task: task.clone(), status: 201, state: "queued".to_owned(), seq: 1 };
        let mut entries = vec![submitted, Entry::Ended { n, task: task.clone(), state, seq }];
        let filter = match self.script.following {
            Following::No | Following::All => TypeFilter::default(),
            Following::Steps => TypeFilter::parse(STEP_TYPES).unwrap(),
        };
        if self.script.following != Following::No {
            let seen = events.iter().filter(|event| filter.matches(&event.kind));
            entries.extend(seen.map(|event| Entry::Saw {
                task: task.clone(),
                seq: event.seq,
                hash: hex::encode(&event.hash),
                kind: event.kind.clone().into_owned(),
            }));
            entries.push(Entry::Followed { task });
        }
        forge(&mut entries, &mut evidence);
        let (_, violations) = check(self.plan, &entries, &evidence, STAND_STILL);
        let mut names: Vec<String> = violations.into_iter().map(|violation| violation.name).collect();
        names.dedup();
        names
    }

    pub(super) fn found(&self) -> Vec<String> {
        self.judge(|_, _| {})
    }
}

pub(super) fn history(evidence: &mut Evidence) -> &mut History {
    evidence.histories.values_mut().next().unwrap()
}
