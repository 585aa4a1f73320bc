//! Every body of an event serialises to canonical JSON, so that it need not go through the door.

use everloop_journal::canonical::{canonicalize, canonicalize_to_string};
use everloop_types::error::{Class, TaskError};
use everloop_types::event::*;
use everloop_types::id::{SessionId, TaskId};
use everloop_types::json::Json;
use everloop_types::profile::ExecProfile;
use everloop_types::retry::RetryPolicy;
use everloop_types::state::State;
use everloop_types::step::OnUnknown;
use everloop_types::task::{
    ChildPolicy, Concurrency, Dependency, DependsOn, ForkedFrom, Parent, Policy, TaskSpec,
};
use everloop_types::time::Timestamp;
use everloop_types::wait::{Cause, Wait};
use std::collections::{BTreeMap, BTreeSet};

const AWKWARD: &str = "\u{0}\u{8}\u{b}\u{1f}\"\\/\u{7f}\u{80}é€\u{2028}\u{fb33}😀\n";

fn s() -> String {
    AWKWARD.to_owned()
}

fn o() -> Option<String> {
    Some(s())
}

fn json() -> Json {
    canonicalize(
        "{\"\u{fb33}\":1.50,\"😀\":[null,18446744073709551615,-0.0,\"\\u000B\"],\"a\":{}}".as_bytes(),
    )
    .unwrap()
}

fn task_error() -> TaskError {
    TaskError { class: Class::Transient, code: s(), details: Some(json()), message: s() }
}

fn policy() -> Policy {
    Policy {
        children: ChildPolicy::Leave,
        concurrency: Some(Concurrency { key: s(), limit: u32::MAX }),
        deadline: Some(Timestamp::MAX),
        grace_ms: Some(u64::MAX),
        lease_ms: Some(1),
        on_unknown: Some(OnUnknown::Ask),
        priority: i32::MIN,
        profile: ExecProfile { hosts: vec![s(), s()], mcp: vec![s()], output_bytes: Some(u64::MAX) },
        retry: RetryPolicy { max_tries: u32::MAX, initial_ms: u64::MAX, max_ms: 0 },
        timeout_ms: Some(u64::MAX),
    }
}

fn labels() -> BTreeMap<String, String> {
    ["a", "A/z", "_", "0.9-", "zz"].into_iter().map(|name| (name.to_owned(), s())).collect()
}

fn spec() -> TaskSpec {
    let task = TaskId([0xab; 16]);
    TaskSpec {
        context: Some(json()),
        continues: Some(task),
        depends_on: vec![
            Dependency { on: DependsOn::Ended, task },
            Dependency { on: DependsOn::Completed, task },
        ],
        description: o(),
        input: Some(json()),
        key: o(),
        kind_version: Some(u32::MAX),
        labels: labels(),
        metadata: Some(json()),
        name: o(),
        not_before: Some(Timestamp::MIN),
        parent: Some(Parent { step: o(), task }),
        policy: policy(),
        queue: s(),
        requires: vec![s()],
        session: Some(SessionId([1; 16])),
        title: o(),
        ..TaskSpec::new(s())
    }
}

fn wait() -> Wait {
    let task = TaskId([0xff; 16]);
    Wait::All(vec![
        Wait::Any(vec![
            Wait::Timer { at: Timestamp::default(), id: s() },
            Wait::Input { id: s(), name: s() },
            Wait::All(vec![]),
        ]),
        Wait::Decision { id: s() },
        Wait::Child { id: s(), task },
    ])
}

