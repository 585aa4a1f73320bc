//! What is left of commands when the server dies without a word, and how much memory a flood takes.
//!
//! The server is this test binary, started again for the test `helper` alone.

use crate::harness::{Setup, start_with};
use crate::shell::{Place, gone, pids, runs, script, shell_at};
use everloop_exec::shell::{Reaped, reap_leftovers};
use everloop_worker::source::AttemptEnd;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MODE: &str = "EVERLOOP_TEST_HELPER";
const ROOT: &str = "EVERLOOP_TEST_ROOT";
const SCRIPT: &str = "EVERLOOP_TEST_SCRIPT";

/// Not a test by itself: the server of the others.
#[tokio::test]
async fn helper() {
    let Ok(mode) = std::env::var(MODE) else { return };
    let shell = shell_at(Path::new(&std::env::var(ROOT).unwrap()));
    let mut spec = script(&std::env::var(SCRIPT).unwrap());
    let mut setup = Setup::default();
    if mode == "flood" {
        spec.policy.profile.output_bytes = Some(1 << 28);
        setup.keeps_logs = false;
        setup.delay = Duration::from_millis(1);
        // What is there once is not counted: buffers of the runtime, and code that was not run before.
        let first = start_with(
            shell.clone(),
            script("seq 1 100000"),
            Setup { keeps_logs: false, ..Setup::default() },
        );
        first.end().await;
    }
    let before = resident();
    let attempt = start_with(shell, spec, setup);
    let end = attempt.end().await;
    assert!(matches!(end, AttemptEnd::Completed { .. }), "{end:?}");
    let growth = resident().1.saturating_sub(before.0);
    println!("growth: {growth} KiB");
    assert!(growth < 16 * 1024, "{growth} KiB");
}

/// Kibibytes that this process holds now, and the most that it ever held.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn helper_process(mode: &str, place: &Place, script: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::helper", "--nocapture"])
        .env(MODE, mode)
        .env(ROOT, place.root())
        .env(SCRIPT, script)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A tree that does not want to end: the command, a child in its group, and a daemon in a session of its own.
fn stubborn(file: &Path) -> String {
    format!(
        "trap '' TERM HUP; echo $PPID >> {0}; echo $$ >> {0}; sh -c 'echo $$ >> {0}; while :; do sleep 1; done' & \
         setsid sh -c '(sh -c \"echo \\$PPID\" >> {0}; while :; do sleep 1; done) & exit 0'; while :; do sleep 1; done",
        file.display()
    )
}

fn folders(place: &Place) -> usize {
    std::fs::read_dir(place.root()).map_or(0, Iterator::count)
}

/// What the guard has written down about the only command there is.
fn recorded(place: &Place) -> String {
    let folder = std::fs::read_dir(place.root()).unwrap().next().unwrap().unwrap();
    std::fs::read_to_string(folder.path().join("group")).unwrap()
}

#[tokio::test]
async fn a_killed_server_takes_its_commands_along() {
    let place = Place::new();
    let file = place.path("pids");
    let mut server = helper_process("server", &place, &stubborn(&file));
    let pids = pids(&file, 4).await;
    assert!(pids.iter().all(|pid| runs(*pid)));
    server.kill().unwrap();
    server.wait().unwrap();
    // The grace of orphans is five seconds.
    gone(&pids, Duration::from_secs(8)).await;
    assert_eq!(folders(&place), 0);
}

#[tokio::test]
async fn a_starting_server_does_not_wait_for_the_grace() {
    let place = Place::new();
    let file = place.path("pids");
    let mut server = helper_process("server", &place, &stubborn(&file));
    let pids = pids(&file, 4).await;
    server.kill().unwrap();
    server.wait().unwrap();
    let begin = Instant::now();
    assert_eq!(reap_leftovers(&place.root()).commands, 1);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    gone(&pids, Duration::ZERO).await;
    assert_eq!(folders(&place), 0);
}

#[tokio::test]
async fn what_outlived_its_guard_too_is_found_by_the_next_server() {
    let place = Place::new();
    let file = place.path("pids");
    let text =
        format!("echo $PPID >> {0}; echo $$ >> {0}; sh -c 'echo $$ >> {0}; sleep 600'; true", file.display());
    let mut server = helper_process("server", &place, &text);
    let pids = pids(&file, 3).await;
    while !recorded(&place).contains(&format!("\"command\":[{}", pids[1])) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The server must not see that its guard is gone.
    kill(i32::try_from(server.id()).unwrap(), Signal::STOP);
    kill(pids[0], Signal::KILL);
    server.kill().unwrap();
    server.wait().unwrap();
    gone(&pids[..1], Duration::from_secs(1)).await;
    assert!(runs(pids[1]) && runs(pids[2]));
    assert_eq!(reap_leftovers(&place.root()), Reaped { commands: 1, folders: 1 });
    gone(&pids, Duration::ZERO).await;
    assert_eq!((folders(&place), reap_leftovers(&place.root())), (0, Reaped::default()));
}

#[tokio::test]
async fn a_gibibyte_of_output_takes_little_memory() {
    let place = Place::new();
    let mut server = helper_process("flood", &place, "head -c 1073741824 /dev/zero | tr '\\0' a");
    let status = tokio::task::spawn_blocking(move || server.wait().unwrap()).await.unwrap();
    assert!(status.success());
}
