//! Servers and workers for others than oneself.

use crate::harness::{Place, eventually, said};

#[test]
fn a_worker_runs_tasks_of_a_server_that_runs_none_and_outlives_its_restart() {
    let place = Place::new();
    let server = place.server(&["--workers", "0"]);
    let port = server.url.strip_prefix("http://").unwrap().to_owned();
    let worker = place.background(&["worker", "--slots", "2", "--name", "far"], |_| {
        place.log("worker").contains("working for").then(String::new)
    });
    let input = r#"{"steps":[{"name":"one","events":2},{"name":"two"}],"result":"far"}"#;
    // It says that it works before the server has heard of it.
    let said = eventually("the worker is known", || {
        let said = place.run(&["task", "start", "mock", "--input", input, "--wait", "30s"]);
        (!said.err.contains("unknown_kind")).then_some(said)
    });
    assert_eq!(said.ok(), r#""far""#);
    let waiting = place.run(&["task", "start", "mock", "--input", r#"{"wait_for_input":"go"}"#]).ok();
    eventually("the wait", || {
        (place.run(&["task", "get", &waiting, "--json"]).json()["state"] == "waiting").then_some(())
    });
    server.kill();
    let _server = place.server(&["--workers", "0", "--listen", &port]);
    place.run(&["task", "input", &waiting, "go", "5"]).ok();
    assert_eq!(place.run(&["task", "get", &waiting, "--wait", "30s", "--json"]).json()["result"], 5);
    worker.stop();
}

#[test]
fn serve_asks_for_the_key_that_its_folder_holds() {
    let place = Place::new();
    let server = place.background(&["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"], |child| {
        let server: serde_json::Value =
            serde_json::from_str(&place.read_if_there("data/server.json")?).ok()?;
        (server["pid"] == child.id()).then(|| server["url"].as_str().unwrap().to_owned())
    });
    let refused = place.run(&["task", "list", "--url", &server.url]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.err.contains("unauthorized") && refused.err.contains("--api-key-file"), "{refused:?}");
    let named =
        ["task", "start", "mock", "--wait", "30s", "--url", &server.url, "--api-key-file", "data/api-key"];
    assert_eq!(place.run(&named).ok(), "null");
    // Commands run without a sandbox: not for whoever has a key of a server.
    let shell = [
        "task",
        "start",
        "shell",
        "--input",
        r#"{"command":["true"]}"#,
        "--url",
        &server.url,
        "--api-key-file",
        "data/api-key",
    ];
    let refused = place.run(&shell);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(
        refused.err.contains("not_granted") && refused.err.contains("--unsafe-no-sandbox"),
        "{refused:?}"
    );
    // Whoever may read the folder finds both address and key in it.
    let found = said(place.command(&["task", "list", "--json"]).env("EVERLOOP_DATA_DIR", "data"));
    assert_eq!(found.json()["kind"], "mock");
    let wrong =
        said(place.command(&["task", "list", "--url", &server.url]).env("EVERLOOP_API_KEY", "evl_wrong"));
    assert_eq!(wrong.code, 5, "{wrong:?}");
    server.stop();
}
