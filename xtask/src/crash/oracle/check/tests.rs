//! Forged worlds: the oracle finds what is wrong with each, by name, and nothing wrong with the good one.

use super::check;
use crate::crash::oracle::client::View;
use crate::crash::oracle::evidence::{Evidence, History};
use crate::crash::oracle::ledger::{Act, Entry};
use crate::crash::plan::{Course, Following, Plan, REQUEST, STEP_TYPES, Scripted};
use everloop_journal::chain::{Draft, head_after, link, start, to_json};
use everloop_journal::keys::{Jwks, SigningKey};
use everloop_journal::{canonical, hex, receipt};
use everloop_types::error::{Class, Code, TaskError};
use everloop_types::event::{
    Cancelled, Completed, Event, EventBody, Failed, Input, LeaseLost, LostReason, Pausing, RetryScheduled,
    Started, StepCompleted, TypeFilter,
};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::stream::StreamName;
use everloop_types::task::TaskSpec;
use everloop_types::time::Timestamp;
use serde_json::json;

const PLAN_SEED: u64 = 5;
const STAND_STILL: u64 = 1000;
const MS: i64 = 1000;

/// What one task's server and oracle may have seen: each part can be forged.
struct World {
    plan: Plan,
    script: Scripted,
    bodies: Vec<EventBody>,
    /// When each event was written, in milliseconds.
    times: Vec<i64>,
}

fn json(value: &impl serde::Serialize) -> Json {
    canonical::to_canonical(value).unwrap()
}

fn started(attempt: u32) -> EventBody {
    Started { attempt, kind_version: None, worker: "wkr_1".to_owned() }.into()
}

fn effect(step: &str, n: u32) -> EventBody {
    EventBody::Custom { name: "mock".to_owned(), data: json(&json!({ "n": n, "step": step })) }
}

fn lost(attempt: u32) -> EventBody {
    LeaseLost { attempt, reason: LostReason::Expired }.into()
}

