//! Tasks from start to receipt, and everything that steers them, against one server.

use crate::harness::{Place, eventually, get};
use expect_test::expect;

const TWO_STEPS: &str =
    r#"{"steps":[{"name":"one","result":1},{"name":"two","result":2}],"result":{"sum":3}}"#;

fn state(place: &Place, task: &str, wanted: &str) {
    eventually(wanted, || {
        let view = place.run(&["task", "get", task, "--json"]).json();
        (view["state"] == wanted).then_some(())
    });
}

#[test]
fn a_task_from_start_to_verified_receipt() {
    let place = Place::new();
    let server = place.server(&[]);
    let started =
        place.run(&["task", "start", "mock", "--input", TWO_STEPS, "--key", "digest-1", "--wait", "30s"]);
    expect![[r#"
        {"sum":3}"#]]
    .assert_eq(&started.ok());
    assert_eq!(place.run(&["task", "output", "key:digest-1"]).ok(), r#"{"sum":3}"#);
    let again = place.run(&["task", "start", "mock", "--input", TWO_STEPS, "--key", "digest-1"]);
    assert!(again.err.contains("exists already: it is completed"), "{again:?}");

    let followed = place.run(&["task", "follow", "key:digest-1", "--json"]).ok();
    let kinds: Vec<String> = followed
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        kinds,
        ["task.submitted", "task.started", "step.completed", "step.completed", "task.completed"]
    );
    let filtered = place.run(&["task", "follow", "key:digest-1", "--types", "step.*"]).ok();
    assert_eq!(filtered.lines().count(), 2, "{filtered}");
    let later = place.run(&["task", "follow", "key:digest-1", "--after", "4", "--json"]).ok();
    assert_eq!(later.lines().count(), 1, "{later}");

    let exported = place.run(&["task", "export", "key:digest-1", "--output", "task.jsonl"]);
    assert!(exported.err.contains("6 lines in task.jsonl"), "{exported:?}");
    assert_eq!(place.run(&["task", "export", "key:digest-1"]).ok(), place.read("task.jsonl").trim_end());
    assert_eq!(place.run(&["verify", "task.jsonl"]).code, 3);
    let keys = get(&server.url, "/.well-known/jwks.json");
    place.write("jwks.json", &keys);
    let verified = place.run(&["verify", "task.jsonl", "--key", "jwks.json"]).ok();
    assert!(verified.starts_with("verified: events 1 to 5 of task_"), "{verified}");

    place.write("receipt.json", &place.run(&["task", "receipt", "key:digest-1"]).ok());
    assert_eq!(place.run(&["verify", "receipt.json", "--key", "jwks.json"]).code, 0);
    place.write("altered.jsonl", &place.read("task.jsonl").replace("\"result\":2", "\"result\":4"));
    let altered = place.run(&["verify", "altered.jsonl", "--key", "jwks.json"]);
    expect![[r#"
        error: altered.jsonl does not verify
          cause: event 1: its payload was altered
          hint: it was changed or damaged after it was written; export it again, or ask whoever gave it to you
    "#]]
    .assert_eq(&altered.err);
    assert_eq!(altered.code, 4);
    server.stop();
}

#[test]
fn tasks_are_listed_shown_and_steered() {
    let place = Place::new();
    let _server = place.server(&[]);
    let input = r#"{"wait_for_input":"go"}"#;
    let task =
        place.run(&["task", "start", "mock", "--input", input, "--label", "team=a", "--title", "Wait"]).ok();
    state(&place, &task, "waiting");
    let list = place.run(&["task", "list", "--state", "waiting", "--label", "team=a"]).ok();
    assert!(list.contains(&task) && list.contains("Wait"), "{list}");
    assert!(place.run(&["task", "list", "--label", "team=b"]).err.contains("there are no such tasks"));
    assert!(place.run(&["task", "get", &task]).ok().contains("waits for    the input go"));

    assert!(place.run(&["task", "pause", &task, "--reason", "lunch"]).err.contains("is paused"));
    assert!(place.run(&["task", "pause", &task]).err.contains("is paused"), "pausing twice changes nothing");
    assert!(place.run(&["task", "resume", &task]).err.contains("is waiting"));
    assert_eq!(place.run(&["task", "output", &task]).code, 5);
    place.run(&["task", "input", &task, "go", r#"{"now":true}"#]).ok();
    assert_eq!(place.run(&["task", "get", &task, "--wait", "30s", "--json"]).json()["result"]["now"], true);
    assert_eq!(place.run(&["task", "output", &task]).ok(), r#"{"now":true}"#);

    let endless = place.run(&["task", "start", "mock", "--input", input]).ok();
    state(&place, &endless, "waiting");
    place.run(&["task", "cancel", &endless, "--reason", "enough"]).ok();
    state(&place, &endless, "cancelled");
    assert!(
        place.run(&["task", "cancel", &endless]).err.contains("is cancelled"),
        "cancelling twice changes nothing"
    );
    assert_eq!(place.run(&["task", "follow", &endless]).code, 1);
}

#[test]
fn failed_tasks_are_dead_letters_and_go_on_as_forks() {
    let place = Place::new();
    let _server = place.server(&[]);
    let input = r#"{"steps":[{"name":"good","result":1},{"name":"bad","fail_attempts":9,"error_class":"validation"}]}"#;
    let failed = place.run(&["task", "start", "mock", "--input", input, "--wait", "30s"]);
    assert_eq!(failed.code, 1);
    expect![[r#"
        error: [TASK] failed
          cause: step bad fails in its first 9 tries; this is try 1 (mock_failure)
          hint: everloop task follow [TASK]
    "#]]
    .assert_eq(&place.redact(&failed.err));
    let letters = place.run(&["dead-letters", "list", "--json"]).json();
    let task = letters["id"].as_str().unwrap();
    let redriven = place.run(&["dead-letters", "redrive", task]).ok();
    let fork = place.run(&["task", "get", &redriven, "--wait", "30s", "--json"]);
    assert_eq!(fork.code, 1);
    let fork: serde_json::Value = serde_json::from_str(&fork.out).unwrap();
    assert_eq!(fork["forked_from"]["task"], task);
    let other = place.run(&[
        "task",
        "fork",
        task,
        "--from-step",
        "bad#1",
        "--input",
        r#"{"steps":[{"name":"good","result":1}]}"#,
    ]);
    assert!(other.ok().starts_with("task_"));
}

#[test]
fn the_doctor_is_silent_where_all_is_well_and_names_a_remedy_where_not() {
    let place = Place::new();
    let server = place.server(&[]);
    assert_eq!(place.run(&["doctor"]).ok(), "");
    server.kill();
    let sick = place.run(&["doctor"]);
    assert_eq!(sick.code, 5, "{sick:?}");
    assert!(sick.out.contains("is gone") && sick.out.contains("do this: everloop dev"), "{sick:?}");
}

#[test]
fn a_second_server_in_the_same_folder_is_refused_with_the_name_of_the_first() {
    let place = Place::new();
    let server = place.server(&[]);
    let second = place.run(&["dev", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 5, "{second:?}");
    assert!(
        second.err.contains(&server.child.id().to_string()) && second.err.contains("hint:"),
        "{second:?}"
    );
    let port = server.url.strip_prefix("http://").unwrap();
    let third = place.run(&["dev", "--listen", port, "--data-dir", "other"]);
    assert_eq!(third.code, 5, "{third:?}");
    assert!(third.err.contains(port) && third.err.contains("--listen 127.0.0.1:0"), "{third:?}");
}
