//! Twins and originals say the same.

use super::*;
use everloop_types::{error, event, json::Json, profile, receipt, retry, task, wait, worker};
use schemars::schema_for;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The members that a twin knows.
fn members<T: JsonSchema>() -> BTreeSet<String> {
    let schema = schema_for!(T).to_value();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    properties.into_iter().map(|(name, _)| name).collect()
}

/// The members that a value of the original has, every optional one given.
fn written(value: &impl Serialize) -> BTreeSet<String> {
    let value: Value = serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

/// Reads the original from a full value: every member of the twin must be known to it.
fn same<T: JsonSchema, O: Serialize + serde::de::DeserializeOwned>(full: Value) {
    let original: O =
        serde_json::from_str(&full.to_string()).unwrap_or_else(|error| panic!("{error}: {full}"));
    assert_eq!(members::<T>(), written(&original), "{full}");
    let schema = schema_for!(T).to_value();
    for (name, schema) in schema["properties"].as_object().unwrap() {
        let mut full = full.clone();
        full[name] = Value::Null;
        let read = serde_json::from_str::<O>(&full.to_string()).is_ok();
        assert_eq!(
            read,
            allows_null(schema),
            "null as {name} is read or not, and its schema differs: {schema}"
        );
    }
}

fn allows_null(schema: &Value) -> bool {
    let null = Value::from("null");
    match (&schema["type"], &schema["anyOf"], &schema["$ref"]) {
        (Value::Array(types), _, _) => types.contains(&null),
        (_, Value::Array(choices), _) => choices.iter().any(|choice| choice["type"] == null),
        (Value::Null, Value::Null, Value::Null) => true,
        (one, _, _) => *one == null,
    }
}

const TASK: &str = "task_01h2xcejqtf2nbrexx3vqjhp41";

#[test]
fn the_twins_have_the_members_of_their_originals() {
    let retry = json!({"initial_ms": 1, "max_ms": 2, "max_tries": 4});
    same::<RetryPolicy, retry::RetryPolicy>(retry.clone());
    let profile = json!({"hosts": ["a"], "mcp": ["b"], "output_bytes": 1});
    same::<ExecProfile, profile::ExecProfile>(profile.clone());
    let concurrency = json!({"key": "k", "limit": 1});
    same::<Concurrency, task::Concurrency>(concurrency.clone());
    let policy = json!({"children": "leave", "concurrency": concurrency, "deadline": "2026-01-01T00:00:00Z", "grace_ms": 1,
        "lease_ms": 1, "on_unknown": "ask", "priority": 1, "profile": profile, "retry": retry, "timeout_ms": 1});
    same::<Policy, task::Policy>(policy.clone());
    let dependency = json!({"on": "ended", "task": TASK});
    same::<Dependency, task::Dependency>(dependency.clone());
    let parent = json!({"step": "a#1", "task": TASK});
    same::<Parent, task::Parent>(parent.clone());
    same::<Progress, task::Progress>(json!({"done": 1, "note": "n", "total": 2}));
    same::<Usage, task::Usage>(json!({"event_bytes": 1, "running_us": 2}));
    let forked = json!({"hash": "h", "keys_of": TASK, "task": TASK, "upto_seq": 1});
    same::<ForkedFrom, task::ForkedFrom>(forked);
    same::<PauseReason, task::PauseReason>(json!({"by": "b", "details": 1, "reason": "r"}));
    same::<TaskError, error::TaskError>(json!({"class": "auth", "code": "c", "details": 1, "message": "m"}));
    same::<TaskSpec, task::TaskSpec>(
        json!({"context": 1, "continues": TASK, "depends_on": [dependency], "description": "d",
        "input": 1, "key": "k", "kind": "mock", "kind_version": 1, "labels": {"a": "b"}, "metadata": 1, "name": "n",
        "not_before": "2026-01-01T00:00:00Z", "parent": parent, "policy": policy, "queue": "default", "requires": ["gpu"],
        "session": "ses_01h2xcejqtf2nbrexx3vqjhp41", "title": "t"}),
    );
    let defaults = json!({"policy": policy, "queue": "default"});
    same::<KindDefaults, worker::KindDefaults>(defaults.clone());
    let offer = json!({"about": "a", "defaults": defaults, "expose": ["mcp"], "input_schema": true, "kind": "mock",
        "output_schema": {"type": "object"}, "versions": [1]});
    same::<KindOffer, worker::KindOffer>(offer.clone());
    same::<WorkerSpec, worker::WorkerSpec>(
        json!({"capabilities": ["gpu"], "kinds": [offer], "max_concurrent_tasks": 1,
        "name": "n", "protocol": 1, "queues": ["default"], "version": "1"}),
    );
    same::<crate::history::ClaimsShape, receipt::ReceiptClaims>(
        json!({"chain_root": "c", "finished_at": "2026-01-01T00:00:00Z",
        "first_seq": 1, "kind": "k", "last_seq": 2, "result_hash": "r", "state": "failed", "task": TASK,
        "tenant": "ten_00000000000000000000000000", "v": 1}),
    );
}

#[test]
fn the_requests_have_the_members_of_what_is_made_of_them() {
    let patch = event::TaskPatch {
        description: Some(String::new()),
        labels: Some(BTreeMap::new()),
        metadata: Some(Json::null()),
        name: Some(String::new()),
        policy: Some(task::Policy::default()),
        title: Some(String::new()),
    };
    assert_eq!(members::<crate::command::PatchRequest>(), written(&patch));
    let mut request = members::<crate::task::TaskRequest>();
    assert!(request.remove("data_subject"));
    let mut spec = members::<TaskSpec>();
    assert!(spec.remove("continues"));
    assert_eq!(request, spec);
}

#[test]
fn every_condition_of_a_wait_is_described() {
    let known = schema_for!(Wait).to_value().to_string();
    for wait in [
        json!({"all": []}),
        json!({"any": [{"timer": {"at": "2026-01-01T00:00:00Z", "id": "a"}}]}),
        json!({"input": {"id": "a", "name": "n"}}),
        json!({"decision": {"id": "a"}}),
        json!({"child": {"id": "a", "task": TASK}}),
    ] {
        let read: wait::Wait = serde_json::from_value(wait.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap().as_object().unwrap().len(), 1);
        let name = wait.as_object().unwrap().keys().next().unwrap().clone();
        assert!(known.contains(&format!("\"{name}\"")), "{name}");
    }
}
