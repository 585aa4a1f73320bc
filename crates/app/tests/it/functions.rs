//! Functions as tasks in Rust: the examples, and what is left of them when they and their servers are killed.
#![expect(clippy::disallowed_methods, reason = "the tests run the examples and look at their files")]

use crate::harness::{Place, eventually, said};
use everloop_api::command::InputRequest;
use everloop_client::{Context, Json, Registry, RunError, RunOptions, Runner, Task, TaskError, task};
use everloop_types::state::State;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Steps that can be in flight when a kill comes.
const AT_ONCE: usize = 4;
const COUNT: usize = 40;

/// A number that nobody knows before, below a limit.
fn chance(limit: u64) -> u64 {
    RandomState::new().hash_one(std::process::id()) % limit
}

fn example(place: &Place, name: &str, arguments: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_everloop")).with_file_name("examples").join(name);
    // The environment of a place, for another program.
    let template = place.command(&[]);
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir(place.here()).stdin(Stdio::null());
    for (name, value) in template.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(place: &Place, name: &str, arguments: &[&str]) -> Child {
    example(place, name, arguments).spawn().unwrap()
}

fn finish(child: Child) -> String {
    let said = child.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

/// The server of the folder, as it says itself.
fn server(place: &Place) -> Option<(String, i32)> {
    let text = place.read_if_there(".everloop/server.json")?;
    let server: Value = serde_json::from_str(&text).ok()?;
    Some((server["url"].as_str()?.to_owned(), i32::try_from(server["pid"].as_i64()?).ok()?))
}

fn kill_server(place: &Place) {
    if let Some(pid) = server(place).and_then(|(_, pid)| Pid::from_raw(pid)) {
        // It may be gone already.
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[test]
fn every_example_survives_kills() {
    let spoken = "You said: what does durable mean, and why would an agent that runs for days need it?\n";
    let examples: [(&str, &[&str], &str); 5] = [
        ("hello", &[], "Hello, Ada!\nHello, Grace!\nHello, Barbara!\n"),
        ("parallel_map", &["1000"], "871 takes 178 steps\n"),
        ("children", &[], "7 words\n"),
        ("streaming", &[], spoken),
        ("agent", &["60"], "the last sum was 60\n"),
    ];
    for (name, arguments, said) in examples {
        let place = Place::new();
        let mut child = start(&place, name, arguments);
        for how in ["program", "server", "both"] {
            eventually("a server", || {
                (child.try_wait().unwrap().is_some() || server(&place).is_some()).then_some(())
            });
            std::thread::sleep(Duration::from_millis(chance(400)));
            if how != "program" {
                kill_server(&place);
            }
            if how != "server" {
                // It may have ended already.
                let _ = child.kill();
                child.wait().unwrap();
                child = start(&place, name, arguments);
            }
        }
        assert_eq!(finish(child), said, "{name}");
        assert_eq!(finish(start(&place, name, arguments)), said, "{name} again");
    }
}

#[test]
fn an_approval_waits_for_a_person_through_kills() {
    let place = Place::new();
    let mut child = start(&place, "approval", &[]);
    let asked = || {
        // Nobody may be there to say it.
        let said = place.run(&["--json", "task", "get", "key:invoice-1"]);
        let task: Value = serde_json::from_str(&said.out).ok()?;
        task["open_requests"].get(0).cloned()
    };
    let item = eventually("the question", asked);
    assert_eq!(item, "approve#1");
    child.kill().unwrap();
    kill_server(&place);
    child.wait().unwrap();
    // Nobody is there while the person thinks about it.
    let child = start(&place, "approval", &[]);
    eventually("the same question", || asked().filter(|again| *again == item));
    place.run(&["task", "decide", "key:invoice-1", "approve#1", "approve"]).ok();
    assert!(finish(child).starts_with("120 paid to ACME under "));
}

fn killed_at_random_points(how: &str) {
    let place = Place::new();
    let effects = || place.read_if_there("effects.txt").unwrap_or_default();
    let arguments = ["effects.txt", "40"];
    let mut child = start(&place, "effects", &arguments);
    let mut kills = 0;
    for _ in 0..6 {
        // Until something new was recorded: an attempt that is lost five times without that is poison.
        let before = effects().len();
        eventually("an effect", || {
            (child.try_wait().unwrap().is_some() || effects().len() > before + 130).then_some(())
        });
        std::thread::sleep(Duration::from_millis(chance(150)));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        kills += 1;
        if how != "program" {
            kill_server(&place);
        }
        if how != "server" {
            child.kill().unwrap();
            child.wait().unwrap();
            child = start(&place, "effects", &arguments);
        }
    }
    let said = finish(child);
    assert_eq!(said, format!("result {}\n", COUNT * (COUNT - 1)));
    assert!(kills >= 2, "{kills} kills");
    let lines = effects();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines.lines() {
        *counts.entry(line).or_default() += 1;
    }
    assert_eq!(counts.len(), 2 * COUNT, "effects that were made");
    let again = counts.values().sum::<usize>() - counts.len();
    assert!(again <= kills * AT_ONCE, "{again} effects were made again by {kills} kills");
    // The same key: the stored result, and nothing is done again.
    assert_eq!(finish(start(&place, "effects", &arguments)), said);
    assert_eq!(effects(), lines);
    assert_eq!(std::fs::read_dir(place.here().join(".everloop/workers")).unwrap().count(), 0);
}

#[test]
fn kills_of_a_program_at_random_points_lose_nothing_and_repeat_nothing_that_was_recorded() {
    killed_at_random_points("program");
}

#[test]
fn kills_of_its_server_at_random_points_lose_nothing_and_repeat_nothing_that_was_recorded() {
    killed_at_random_points("server");
}

#[test]
fn kills_of_both_at_random_points_lose_nothing_and_repeat_nothing_that_was_recorded() {
    killed_at_random_points("both");
}

#[test]
fn two_programs_at_once_share_a_server_and_a_task() {
    let place = Place::new();
    let (one, other) =
        (start(&place, "effects", &["effects.txt", "40"]), start(&place, "effects", &["effects.txt", "40"]));
    let (one, other) = (finish(one), finish(other));
    assert_eq!(one, other);
    assert_eq!(place.read("effects.txt").lines().count(), 2 * COUNT);
}

fn options(key: &str) -> RunOptions {
    RunOptions { key: Some(key.to_owned()), ..RunOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_task_fails_again_until_it_is_retried() {
    let place = Place::new();
    let (mended, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_mended, count) = (mended.clone(), begun.clone());
    let failing = task("failing", move |context: Context, name: String| {
        let (is_mended, count) = (is_mended.clone(), count.clone());
        async move {
            context.step("good").run(async { Ok(count.fetch_add(1, Ordering::SeqCst)) }).await?;
            let bad = async {
                let is_mended = is_mended.load(Ordering::SeqCst);
                if is_mended { Ok(name) } else { Err(TaskError::validation("broken", "not mended")) }
            };
            context.step("bad").run(bad).await
        }
    });
    let kinds = Registry::default().with(Arc::new(failing.clone()));
    let runner = Runner::start(kinds, Some(place.here().join(".everloop"))).await.unwrap();
    let input = "Ada".to_owned();
    for is_mended in [false, true] {
        mended.store(is_mended, Ordering::SeqCst);
        let ended = runner.run(&failing, &input, options("failing")).await;
        let Err(RunError::Failed { error, .. }) = ended else { panic!("{ended:?}") };
        assert_eq!(error.code, "broken");
    }
    let again = RunOptions { retry_failed: true, ..options("failing") };
    assert_eq!(runner.run(&failing, &input, again.clone()).await.unwrap(), "Ada");
    assert_eq!(runner.run(&failing, &input, again).await.unwrap(), "Ada");
    // What was recorded was not done again.
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    let other = runner.run(&failing, &"Grace".to_owned(), options("failing")).await;
    assert!(matches!(other, Err(RunError::Client(_))), "{other:?}");
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_has_changed_under_its_task_is_told() {
    let place = Place::new();
    let code = |argument: &'static str| {
        task("changing", move |context: Context, _input: ()| async move {
            context.step("s").args(&argument).run(async { Ok(()) }).await?;
            context.wait_input("go").await
        })
    };
    let start = |code: &Task<(), Json>| {
        let kinds = Registry::default().with(Arc::new(code.clone()));
        Runner::start(kinds, Some(place.here().join(".everloop")))
    };
    let runner = start(&code("one")).await.unwrap();
    let task = runner.client().submit(&code("one").request(&()).unwrap(), None).await.unwrap().task.id;
    let id = task.to_string();
    while runner.client().task(&id, None).await.unwrap().state != State::Waiting {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    runner.stop().await;
    let runner = start(&code("other")).await.unwrap();
    let go = InputRequest { name: "go".to_owned(), data: Json::null(), id: None };
    runner.client().input(&id, &go).await.unwrap();
    let paused = loop {
        let view = runner.client().task(&id, None).await.unwrap();
        if let Some(paused) = view.paused {
            break paused;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(paused.reason, "nondeterminism");
    runner.stop().await;
}

#[test]
fn live_tasks_are_checked_against_the_code_at_hand() {
    let place = Place::new();
    let server = place.server(&[]);
    let mut worker = example(&place, "conformance", &[]).env("EVERLOOP_URL", &server.url).spawn().unwrap();
    let input = r#"{"arg":1,"wait":true}"#;
    eventually("a worker that knows the kind", || {
        let started = place.run(&["task", "start", "kit.mismatch", "--key", "m", "--input", input]);
        (started.code == 0).then_some(())
    });
    eventually("a task that waits", || {
        let said = place.run(&["--json", "task", "get", "key:m"]).json();
        (said["state"] == "waiting").then_some(())
    });
    worker.kill().unwrap();
    worker.wait().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_everloop")).with_file_name("examples").join("conformance");
    let check = ["replay", "--check", "--", program.to_str().unwrap()];
    assert_eq!(place.run(&check).code, 0);
    let changed = said(place.command(&check).env("KIT_ARG", "2"));
    assert_eq!(changed.code, 1, "{changed:?}");
    assert!(changed.out.contains("m#1"), "{changed:?}");
}
