//! The rules as tables: what a task is, what happens to it, and which events come of it.

mod fork;
mod record;

use super::evolve::{Meta, born, evolve};
use super::*;
use everloop_store::rows::DependencyRow;
use everloop_types::error::TaskError;
use everloop_types::event::{
    ApprovalDecision, ApprovalRequested, Cancelling, Child, Digest, Input, InputTaken, LeaseLost, LostReason,
    Paused, Pausing, Progressed, RetryScheduled, Started, StepCompleted, StepFailed, StepStarted, Waiting,
};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::limits;
use everloop_types::state::State;
use everloop_types::task::{Dependency, DependsOn, Parent, TaskSpec};

pub(super) const TASK: TaskId = TaskId([1; 16]);
const OTHER: TaskId = TaskId([4; 16]);
pub(super) const TOKEN: LeaseToken = LeaseToken { epoch: 1, attempt: 1, nonce: 7 };
static ALONE: Relations =
    Relations { prerequisites: Vec::new(), has_dependents: false, has_live_children: false };

/// So many seconds after the task was submitted.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000).plus(std::time::Duration::from_secs(seconds))
}

fn apply(task: &mut Task, seq: u64, seconds: u64, body: &EventBody) {
    evolve(task, Meta { seq, ts: at(seconds), actor: "who", bytes: 10 }, body).unwrap();
}

/// A task after these events, a second each.
pub(super) fn task(spec: TaskSpec, events: Vec<EventBody>) -> Task {
    let meta = Meta { seq: 1, ts: at(0), actor: "usr_1", bytes: 10 };
    let mut task = born(TASK, TenantId::DEFAULT, meta, spec);
    for (n, body) in (1..).zip(&events) {
        apply(&mut task, n + 1, n, body);
    }
    task
}

pub(super) fn mock() -> TaskSpec {
    TaskSpec::new("mock")
}

pub(super) fn started() -> EventBody {
    Started { attempt: 1, kind_version: None, worker: "wkr_1".to_owned() }.into()
}

pub(super) fn running(then: Vec<EventBody>) -> Task {
    task(mock(), std::iter::once(started()).chain(then).collect())
}

pub(super) fn lease(task: &Task) -> LeaseRow {
    LeaseRow {
        task: task.id,
        tenant: task.tenant,
        token: TOKEN,
        worker: WorkerId([2; 16]),
        incarnation: None,
        expires_at: at(90),
        batch: 0,
        concurrency: None,
    }
}

pub(super) fn view(task: &Task, seconds: u64) -> View<'_> {
    View { task, seq: 9, lease: None, relations: &ALONE, now: at(seconds) }
}

/// The types of the events that come of it, or why none do.
pub(super) fn kinds(decision: Decision) -> Result<Vec<String>, Code> {
    let drafts = decision.map_err(|refusal| refusal.code)?;
    Ok(drafts.iter().map(|draft| draft.body.kind().into_owned()).collect())
}

fn error() -> TaskError {
    TaskError::new(Code::Internal, "x")
}