/// Every variant, full.
fn full() -> Vec<EventBody> {
    let (task, at) = (TaskId([0xff; 16]), Timestamp::from_micros(1));
    vec![
        EventBody::Submitted(Box::new(spec())),
        Ready { cause: Cause::Dependency, id: o() }.into(),
        Started { attempt: 1, kind_version: Some(2), worker: s() }.into(),
        Progressed { done: Some(u64::MAX), note: o(), total: Some(0) }.into(),
        Updated {
            fields: TaskPatch {
                description: o(),
                labels: Some(labels()),
                metadata: Some(json()),
                name: o(),
                policy: Some(policy()),
                title: o(),
            },
        }
        .into(),
        Log { base64: o(), level: Level::Warn, offset: u64::MAX, source: s(), text: o() }.into(),
        StepStarted {
            at,
            code_version: o(),
            intent: s(),
            kind: s(),
            on_unknown: OnUnknown::Verify,
            step: s(),
        }
        .into(),
        StepCompleted {
            attempt: u32::MAX,
            code_version: o(),
            intent: s(),
            kind: s(),
            result: json(),
            started_at: at,
            step: s(),
        }
        .into(),
        StepFailed { error: task_error(), intent: s(), kind: s(), next_at: Some(at), step: s(), r#try: 1 }
            .into(),
        Waiting { r#for: wait() }.into(),
        Input { data: json(), id: s(), name: s() }.into(),
        InputTaken { id: s(), step: s() }.into(),
        ApprovalRequested { choices: vec![s()], details: Some(json()), id: s(), prompt: s() }.into(),
        ApprovalDecision { decision: s(), id: s(), note: o(), result: Some(json()) }.into(),
        Pausing { reason: o() }.into(),
        Paused { details: Some(json()), reason: s() }.into(),
        Resumed { state: State::Queued }.into(),
        Cancelling { reason: o() }.into(),
        Cancelled { reason: o(), unconsumed: vec![s()] }.into(),
        RetryScheduled { at, error: task_error() }.into(),
        LeaseLost { attempt: 1, reason: LostReason::HandedBack }.into(),
        Child { state: State::Failed, step: o(), task }.into(),
        Forked { from: ForkedFrom { hash: s(), keys_of: Some(task), task, upto_seq: u64::MAX } }.into(),
        Completed { continued_as: Some(task), result: json(), unconsumed: vec![s(), s()] }.into(),
        Failed { error: task_error(), unconsumed: vec![s()] }.into(),
        Digest { hash: s(), upto_seq: u64::MAX }.into(),
        TaskDeleted { hash: s(), last_seq: 1, reason: s(), task }.into(),
        StreamFolded { ranges: vec![s()], stream: s() }.into(),
        StreamTrimmed { hash: s(), stream: s(), upto_seq: 1 }.into(),
        AuditSegment { hash: o(), previous: o() }.into(),
        EventBody::Custom { name: "mock".to_owned(), data: json() },
    ]
}

/// Variants again with what may be absent left out.
fn sparse() -> Vec<EventBody> {
    vec![
        EventBody::Submitted(Box::new(TaskSpec::new("mock"))),
        Ready { cause: Cause::Time, id: None }.into(),
        Progressed { done: None, note: None, total: None }.into(),
        Updated { fields: TaskPatch::default() }.into(),
        Updated { fields: TaskPatch { policy: Some(Policy::default()), ..TaskPatch::default() } }.into(),
        Cancelled { reason: None, unconsumed: vec![] }.into(),
        Completed { continued_as: None, result: Json::null(), unconsumed: vec![] }.into(),
        AuditSegment { hash: None, previous: None }.into(),
        EventBody::Custom { name: "x".to_owned(), data: Json::null() },
    ]
}

#[test]
fn every_body_is_canonical_as_it_is_written_and_reads_back() {
    let mut wrong = Vec::new();
    for body in full().into_iter().chain(sparse()) {
        let kind = body.kind();
        let data = body.data().unwrap();
        let canonical = canonicalize_to_string(data.as_str().as_bytes()).unwrap();
        if data.as_str() != canonical {
            wrong.push(format!("{kind}\n   is {data}\n  not {canonical}"));
        }
        assert_eq!(EventBody::read(&kind, 1, &data).unwrap(), body, "{kind}");
    }
    assert!(
        wrong.is_empty(),
        "fields of these bodies are not in the order of their names:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_body_is_forgotten_here() {
    let seen: BTreeSet<_> = full().iter().map(|body| body.kind().into_owned()).collect();
    for kind in EventBody::KINDS {
        assert!(seen.contains(*kind), "{kind} has no example in this file");
    }
}
