//! Records of tasks, and lists of them.

use super::fixtures::{Made, OURS, THEIRS, World, json, streams};
use super::harness::Harness;
use crate::port::{Order, Part, TaskFilter};
use crate::rows::{Signature, StateCount};
use crate::work::{TaskWrite, Wanted, WantedTask};
use everloop_types::error::{Class, TaskError};
use everloop_types::id::{SessionId, TaskId};
use everloop_types::state::State;
use everloop_types::step::OnUnknown;
use everloop_types::task::{
    Arrived, ArrivedWhat, ChildPolicy, Concurrency, Decided, Dependency, DependsOn, ForkedFrom, OpenRequest,
    Parent, PauseReason, Progress, TaskSpec, Usage,
};
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;
use std::time::Duration;

/// Text that breaks what is quoted, escaped, folded or cut somewhere on its way.
const NASTY: &str = "Grüße 'x' \"y\" \\z %_ \u{1F980} \u{202e}ש e\u{301} \u{FEFF}";

/// A record in which every field is set.
fn full(world: &mut World) -> Made {
    let mut spec = TaskSpec::new("git.feature");
    spec.context = Some(json("{\"a\":[1,2.5,null,\"\\u0000\"]}"));
    spec.continues = Some(TaskId([1; 16]));
    spec.depends_on = vec![Dependency { on: DependsOn::Ended, task: TaskId([2; 16]) }];
    spec.description = Some(NASTY.repeat(20));
    spec.key = Some(NASTY.to_owned());
    spec.kind_version = Some(u32::MAX);
    spec.labels = [("a.b/c-d", NASTY), ("z", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    spec.metadata = Some(json("{\"\":\"\\u0000\",\"n\":18446744073709551615}"));
    spec.name = Some("n".to_owned());
    spec.not_before = Some(Timestamp::MAX);
    spec.parent = Some(Parent { step: None, task: TaskId([3; 16]) });
    spec.policy.children = ChildPolicy::Leave;
    spec.policy.concurrency = Some(Concurrency { key: NASTY.to_owned(), limit: 3 });
    spec.policy.deadline = Some(Timestamp::from_micros(1));
    spec.policy.on_unknown = Some(OnUnknown::Ask);
    spec.policy.priority = -100;
    spec.policy.timeout_ms = Some(u64::MAX);
    spec.policy.profile.hosts = vec!["*.example.com".to_owned()];
    spec.queue = "high-mem_2".to_owned();
    spec.requires = vec!["cuda".to_owned(), "gpu".to_owned()];
    spec.session = Some(SessionId([4; 16]));
    spec.title = Some(NASTY.to_owned());
    let mut made = world.task_of(OURS, spec);
    let task = &mut made.task;
    (task.attempt, task.tries, task.lost, task.lost_total, task.steps) = (u32::MAX, 1, 2, 3, 4);
    task.created_by = "wkr_00000000000000000000000000".to_owned();
    task.open_steps = vec!["s#1".to_owned()];
    task.progress = Some(Progress { done: Some(1), note: Some(NASTY.to_owned()), total: Some(1 << 53) });
    task.usage = Usage { event_bytes: 1 << 40, running_us: 1 << 41 };
    task.error = Some(TaskError {
        class: Class::Quota,
        code: "mine".to_owned(),
        details: Some(json("[]")),
        message: NASTY.to_owned(),
    });
    task.retry_at = Some(world.now);
    task.waiting_for = Some(Wait::Any(vec![
        Wait::All(Vec::new()),
        Wait::Timer { at: world.now, id: "t".to_owned() },
        Wait::Child { id: "c".to_owned(), task: TaskId([5; 16]) },
    ]));
    task.paused = Some(PauseReason { by: "b".to_owned(), details: Some(json("{}")), reason: "r".to_owned() });
    task.arrived = vec![Arrived { what: ArrivedWhat::Decision { id: "d".to_owned() }, seq: 9 }];
    task.open_requests = vec![OpenRequest { choices: vec!["yes".to_owned()], id: "o".to_owned(), seq: 8 }];
    task.decided =
        [("d".to_owned(), Decided { by: "b".to_owned(), decision: "yes".to_owned(), seq: 7 })].into();
    task.forked_from = Some(ForkedFrom {
        hash: "00".to_owned(),
        keys_of: Some(TaskId([9; 16])),
        task: TaskId([6; 16]),
        upto_seq: 5,
    });
    task.continued_as = Some(TaskId([7; 16]));
    task.since_digest = 255;
    task.started_at = Some(world.now);
    task.attempt_at = Some(world.now);
    made
}

/// Every field of a record reads back as it was, by reader and writer, before and after a restart.
pub fn record_reads_back_with_every_field(mut h: Harness) {
    let world = &mut World::new();
    let mut made = full(world);
    h.commit(&streams(vec![made.submit(world, Vec::new())])).unwrap();
    assert_eq!(h.reader.task(OURS, made.id()).unwrap().unwrap().task, made.task);
    let wanted = vec![WantedTask { tenant: OURS, task: made.id(), relations: false }];
    let set = h.load(&Wanted { tasks: wanted, ..Wanted::default() }).unwrap();
    assert_eq!(*set.tasks[&made.id()].task, made.task);
    let h = h.reopen();
    assert_eq!(h.reader.task(OURS, made.id()).unwrap().unwrap().task, made.task);
}

/// The data subject is the one that the task came with; the signature is the one that it ended with. Both are kept.
pub fn subject_and_signature_are_kept(mut h: Harness) {
    let world = &mut World::new();
    let mut made = world.task(OURS);
    let signature = Signature { kid: "kid-1".to_owned(), bytes: [0xfe; 64] };
    let mut submit = made.submit(world, Vec::new());
    let with = |task: &Made, subject: &str, signature: Option<Signature>| {
        Some(TaskWrite { task: task.task.clone().into(), data_subject: Some(subject.to_owned()), signature })
    };
    submit.task = with(&made, NASTY, None);
    h.commit(&streams(vec![submit])).unwrap();
    let mut end = made.end(world, State::Completed, Vec::new());
    end.task = with(&made, "ignored", Some(signature.clone()));
    h.commit(&streams(vec![end])).unwrap();
    let before = h.reader.task(OURS, made.id()).unwrap();
    let h = h.reopen();
    for row in [before, h.reader.task(OURS, made.id()).unwrap()] {
        let row = row.unwrap();
        assert_eq!((row.data_subject.as_deref(), row.signature.as_ref()), (Some(NASTY), Some(&signature)));
        assert_eq!((row.task, row.head), (made.task.clone(), made.log.head));
    }
}

fn list(h: &Harness, filter: &TaskFilter) -> Vec<TaskId> {
    let rows = h.reader.tasks(OURS, filter, Order::Oldest, Part::default(), 1_000).unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row.task.id).collect();
    assert_eq!(h.reader.tasks_count(OURS, filter, 10_000).unwrap(), ids.len() as u64, "{filter:?}");
    let newest = h.reader.tasks(OURS, filter, Order::Newest, Part::default(), 1_000).unwrap();
    assert!(newest.iter().rev().map(|row| row.task.id).eq(ids.iter().copied()), "{filter:?}");
    ids
}

/// Each field of a filter, alone and with others.
pub fn filters_match_what_they_say(mut h: Harness) {
    let world = &mut World::new();
    let nobody = TaskFilter::default;
    let parent = world.task(OURS);
    let mut all = Vec::new();
    for i in 0..8 {
        let mut spec = TaskSpec::new(["mock", "shell", "http"][i % 3]);
        spec.queue = ["default", "high"][i % 2].to_owned();
        spec.policy.priority = [0, -7][i / 4];
        spec.labels = [("env", ["prod", "dev"][i % 2]), ("a.b/c-d", "it's \"x\"")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        spec.key =
            [Some("a%b"), Some("a%c"), Some("aXb"), Some("A%b"), Some("é_1"), Some("éx1"), Some("\\%"), None]
                [i]
                .map(str::to_owned);
        spec.name = (i == 1).then(|| "Alpha 100%".to_owned());
        spec.title = (i == 2).then(|| "the ALPHA one".to_owned());
        spec.description = (i == 3).then(|| "x alphabet Ärger_y".to_owned());
        spec.parent = (i > 5).then(|| Parent { step: None, task: parent.id() });
        spec.session = (i < 2).then_some(SessionId([9; 16]));
        let mut made = world.task_of(OURS, spec);
        made.task.created_by = ["usr_a", "usr_A"][i % 2].to_owned();
        h.commit(&streams(vec![made.submit(world, Vec::new())])).unwrap();
        if let Some(state) =
            [None, Some(State::Failed), Some(State::Completed), Some(State::Failed)].get(i).copied().flatten()
        {
            h.commit(&streams(vec![made.end(world, state, Vec::new())])).unwrap();
        }
        all.push(made.id());
    }
    let text = |text: &str| TaskFilter { text: Some(text.to_owned()), ..nobody() };
    let key = |key: &str| TaskFilter { key_prefix: Some(key.to_owned()), ..nobody() };
    let label = |pairs: &[(&str, &str)]| TaskFilter {
        labels: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..nobody()
    };
    let kinds =
        |kinds: &[&str]| TaskFilter { kinds: kinds.iter().map(|k| (*k).to_owned()).collect(), ..nobody() };
    let states = |states: &[State]| TaskFilter { states: states.to_vec(), ..nobody() };
    let by = |by: &str| TaskFilter { created_by: Some(by.to_owned()), ..nobody() };
    let cases: Vec<(TaskFilter, &[usize])> = vec![
        (nobody(), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (states(&[State::Queued]), &[0, 4, 5, 6, 7]),
        (states(&[State::Completed, State::Failed]), &[1, 2, 3]),
        (states(&State::ALL), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (states(&[State::Paused]), &[]),
        (kinds(&["shell"]), &[1, 4, 7]),
        (kinds(&["mock", "http", "none"]), &[0, 2, 3, 5, 6]),
        (TaskFilter { queue: Some("high".to_owned()), ..nobody() }, &[1, 3, 5, 7]),
        (TaskFilter { priority: Some(-7), ..nobody() }, &[4, 5, 6, 7]),
        (label(&[("env", "prod")]), &[0, 2, 4, 6]),
        (label(&[("env", "dev"), ("a.b/c-d", "it's \"x\"")]), &[1, 3, 5, 7]),
        (label(&[("env", "prod"), ("nope", "x")]), &[]),
        (label(&[("env", "prod%")]), &[]),
        (TaskFilter { parent: Some(parent.id()), ..nobody() }, &[6, 7]),
        (TaskFilter { session: Some(SessionId([9; 16])), ..nobody() }, &[0, 1]),
        (key("a%"), &[0, 1]),
        (key("a"), &[0, 1, 2]),
        (key("é_"), &[4]),
        (key("\\"), &[6]),
        (key(""), &[0, 1, 2, 3, 4, 5, 6]),
        (text("alpha"), &[1, 2, 3]),
        (text("ALPHA "), &[1, 2]),
        (text("100%"), &[1]),
        (text("r_y"), &[3]),
        (text("Ä"), &[3]),
        (text("ä"), &[]),
        (text("%"), &[1]),
        (by("usr_a"), &[0, 2, 4, 6]),
        (TaskFilter { kinds: vec!["shell".to_owned()], ..states(&[State::Failed]) }, &[1]),
        (
            TaskFilter { kinds: vec!["shell".to_owned(), "mock".to_owned()], ..states(&[State::Failed]) },
            &[1, 3],
        ),
        (
            TaskFilter { queue: Some("default".to_owned()), ..states(&[State::Queued, State::Queued]) },
            &[0, 4, 6],
        ),
        (TaskFilter { queue: Some("high".to_owned()), ..kinds(&["shell", "shell"]) }, &[1, 7]),
        (TaskFilter { priority: Some(-7), ..by("usr_A") }, &[5, 7]),
        (TaskFilter { parent: Some(parent.id()), ..states(&[State::Queued]) }, &[6, 7]),
        (TaskFilter { parent: Some(parent.id()), ..states(&[State::Completed]) }, &[]),
    ];
    for (filter, expected) in cases {
        let found: Vec<_> = list(&h, &filter).iter().map(|id| all.iter().position(|one| one == id)).collect();
        let expected: Vec<_> = expected.iter().copied().map(Some).collect();
        assert_eq!(found, expected, "{}: {filter:?}", h.name);
    }
    assert_eq!(h.reader.tasks_count(THEIRS, &nobody(), 10).unwrap(), 0);
}

/// Filters follow the record when it changes.
pub fn changed_task_is_found_by_its_new_fields(mut h: Harness) {
    let world = &mut World::new();
    let mut made = world.task(OURS);
    made.task.spec.labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "1".to_owned())].into();
    made.task.spec.title = Some("before".to_owned());
    h.commit(&streams(vec![made.submit(world, Vec::new())])).unwrap();
    made.task.spec.labels = [("a".to_owned(), "2".to_owned())].into();
    made.task.spec.title = Some("after".to_owned());
    made.task.spec.policy.priority = 9;
    made.task.state = State::Paused;
    h.commit(&streams(vec![made.note(world, Vec::new())])).unwrap();
    let label = |k: &str, v: &str| TaskFilter {
        labels: [(k.to_owned(), v.to_owned())].into(),
        ..TaskFilter::default()
    };
    let text = |text: &str| TaskFilter { text: Some(text.to_owned()), ..TaskFilter::default() };
    let priority = |priority| TaskFilter { priority: Some(priority), ..TaskFilter::default() };
    let state = |state| TaskFilter { states: vec![state], ..TaskFilter::default() };
    for old in [label("a", "1"), label("b", "1"), text("before"), priority(0), state(State::Queued)] {
        assert_eq!(list(&h, &old), [], "{old:?}");
    }
    for new in [label("a", "2"), text("after"), priority(9), state(State::Paused)] {
        assert_eq!(list(&h, &new), [made.id()], "{new:?}");
    }
}

/// Pages follow one another in both orders, without gap and double, filtered too; counts stop at their cap.
pub fn pages_follow_one_another(mut h: Harness) {
    let world = &mut World::new();
    let mut ids = Vec::new();
    for i in 0..11 {
        let mut made = world.task_of(OURS, TaskSpec::new(["mock", "shell"][i % 2]));
        let mut theirs = world.task(THEIRS);
        h.commit(&streams(vec![made.submit(world, Vec::new()), theirs.submit(world, Vec::new())])).unwrap();
        ids.push(made.id());
    }
    let shells = TaskFilter { kinds: vec!["shell".to_owned()], ..TaskFilter::default() };
    let odd: Vec<_> = ids.iter().copied().skip(1).step_by(2).collect();
    for (filter, expected) in [(TaskFilter::default(), ids), (shells, odd)] {
        for (order, backwards) in [(Order::Oldest, false), (Order::Newest, true)] {
            let mut expected = expected.clone();
            if backwards {
                expected.reverse();
            }
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = h.reader.tasks(OURS, &filter, order, after.into(), 3).unwrap();
                assert!(page.len() <= 3);
                let Some(last) = page.last() else { break };
                after = Some(last.task.id);
                found.extend(page.iter().map(|row| row.task.id));
                assert!(found.len() <= expected.len(), "pages that go on for ever");
            }
            assert_eq!(found, expected);
        }
        for cap in [0, 1, 5, 1_000] {
            let count = h.reader.tasks_count(OURS, &filter, cap).unwrap();
            assert_eq!(count, cap.min(expected.len() as u64));
        }
        assert_eq!(h.reader.tasks(OURS, &filter, Order::Newest, Part::default(), 0).unwrap(), []);
    }
}

/// Tasks by queue and state, with what they used.
pub fn states_are_counted_with_usage(mut h: Harness) {
    let world = &mut World::new();
    let mut expected: Vec<StateCount> = Vec::new();
    for i in 0..10_u64 {
        let mut spec = TaskSpec::new("mock");
        spec.queue = ["default", "low"][(i % 2) as usize].to_owned();
        let mut made = world.task_of(OURS, spec);
        made.task.state = [State::Queued, State::Waiting][usize::from(i > 6)];
        made.task.usage.running_us = i << 33;
        h.commit(&streams(vec![made.submit(world, Vec::new())])).unwrap();
        let key = |count: &StateCount| count.queue == made.task.spec.queue && count.state == made.task.state;
        let at = expected.iter().position(key).unwrap_or_else(|| {
            let (queue, state) = (made.task.spec.queue.clone(), made.task.state);
            expected.push(StateCount { queue, state, tasks: 0, running_us: 0, event_bytes: 0 });
            expected.len() - 1
        });
        expected[at].tasks += 1;
        expected[at].running_us += made.task.usage.running_us;
        expected[at].event_bytes += made.task.usage.event_bytes;
    }
    let sort = |mut counts: Vec<StateCount>| {
        counts.sort_by_key(|count| (count.queue.clone(), count.state));
        counts
    };
    assert_eq!(sort(h.reader.state_counts(OURS).unwrap()), sort(expected));
    assert_eq!(h.reader.state_counts(THEIRS).unwrap(), []);
}

/// What retention asks for: tasks of all tenants that ended before a time, in the order of their ends, in pages.
pub fn finished_tasks_are_found_by_time(mut h: Harness) {
    let world = &mut World::new();
    let mut made: Vec<_> = (0..8).map(|i| world.task([OURS, THEIRS][i % 2])).collect();
    let submits = made.iter_mut().map(|one| one.submit(world, Vec::new())).collect();
    h.commit(&streams(submits)).unwrap();
    // The younger ones end first, two live on.
    for one in made.iter_mut().skip(2).rev() {
        h.commit(&streams(vec![one.end(world, State::Cancelled, Vec::new())])).unwrap();
    }
    let mut ends: Vec<_> = made.iter().filter_map(|one| Some((one.task.finished_at?, one.id()))).collect();
    ends.sort();
    let find = |after, before, limit| -> Vec<_> {
        let rows = h.reader.finished(after, before, limit).unwrap();
        rows.iter().map(|row| (row.task.finished_at.unwrap(), row.task.id)).collect()
    };
    assert_eq!(find(None, Timestamp::MAX, 10), ends);
    assert_eq!(find(None, ends[3].0, 10), ends[..3]);
    assert_eq!(find(None, ends[3].0.plus(Duration::from_micros(1)), 10), ends[..4]);
    assert_eq!(find(None, Timestamp::MAX, 4), ends[..4]);
    assert_eq!(find(Some(ends[3]), Timestamp::MAX, 10), ends[4..]);
    assert_eq!(find(Some((ends[3].0, TaskId([0; 16]))), Timestamp::MAX, 10), ends[3..]);
    assert_eq!(find(Some(ends[5]), Timestamp::MAX, 10), []);
    assert_eq!(find(None, ends[0].0, 10), []);
}
