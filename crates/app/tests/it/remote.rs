//! A worker far from its server.

use crate::harness::{Place, eventually};

#[test]
fn a_worker_runs_tasks_of_a_server_that_runs_none_and_outlives_its_restart() {
    let place = Place::new();
    let server = place.server(&["--workers", "0"]);
    let port = server.url.strip_prefix("http://").unwrap().to_owned();
    let worker = place.background(&["worker", "--slots", "2", "--name", "far"], |_| {
        place.log("worker").contains("working for").then(String::new)
    });
    let input = r#"{"steps":[{"name":"one","events":2},{"name":"two"}],"result":"far"}"#;
    let said = place.run(&["task", "start", "mock", "--input", input, "--wait", "30s"]);
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
