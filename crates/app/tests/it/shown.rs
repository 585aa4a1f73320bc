//! What a newcomer looks at: `everloop dev --sample` and `everloop demo --ui`. The dashboard's own tests click through both.

use crate::harness::{Place, eventually, get};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Every task of a server.
fn tasks(url: &str) -> Vec<Value> {
    let page: Value = serde_json::from_str(&get(url, "/api/v1/tasks?limit=100")).unwrap();
    page["items"].as_array().unwrap().clone()
}

fn state(tasks: &[Value], key: &str) -> String {
    let found = tasks.iter().find(|task| task["key"] == key);
    found.map_or_else(String::new, |task| task["state"].as_str().unwrap().to_owned())
}

#[test]
fn the_samples_show_every_state_and_are_there_once() {
    let place = Place::new();
    let server = place.server(&["--sample"]);
    let states = [
        ("sample-digest", "completed"),
        ("sample-tests", "completed"),
        ("sample-translate", "failed"),
        ("sample-deploy", "failed"),
        ("sample-room", "waiting"),
        ("sample-migrate", "paused"),
        ("sample-nightly", "pending"),
        ("sample-train", "queued"),
    ];
    let first = eventually("the samples", || {
        let found = tasks(&server.url);
        let all = states.iter().all(|(key, wanted)| state(&found, key) == *wanted);
        all.then_some(found)
    });
    server.kill();
    let again = place.server(&["--sample"]);
    eventually("the samples, asked for again", || {
        place.log("dev").contains("0 example tasks were submitted").then_some(())
    });
    assert_eq!(tasks(&again.url).len(), first.len());
    assert!(get(&again.url, "/").contains("<title>Everloop</title>"));
}

#[test]
fn the_demo_keeps_its_server_to_look_at_until_it_is_interrupted() {
    let place = Place::new();
    let mut demo = place.command(&["demo", "--ui", "--seed", "13"]).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(demo.stdout.take().unwrap());
    let told = said.lines().map(Result::unwrap).find_map(|line| {
        line.strip_prefix("Look at it in a browser: ").map(|url| url.trim_end_matches('/').to_owned())
    });
    let url = told.expect("where to look");
    assert!(get(&url, "/").contains("<title>Everloop</title>"));
    let task = tasks(&url).remove(0);
    assert_eq!(task["title"], "Measure files");
    assert_eq!(task["state"], "completed");
    assert_eq!(task["lost_attempts"], 1);
    assert_eq!(task["attempt"], 2);
    rustix::process::kill_process(rustix::process::Pid::from_child(&demo), rustix::process::Signal::INT)
        .unwrap();
    let status = eventually("the end of the demo", || demo.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert_eq!(std::fs::read_dir(place.here()).unwrap().count(), 0);
}