fn recorded(step: &str) -> EventBody {
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

fn failed(code: &str) -> EventBody {
    let error =
        TaskError { class: Class::Transient, code: code.to_owned(), details: None, message: String::new() };
    Failed { error, unconsumed: Vec::new() }.into()
}

impl World {
    /// A task of the plan that did what it should.
    fn of(wanted: impl Fn(&Scripted) -> bool) -> Self {
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

    fn straight(following: Following) -> Self {
        Self::of(|script| script.course == Course::Straight && script.following == following)
    }

    /// Puts an event in place, at the time of the one before it.
    fn insert(&mut self, at: usize, body: EventBody) {
        self.bodies.insert(at, body);
        self.times.insert(at, self.times[at - 1]);
    }

    fn position(&self, wanted: impl Fn(&EventBody) -> bool) -> usize {
        self.bodies.iter().position(wanted).unwrap()
    }

    fn events(&self, task: TaskId) -> Vec<Event> {
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
    fn judge(&self, forge: impl FnOnce(&mut Vec<Entry>, &mut Evidence)) -> Vec<String> {
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

    fn found(&self) -> Vec<String> {
        self.judge(|_, _| {})
    }
}

fn history(evidence: &mut Evidence) -> &mut History {
    evidence.histories.values_mut().next().unwrap()
}

#[test]
fn a_good_world_has_no_violations() {
    for following in [Following::No, Following::All, Following::Steps] {
        assert_eq!(World::straight(following).found(), [""; 0], "{following:?}");
    }
}

#[test]
fn a_step_in_doubt_that_runs_again_is_no_violation() {
    let mut world = World::straight(Following::All);
    // Cut off after the first effect of the first step.
    world.insert(3, lost(1));
    world.insert(4, started(2));
    world.insert(5, effect("s1", 1));
    assert_eq!(world.found(), [""; 0]);
}

#[test]
fn acknowledged_tasks_and_events_that_are_gone_are_missed() {
    let world = World::straight(Following::All);
    let gone = world.judge(|_, evidence| {
        evidence.tasks.clear();
        evidence.histories.clear();
    });
    assert_eq!(gone, ["task-missing"]);
    let cut = world.judge(|_, evidence| {
        evidence.tasks[0].last_seq -= 1;
        history(evidence).events.pop();
    });
    for name in ["event-missing", "task-unfinished", "chain-broken", "end-changed", "follower-gap"] {
        assert!(cut.iter().any(|found| found == name), "{name}: {cut:?}");
    }
    let hole = world.judge(|_, evidence| drop(history(evidence).events.remove(2)));
    assert!(hole.contains(&"chain-broken".to_owned()), "{hole:?}");
}

#[test]
fn one_key_is_one_task() {
    let world = World::straight(Following::No);
    let other = TaskId([8; 16]).to_string();
    let acknowledged = world.judge(|entries, evidence| {
        let mut again = evidence.tasks[0].clone();
        again.id.clone_from(&other);
        let history = history(evidence).clone();
        evidence.histories.insert(again.id.clone(), history);
        evidence.tasks.push(again);
        let Entry::Submitted { n, status, state, seq, .. } = entries[0].clone() else { unreachable!() };
        entries.push(Entry::Submitted { n, task: other, status, state, seq });
    });
    assert!(acknowledged.contains(&"task-doubled".to_owned()), "{acknowledged:?}");
    let foreign = world.judge(|_, evidence| evidence.tasks[0].key = Some("of somebody else".to_owned()));
    assert!(foreign.contains(&"task-unknown".to_owned()), "{foreign:?}");
}

#[test]
fn a_recorded_step_neither_acts_nor_is_recorded_again() {
    let mut acts = World::straight(Following::No);
    let end = acts.bodies.len() - 1;
    acts.insert(end, effect("s1", 1));
    assert_eq!(acts.found(), ["step-rerun"]);
    let mut twice = World::straight(Following::No);
    let end = twice.bodies.len() - 1;
    twice.insert(end, recorded("s1"));
    assert_eq!(twice.found(), ["step-doubled"]);
}

#[test]
fn every_step_is_recorded_once_with_all_of_its_effects() {
    let remove = |wanted: fn(&EventBody) -> bool| {
        let mut world = World::straight(Following::No);
        let at = world.position(wanted);
        world.bodies.remove(at);
        world.times.remove(at);
        world.found()
    };
    assert_eq!(remove(|body| matches!(body, EventBody::Custom { .. })), ["effect-missing"]);
    let step = remove(|body| matches!(body, EventBody::StepCompleted(_)));
    assert_eq!(step, ["step-missing"]);
    let mut doubled = World::straight(Following::No);
    doubled.insert(3, effect("s1", 1));
    assert_eq!(doubled.found(), ["effect-doubled"]);
}

#[test]
fn a_task_ends_as_its_script_says() {
    let end = |body: EventBody| {
        let mut world = World::straight(Following::No);
        *world.bodies.last_mut().unwrap() = body;
        world.found()
    };
    assert_eq!(end(failed(Code::Poisoned.as_str())), ["end-wrong"]);
    assert_eq!(end(failed("mock_failure")), ["end-wrong"]);
    assert_eq!(end(Cancelled { reason: None, unconsumed: Vec::new() }.into()), ["end-wrong"]);
    let result = json(&"another");
    assert_eq!(
        end(Completed { continued_as: None, result, unconsumed: Vec::new() }.into()),
        ["result-wrong"]
    );
    let mut retried = World::straight(Following::No);
    let error = TaskError {
        class: Class::Transient,
        code: "mock_failure".to_owned(),
        details: None,
        message: String::new(),
    };
    retried.insert(2, RetryScheduled { at: Timestamp::default(), error }.into());
    assert_eq!(retried.found(), ["tries-wrong"]);
    let mut poisoned = World::straight(Following::No);
    for attempt in (1..=5).rev() {
        poisoned.insert(2, lost(attempt));
    }
    poisoned.bodies.truncate(7);
    poisoned.times.truncate(7);
    poisoned.bodies.push(failed(Code::Poisoned.as_str()));
    poisoned.times.push(100);
    assert_eq!(poisoned.found(), [""; 0]);
}

#[test]
fn altered_histories_and_foreign_receipts_do_not_verify() {
    let world = World::straight(Following::No);
    let altered = world.judge(|_, evidence| {
        let line = &mut history(evidence).events[1];
        *line = line.replace("wkr_1", "wkr_2");
    });
    assert_eq!(altered, ["chain-broken"]);
    let unsigned = world.judge(|_, evidence| history(evidence).receipt = Err("404".to_owned()));
    assert_eq!(unsigned, ["receipt-missing"]);
    let stranger = world.judge(|_, evidence| {
        let other = SigningKey::from_seed(&[4; 32]);
        evidence.keys = Jwks::new(vec![other.public().clone()]).to_json();
    });
    assert_eq!(stranger, ["receipt-wrong"]);
}

#[test]
fn a_follower_sees_every_event_once_in_order_and_as_it_is() {
    for following in [Following::All, Following::Steps] {
        let world = World::straight(following);
        let gap = world.judge(|entries, _| drop(entries.remove(2)));
        assert_eq!(gap, ["follower-gap"]);
        let twice = world.judge(|entries, _| entries.insert(3, entries[2].clone()));
        assert_eq!(twice, ["follower-doubled"]);
        let cut = world.judge(|entries, _| entries.truncate(entries.len() - 1));
        assert_eq!(cut, ["follower-unfinished"]);
        let other = world.judge(|entries, _| {
            if let Entry::Saw { hash, .. } = &mut entries[2] {
                *hash = "00".repeat(32);
            }
        });
        assert_eq!(other, ["event-changed"]);
    }
    let world = World::straight(Following::All);
    let reset = world.judge(|entries, evidence| {
        let task = evidence.tasks[0].id.clone();
        entries.push(Entry::Noticed { task, notice: "stream.reset".to_owned() });
    });
    assert_eq!(reset, ["follower-reset"]);
}

#[test]
fn what_was_wanted_and_acknowledged_is_recorded_once() {
    let acted = |world: &World, act, status, seq| {
        world.judge(|entries, evidence| {
            let (n, task) = (world.script.n, evidence.tasks[0].id.clone());
            entries.push(Entry::Acted { n, task, act, status, state: String::new(), seq });
        })
    };
    let mut world = World::of(|script| matches!(script.course, Course::Input { .. }));
    assert_eq!(acted(&world, Act::Input, 200, 2), ["event-missing"]);
    assert_eq!(acted(&world, Act::Input, 409, 0), [""; 0]);
    let input = Input { data: Json::null(), id: world.script.input_id(), name: "go".to_owned() };
    world.insert(1, input.clone().into());
    assert_eq!(acted(&world, Act::Input, 200, 2), [""; 0]);
    world.insert(2, input.into());
    assert_eq!(acted(&world, Act::Input, 200, 3), ["event-doubled"]);

    let mut world = World::of(|script| script.course == Course::Paused);
    world.insert(3, Pausing { reason: None }.into());
    assert_eq!(acted(&world, Act::Pause, 200, 4), [""; 0]);
    assert_eq!(acted(&world, Act::Pause, 200, 3), ["event-missing"]);
    assert_eq!(acted(&world, Act::Cancel, 200, 4), ["event-missing"]);
}

#[test]
fn an_effect_outside_is_made_before_the_record_and_under_one_key() {
    let plan = Plan::new(PLAN_SEED);
    let script =
        (0..).map(|n| plan.task(n)).find(|script| matches!(script.course, Course::Effect { .. })).unwrap();
    let n = script.n;
    let result = json(&json!({ "status": 200 }));
    let bodies = vec![
        EventBody::Submitted(Box::new(TaskSpec::new("mock"))),
        started(1),
        lost(1),
        started(2),
        recorded(REQUEST),
        Completed { continued_as: None, result, unconsumed: Vec::new() }.into(),
    ];
    let world = World { plan, script, bodies, times: vec![0, 10, 20, 30, 40, 50] };
    let judge = |times: &[i64], key: Option<&str>, n: u64| {
        world.judge(|entries, _| {
            let right = everloop_journal::digest::step_idempotency_key(TaskId([9; 16]), "request#1");
            let key = key.map_or(right, str::to_owned);
            entries.extend(times.iter().map(|ms| Entry::Effect { n, key: key.clone(), at: ms * MS }));
        })
    };
    assert_eq!(judge(&[35], None, n), [""; 0]);
    assert_eq!(judge(&[15, 35], None, n), [""; 0]);
    assert_eq!(judge(&[], None, n), ["effect-missing"]);
    assert_eq!(judge(&[15, 35, 36], None, n), ["effect-doubled"]);
    assert_eq!(judge(&[15, 45], None, n), ["step-rerun"]);
    assert_eq!(judge(&[35], Some("another"), n), ["key-changed"]);
    assert_eq!(judge(&[35], None, n + 1_000_000), ["effect-unknown", "effect-missing"]);
}

#[test]
fn an_answer_that_nothing_explains_is_shown() {
    let refused = World::straight(Following::No).judge(|entries, _| {
        let request = "submit".to_owned();
        entries.push(Entry::Refused { request, status: 500, answer: "internal".to_owned() });
    });
    assert_eq!(refused, ["request-refused"]);
}

#[test]
fn a_task_that_was_cut_off_goes_on_soon() {
    let run = |went_on_ms: i64, killed_again_ms: i64| {
        let mut world = World::straight(Following::No);
        world.times = vec![0; world.bodies.len()];
        world.insert(2, lost(1));
        world.insert(3, started(2));
        world.times[3..].fill(went_on_ms);
        world.times[2] = 400;
        world.judge(|entries, _| {
            entries.extend([
                Entry::Killed { at: 100 * MS },
                Entry::Started { at: 110 * MS },
                Entry::Ready { at: 500 * MS },
                Entry::Killed { at: killed_again_ms * MS },
            ]);
        })
    };
    assert_eq!(run(1_400, 9_000), [""; 0]);
    assert_eq!(run(1_600, 9_000), ["stood-still"]);
    // It was not given a second.
    assert_eq!(run(1_600, 1_200), [""; 0]);
}
