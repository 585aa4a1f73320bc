//! Forged worlds: the oracle finds what is wrong with each, by name, and nothing wrong with the good one.

mod world;

use crate::crash::oracle::ledger::{Act, Entry};
use crate::crash::plan::{Course, Following, Plan, REQUEST};
use everloop_journal::keys::{Jwks, SigningKey};
use everloop_types::error::{Class, Code, TaskError};
use everloop_types::event::{Cancelled, Completed, EventBody, Input, Pausing, RetryScheduled};
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::task::TaskSpec;
use everloop_types::time::Timestamp;
use serde_json::json;
use world::{MS, PLAN_SEED, World, effect, failed, history, json, lost, recorded, started};

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