fn waits(wait: Wait) -> EventBody {
    Waiting { r#for: wait }.into()
}

fn timer(seconds: u64) -> Wait {
    Wait::Timer { at: at(seconds), id: "nap#1".to_owned() }
}

fn for_input(name: &str) -> Wait {
    Wait::Input { id: "w#1".to_owned(), name: name.to_owned() }
}

pub(super) fn input(id: &str) -> EventBody {
    Input { data: Json::null(), id: id.to_owned(), name: "go".to_owned() }.into()
}

pub(super) fn retry(seconds: u64) -> EventBody {
    RetryScheduled { at: at(seconds), error: error() }.into()
}

pub(super) fn ready() -> EventBody {
    Ready { cause: everloop_types::wait::Cause::Retry, id: None }.into()
}

fn asked(choices: &[&str]) -> EventBody {
    let choices = choices.iter().map(|choice| (*choice).to_owned()).collect();
    ApprovalRequested { choices, details: None, id: "ask#1".to_owned(), prompt: "?".to_owned() }.into()
}

fn paused() -> EventBody {
    Paused { details: None, reason: "requested".to_owned() }.into()
}

fn ended() -> EventBody {
    Completed { continued_as: None, result: Json::null(), unconsumed: Vec::new() }.into()
}

/// One in each state.
fn each() -> Vec<Task> {
    let later = TaskSpec { not_before: Some(at(50)), ..mock() };
    let failed = Failed { error: error(), unconsumed: Vec::new() };
    vec![
        task(later, vec![]),
        task(mock(), vec![]),
        running(vec![]),
        running(vec![waits(for_input("go"))]),
        running(vec![Pausing { reason: None }.into()]),
        running(vec![paused()]),
        running(vec![Cancelling { reason: None }.into()]),
        running(vec![ended()]),
        running(vec![failed.into()]),
        task(mock(), vec![cancelled(&task(mock(), vec![]), None).into()]),
    ]
}

/// The events as one word: `-` for none, `!` if it is not allowed in this state.
fn word(decision: Decision) -> String {
    match kinds(decision) {
        Ok(kinds) if kinds.is_empty() => "-".to_owned(),
        Ok(kinds) => kinds.join(" "),
        Err(Code::IllegalTransition) => "!".to_owned(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_is_asked_of_a_task_does_what_its_state_allows() {
    let patch = || everloop_types::event::TaskPatch { name: Some("n".to_owned()), ..Default::default() };
    // Cancel, pause, resume, claim, change, an input.
    let table = [
        (State::Pending, ["task.cancelled", "task.paused", "!", "!", "task.updated", "task.input"]),
        (State::Queued, ["task.cancelled", "task.paused", "!", "task.started", "task.updated", "task.input"]),
        (State::Running, ["task.cancelling", "task.pausing", "!", "!", "task.updated", "task.input"]),
        (
            State::Waiting,
            ["task.cancelled", "task.paused", "!", "!", "task.updated", "task.input task.ready"],
        ),
        (State::Pausing, ["task.cancelling", "-", "task.resumed", "!", "task.updated", "task.input"]),
        (State::Paused, ["task.cancelled", "-", "task.resumed", "!", "task.updated", "task.input"]),
        (State::Cancelling, ["-", "!", "!", "!", "task.updated", "task.input"]),
        (State::Completed, ["!", "!", "!", "!", "!", "!"]),
        (State::Failed, ["!", "!", "!", "!", "!", "!"]),
        (State::Cancelled, ["-", "!", "!", "!", "!", "!"]),
    ];
    assert_eq!(table.map(|(state, _)| state), State::ALL);
    for (state, expected) in table {
        let task = each().into_iter().find(|task| task.state == state).unwrap();
        let view = view(&task, 9);
        let words = [
            word(cancel::decide(view, "usr_1", None)),
            word(pause::decide(view, "usr_1", None)),
            word(resume::decide(view, "usr_1")),
            word(start::decide(view, WorkerId([2; 16]), None)),
            word(update::decide(view, "usr_1", patch())),
            word(input::decide(view, "usr_1", "sig_1".to_owned(), "go".to_owned(), Json::null())),
        ];
        assert_eq!(words, expected, "{state}");
    }
    let named = task(TaskSpec { name: Some("n".to_owned()), ..mock() }, vec![]);
    assert_eq!(word(update::decide(view(&named, 9), "usr_1", patch())), "-");
}

#[test]
fn a_resumed_task_is_where_it_would_be_by_now() {
    let later = || TaskSpec { not_before: Some(at(50)), ..mock() };
    let needs = Relations { prerequisites: vec![needs(DependsOn::Completed)], ..ALONE.clone() };
    for (task, seconds, relations, expected) in [
        (task(mock(), vec![paused()]), 9, &ALONE, State::Queued),
        (task(later(), vec![paused()]), 49, &ALONE, State::Pending),
        (task(later(), vec![paused()]), 50, &ALONE, State::Queued),
        (task(mock(), vec![paused()]), 9, &needs, State::Pending),
        (running(vec![retry(50), paused()]), 49, &ALONE, State::Pending),
        (running(vec![retry(50), paused()]), 50, &ALONE, State::Queued),
        (running(vec![waits(timer(50)), paused()]), 49, &ALONE, State::Waiting),
        (running(vec![waits(timer(50)), paused()]), 50, &ALONE, State::Queued),
        (running(vec![Pausing { reason: None }.into()]), 9, &ALONE, State::Running),
    ] {
        let drafts = resume::decide(View { relations, ..view(&task, seconds) }, "usr_1").unwrap();
        let [Draft { body: EventBody::Resumed(resumed), .. }] = drafts.as_slice() else {
            panic!("{drafts:?}");
        };
        assert_eq!(resumed.state, expected, "{task:?}");
    }
}

fn needs(on: DependsOn) -> DependencyRow {
    DependencyRow { tenant: TenantId::DEFAULT, prerequisite: OTHER, dependent: TASK, on }
}

#[test]
fn a_prerequisite_that_ends_is_told_once_and_as_it_was_needed() {
    let third = DependencyRow { prerequisite: TaskId([5; 16]), ..needs(DependsOn::Ended) };
    let pending = || {
        let on = |on| Dependency { on, task: OTHER };
        task(TaskSpec { depends_on: vec![on(DependsOn::Completed)], ..mock() }, vec![])
    };
    let (one, two) = (|on| vec![needs(on)], |on| vec![needs(on), third]);
    for (task, prerequisites, ended, expected) in [
        (pending(), one(DependsOn::Completed), State::Completed, "task.ready"),
        (pending(), one(DependsOn::Completed), State::Failed, "task.failed"),
        (pending(), one(DependsOn::Completed), State::Cancelled, "task.failed"),
        (pending(), one(DependsOn::Ended), State::Failed, "task.ready"),
        (pending(), two(DependsOn::Ended), State::Failed, "-"),
        (pending(), two(DependsOn::Completed), State::Failed, "task.failed"),
        (pending(), vec![third], State::Failed, "-"),
        (running(vec![paused()]), one(DependsOn::Completed), State::Completed, "-"),
        (running(vec![ended()]), one(DependsOn::Completed), State::Failed, "-"),
    ] {
        let relations = Relations { prerequisites, ..ALONE.clone() };
        let view = View { relations: &relations, ..view(&task, 9) };
        assert_eq!(word(dependency::decide(view, OTHER, ended)), expected, "{relations:?} {ended}");
    }
}

#[test]
fn what_a_new_task_needs_is_looked_at_when_it_is_submitted() {
    let parent = TaskSpec { parent: Some(Parent { step: None, task: OTHER }), ..mock() };
    let on = |on| TaskSpec { depends_on: vec![Dependency { on, task: OTHER }], ..mock() };
    let late = TaskSpec { not_before: Some(at(50)), ..on(DependsOn::Ended) };
    for (spec, state, expected) in [
        (mock(), None, "task.submitted"),
        (parent.clone(), Some(State::Running), "task.submitted"),
        (parent.clone(), Some(State::Failed), "!"),
        (on(DependsOn::Completed), Some(State::Completed), "task.submitted task.ready"),
        (on(DependsOn::Completed), Some(State::Failed), "task.submitted task.failed"),
        (on(DependsOn::Completed), Some(State::Cancelled), "task.submitted task.failed"),
        (on(DependsOn::Ended), Some(State::Cancelled), "task.submitted task.ready"),
        (on(DependsOn::Ended), Some(State::Paused), "task.submitted"),
        (late, Some(State::Completed), "task.submitted"),
    ] {
        let submitted = submit::decide(TASK, TenantId::DEFAULT, "usr_1", spec, at(0), &|_| state);
        let waits = submitted.as_ref().map_or(0, |submitted| submitted.prerequisites.len());
        assert_eq!(waits, usize::from(state == Some(State::Paused)));
        assert_eq!(word(submitted.map(|submitted| submitted.events)), expected, "{state:?}");
    }
    for spec in [parent, on(DependsOn::Ended)] {
        let refusal = submit::decide(TASK, TenantId::DEFAULT, "usr_1", spec, at(0), &|_| None).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidRequest);
    }
}

#[test]
fn a_wait_ends_with_what_it_waits_for() {
    let ready = |drafts: Vec<Draft>| match &drafts.last().unwrap().body {
        EventBody::Ready(ready) => Some(ready.clone()),
        _ => None,
    };
    let of = |wait: Wait| running(vec![asked(&["yes", "no"]), waits(wait)]);
    let yes = |id: &str| ApprovalDecision {
        decision: "yes".to_owned(),
        id: id.to_owned(),
        note: None,
        result: None,
    };
    let decided = |wait| ready(decision::decide(view(&of(wait), 9), "usr_1", yes("ask#1")).unwrap());
    assert!(decided(Wait::Decision { id: "ask#1".to_owned() }).is_some());
    assert!(decided(Wait::Decision { id: "ask#2".to_owned() }).is_none());
    let child = |wait| {
        let child = Child { state: State::Completed, step: None, task: OTHER };
        ready(child::decide(view(&of(wait), 9), child).unwrap())
    };
    assert!(child(Wait::Child { id: "c#1".to_owned(), task: OTHER }).is_some());
    assert!(child(Wait::Child { id: "c#1".to_owned(), task: TASK }).is_none());
    let sent = |wait| {
        let drafts =
            input::decide(view(&of(wait), 9), "usr_1", "s".to_owned(), "go".to_owned(), Json::null());
        ready(drafts.unwrap())
    };
    assert_eq!(sent(for_input("go")).unwrap().id.as_deref(), Some("w#1"));
    assert!(sent(for_input("other")).is_none());
    assert!(sent(Wait::Any(vec![timer(50), for_input("go")])).is_some());
    assert!(sent(Wait::All(vec![timer(50), for_input("go")])).is_none());
    let due = |wait, seconds| word(due::decide(view(&of(wait), seconds)));
    assert_eq!(due(timer(50), 49), "-");
    assert_eq!(due(timer(50), 50), "task.ready");
    assert_eq!(due(Wait::All(vec![timer(50), for_input("go")]), 60), "-");
}

#[test]
fn a_time_that_has_come_does_what_is_due() {
    let later = || TaskSpec { not_before: Some(at(50)), ..mock() };
    let mut limited = later();
    limited.policy.deadline = Some(at(40));
    for (task, seconds, expected) in [
        (task(later(), vec![]), 49, "-"),
        (task(later(), vec![]), 50, "task.ready"),
        (running(vec![retry(50)]), 49, "-"),
        (running(vec![retry(50)]), 50, "task.ready"),
        (task(limited.clone(), vec![]), 39, "-"),
        (task(limited.clone(), vec![]), 40, "task.failed"),
        (task(limited.clone(), vec![cancelled(&task(mock(), vec![]), None).into()]), 40, "-"),
        (running(vec![]), 99, "-"),
    ] {
        assert_eq!(word(due::decide(view(&task, seconds))), expected, "{task:?}");
    }
    let cause = |task: &Task| match &due::decide(view(task, 60)).unwrap()[0].body {
        EventBody::Ready(ready) => ready.cause,
        other => panic!("{other:?}"),
    };
    use everloop_types::wait::Cause;
    assert_eq!(cause(&task(later(), vec![])), Cause::Time);
    assert_eq!(cause(&running(vec![retry(50)])), Cause::Retry);
    let last = TaskSpec { depends_on: vec![Dependency { on: DependsOn::Ended, task: OTHER }], ..later() };
    assert_eq!(cause(&task(last, vec![])), Cause::Dependency);
}

#[test]
fn a_lost_lease_ends_the_attempt_that_it_was_of() {
    let lost = |task: &Task, token, reason| {
        let lease = lease(task);
        word(lost::decide(View { lease: Some(&lease), ..view(task, 9) }, token, reason))
    };
    use LostReason::{Expired, HandedBack};
    let older = LeaseToken { attempt: 0, ..TOKEN };
    let gone = || EventBody::from(LeaseLost { attempt: 1, reason: Expired });
    let often = |times: usize, then: Vec<EventBody>| {
        let lost = (0..times).flat_map(|_| [gone(), started()]);
        running(lost.chain(then).collect())
    };
    let most = limits::LOST_ATTEMPTS as usize;
    assert_eq!(lost(&running(vec![]), TOKEN, Expired), "task.lease_lost");
    assert_eq!(lost(&running(vec![]), older, Expired), "-");
    assert_eq!(word(lost::decide(view(&running(vec![]), 9), TOKEN, Expired)), "-");
    assert_eq!(lost(&running(vec![Pausing { reason: None }.into()]), TOKEN, Expired), "task.lease_lost");
    assert_eq!(lost(&running(vec![Cancelling { reason: None }.into()]), TOKEN, Expired), "task.cancelled");
    assert_eq!(lost(&often(most - 2, vec![]), TOKEN, Expired), "task.lease_lost");
    assert_eq!(lost(&often(most - 1, vec![]), TOKEN, Expired), "task.lease_lost task.failed");
    assert_eq!(lost(&often(most - 1, vec![]), TOKEN, HandedBack), "task.lease_lost");
    assert_eq!(lost(&often(most - 1, vec![done("s#1")]), TOKEN, Expired), "task.lease_lost");
    let failing = |next_at| EventBody::from(StepFailed { next_at, ..failed_step() });
    assert_eq!(lost(&often(most - 1, vec![failing(None)]), TOKEN, Expired), "task.lease_lost");
    let again = often(most - 1, vec![failing(Some(at(60)))]);
    assert_eq!(lost(&again, TOKEN, Expired), "task.lease_lost task.failed");
}

fn done(step: &str) -> EventBody {
    StepCompleted {
        attempt: 1,
        code_version: None,
        intent: String::new(),
        kind: "step".to_owned(),
        result: Json::null(),
        started_at: at(0),
        step: step.to_owned(),
    }
    .into()
}

fn failed_step() -> StepFailed {
    StepFailed {
        error: error(),
        intent: String::new(),
        kind: "step".to_owned(),
        next_at: None,
        step: "s#1".to_owned(),
        r#try: 1,
    }
}

fn begins(step: &str) -> EventBody {
    StepStarted {
        at: at(0),
        code_version: None,
        intent: String::new(),
        kind: "step".to_owned(),
        on_unknown: Default::default(),
        step: step.to_owned(),
    }
    .into()
}

fn takes(id: &str) -> EventBody {
    InputTaken { id: id.to_owned(), step: "w#1".to_owned() }.into()
}

#[test]
fn an_input_is_kept_once_and_so_many_are() {
    let send = |task: &Task, id: &str| {
        kinds(input::decide(view(task, 9), "usr_1", id.to_owned(), "go".to_owned(), Json::null()))
    };
    assert_eq!(send(&running(vec![input("a")]), "a"), Ok(vec![]));
    assert_eq!(send(&running(vec![input("a"), takes("a")]), "a"), Ok(vec![]));
    assert_eq!(send(&running(vec![input("a")]), "b").unwrap(), ["task.input"]);
    let names: Vec<_> = (1..limits::UNCONSUMED_INPUTS).map(|n| input(&n.to_string())).collect();
    let mut task = running(names);
    assert_eq!(send(&task, "last").unwrap(), ["task.input"]);
    apply(&mut task, 9_000, 9, &input("last"));
    assert_eq!(send(&task, "more"), Err(Code::LimitReached));
    // Of those that were taken the latest are known.
    let all: Vec<_> =
        (0..=limits::KNOWN_INPUTS).flat_map(|n| [input(&n.to_string()), takes(&n.to_string())]).collect();
    let task = running(all);
    assert_eq!(task.taken.len(), limits::KNOWN_INPUTS);
    assert_eq!(send(&task, "0").unwrap(), ["task.input"]);
    assert_eq!(send(&task, "1"), Ok(vec![]));
}

#[test]
fn a_childs_end_is_told_once() {
    let child = || Child { state: State::Completed, step: None, task: OTHER };
    let tell = |task: &Task| word(child::decide(view(task, 9), child()));
    assert_eq!(tell(&running(vec![])), "task.child");
    assert_eq!(tell(&running(vec![child().into()])), "-");
    assert_eq!(tell(&running(vec![child().into(), takes(&OTHER.to_string())])), "-");
    assert_eq!(tell(&running(vec![ended()])), "-");
    let other = Child { task: TaskId([9; 16]), ..child() };
    assert_eq!(tell(&running(vec![other.into()])), "task.child");
}

#[test]
fn a_question_is_answered_once_with_one_of_its_words() {
    let answer = |id: &str, decision: &str| ApprovalDecision {
        decision: decision.to_owned(),
        id: id.to_owned(),
        note: None,
        result: None,
    };
    let decide = |task: &Task, id, word| kinds(decision::decide(view(task, 9), "usr_1", answer(id, word)));
    let (open, free) = (running(vec![asked(&["yes", "no"])]), running(vec![asked(&[])]));
    assert_eq!(decide(&open, "ask#1", "yes").unwrap(), ["approval.decision"]);
    assert_eq!(decide(&open, "ask#1", "perhaps"), Err(Code::InvalidRequest));
    assert_eq!(decide(&free, "ask#1", "perhaps").unwrap(), ["approval.decision"]);
    assert_eq!(decide(&open, "ask#2", "yes"), Err(Code::NotFound));
    assert_eq!(decide(&running(vec![]), "ask#1", "yes"), Err(Code::NotFound));
    let decided = running(vec![asked(&[]), answer("ask#1", "yes").into()]);
    assert_eq!(decide(&decided, "ask#1", "yes"), Err(Code::AlreadyDecided));
    assert_eq!(decide(&running(vec![asked(&[]), ended()]), "ask#1", "yes"), Err(Code::IllegalTransition));
    assert!(decided.open_requests.is_empty());
    // Asked again it is one question, with the words of the last time.
    let twice = running(vec![asked(&["a"]), asked(&["b"])]);
    assert_eq!(twice.open_requests.len(), 1);
    assert_eq!(decide(&twice, "ask#1", "b").unwrap(), ["approval.decision"]);
}
