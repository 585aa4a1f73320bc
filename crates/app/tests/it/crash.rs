//! SIGKILL in the middle of many tasks: all of them end, nothing recorded is done twice, every chain verifies.

use crate::harness::{Place, eventually};
use serde_json::Value;
use std::collections::BTreeSet;

const TASKS: usize = 24;
const STEPS: usize = 20;

fn events(place: &Place, task: &str) -> Vec<Value> {
    let text = place.run(&["task", "export", task]).ok();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn killed_in_the_middle_of_many_tasks_everything_goes_on_from_what_was_recorded() {
    let place = Place::new();
    let mut server = place.server(&["--workers", "4"]);
    let step = r#"{"name":"work","duration_ms":20,"events":1}"#;
    let input = format!("{{\"steps\":[{}]}}", [step; STEPS].join(","));
    let tasks: Vec<String> = (0..TASKS)
        .map(|n| place.run(&["task", "start", "mock", "--input", &input, "--key", &format!("k{n}")]).ok())
        .collect();
    for _ in 0..3 {
        // Somebody is in the middle of something.
        eventually("a running task, or the end of all", || {
            let running = place.run(&["task", "list", "--state", "running", "--json"]).ok();
            let left = place.run(&["task", "list", "--state", "queued,pending,running", "--json"]).ok();
            (!running.is_empty() || left.is_empty()).then_some(())
        });
        server.kill();
        server = place.server(&["--workers", "4"]);
    }
    let mut lost = 0;
    for (n, task) in tasks.iter().enumerate() {
        let ended = place.run(&["task", "get", task, "--wait", "60s", "--json"]).json();
        assert_eq!(ended["state"], "completed", "{ended}");
        assert_eq!(ended["steps"], STEPS);
        lost += ended["lost_attempts"].as_u64().unwrap();
        // The caller's key still stands for the same task.
        let again = place.run(&["task", "start", "mock", "--input", &input, "--key", &format!("k{n}")]).ok();
        assert_eq!(&again, task);
        let file = format!("{task}.jsonl");
        place.run(&["task", "export", task, "--output", &file]).ok();
        let verified = place.run(&["verify", &file, "--json"]);
        assert_eq!(verified.code, 3, "{verified:?}");
        let mut recorded = BTreeSet::new();
        for event in events(&place, task).iter().filter(|event| event["type"] == "step.completed") {
            let step = event["data"]["step"].as_str().unwrap().to_owned();
            assert!(recorded.insert(step), "a recorded step ran again: {event}");
        }
        assert_eq!(recorded.len(), STEPS);
    }
    assert!(lost > 0, "no kill hit anything");
    server.stop();
}
