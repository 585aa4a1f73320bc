//! The kind `shell`, with real commands under a real guard.

use crate::harness::{Attempt, PATIENCE, Setup, completed, failed, spec, start, start_unchecked, start_with};
use everloop_exec::shell::{Shell, ShellOptions};
use everloop_types::error::Code;
use everloop_types::event::EventBody;
use everloop_types::task::TaskSpec;
use everloop_worker::executor::Executor;
use everloop_worker::source::AttemptEnd;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// A root for folders of attempts, and a place beside it that commands may write to.
pub(crate) struct Place {
    place: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { place: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn shell(&self) -> Shell {
        shell_at(&self.root())
    }
}

pub(crate) fn shell_at(root: &Path) -> Shell {
    let mut options = ShellOptions::new(root).unwrap();
    options.allowed = true;
    options.guard = env!("CARGO_BIN_EXE_everloop-guard").into();
    Shell::new(options)
}

pub(crate) fn script(text: &str) -> TaskSpec {
    spec("shell", &json!({"script": text}).to_string())
}

/// Whether a process runs.
pub(crate) fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

/// Waits until a file holds so many process ids.
pub(crate) async fn pids(file: &Path, many: usize) -> Vec<i32> {
    let wait = async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let pids: Vec<i32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
            if pids.len() >= many && text.ends_with('\n') {
                return pids;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the command says who it is")
}

pub(crate) async fn gone(pids: &[i32], within: Duration) {
    let wait = async {
        while pids.iter().any(|pid| runs(*pid)) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let done = timeout(within, wait).await;
    assert!(done.is_ok(), "still there: {:?}", pids.iter().filter(|pid| runs(**pid)).collect::<Vec<_>>());
}

/// Nothing is left of any attempt.
pub(crate) async fn ends_soon(place: &Place) {
    let empty = || std::fs::read_dir(place.root()).map_or(true, |mut entries| entries.next().is_none());
    let wait = async {
        while !empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.expect("the folders go");
}

pub(crate) fn is_empty(place: &Place) -> bool {
    std::fs::read_dir(place.root()).unwrap().next().is_none()
}

#[tokio::test]
async fn a_command_is_one_step_with_its_output() {
    let place = Place::new();
    let attempt = start(place.shell(), script("echo out; echo err >&2; pwd"));
    let result = completed(attempt.end().await);
    assert!(result["duration_ms"].as_u64().unwrap() < 10_000);
    let work = attempt.text("stdout").lines().nth(1).unwrap().to_owned();
    assert!(work.starts_with(place.root().canonicalize().unwrap().to_str().unwrap()), "{work}");
    let bytes = 4 + work.len() as u64 + 1;
    assert_eq!(
        (&result["exit_code"], &result["stdout_bytes"], &result["stderr_bytes"]),
        (&json!(0), &json!(bytes), &json!(4))
    );
    assert_eq!(attempt.text("stderr"), "err\n");
    assert!(is_empty(&place) && !Path::new(&work).exists());
    let counts = attempt.counts();
    assert_eq!((counts["step.started"], counts["step.completed"]), (1, 1));
    assert!(matches!(&attempt.events()[0], EventBody::StepStarted(step) if step.kind == "shell"));
}

#[tokio::test]
async fn a_recorded_command_is_not_run_again_and_one_cut_off_is_asked_about() {
    let place = Place::new();
    let text = format!("echo run >> {}", place.path("effect").display());
    let first = start(place.shell(), script(&text));
    let result = completed(first.end().await);
    let setup = Setup { attempt: 2, journal: first.events(), ..Setup::default() };
    assert_eq!(completed(start_with(place.shell(), script(&text), setup).end().await), result);
    let started: Vec<_> =
        first.events().into_iter().filter(|event| matches!(event, EventBody::StepStarted(_))).collect();
    let setup = Setup { attempt: 2, journal: started, ..Setup::default() };
    assert!(matches!(
        start_with(place.shell(), script(&text), setup).end().await,
        AttemptEnd::Waiting { .. }
    ));
    assert_eq!(std::fs::read_to_string(place.path("effect")).unwrap(), "run\n");
}

#[tokio::test]
async fn it_ends_as_the_command_ends() {
    let place = Place::new();
    for (text, code, class, details) in [
        ("exit 1", "exit_status", "validation", json!({"exit_code": 1})),
        ("exit 255", "exit_status", "validation", json!({"exit_code": 255})),
        ("no-such-command-anywhere", "exit_status", "validation", json!({"exit_code": 127})),
        ("kill -9 $$", "exit_signal", "transient", json!({"signal": 9})),
        ("kill -SEGV $$", "exit_signal", "transient", json!({"signal": 11})),
    ] {
        let (found, found_class, found_details, _) = failed(start(place.shell(), script(text)).end().await);
        assert_eq!((found.as_str(), found_class.as_str(), found_details), (code, class, details), "{text}");
    }
    let cwd = place.path("missing");
    let plain = place.path("plain");
    std::fs::write(&plain, "").unwrap();
    for (input, words) in [
        (json!({"argv": ["no-such-command-anywhere"]}), "there is no command"),
        (json!({"argv": ["true"], "env": {"PATH": "/nowhere"}}), "PATH is \"/nowhere\""),
        (json!({"argv": ["true"], "cwd": cwd}), "there is no folder"),
        (json!({"argv": [plain]}), "chmod +x"),
    ] {
        let (code, class, _, message) =
            failed(start(place.shell(), spec("shell", &input.to_string())).end().await);
        assert_eq!((code.as_str(), class.as_str()), ("command_not_started", "validation"), "{input}");
        assert!(message.contains(words), "{message}");
    }
    assert!(is_empty(&place));
}

#[tokio::test]
async fn the_environment_is_cleared_to_a_list() {
    let place = Place::new();
    let names = |attempt: &Attempt| {
        let text = attempt.text("stdout");
        text.lines()
            .map(|line| line.split_once('=').unwrap().0.to_owned())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let attempt = start(place.shell(), spec("shell", r#"{"argv":["env"]}"#));
    completed(attempt.end().await);
    assert_eq!(names(&attempt), ["HOME", "LANG", "PATH", "TERM"].map(str::to_owned).into());
    let input = json!({"argv": ["env"], "env": {"A": "b=c", "HOME": "/h"}});
    let attempt = start(place.shell(), spec("shell", &input.to_string()));
    completed(attempt.end().await);
    let text = attempt.text("stdout");
    assert!(text.contains("A=b=c\n") && text.contains("HOME=/h\n"), "{text}");
    // No descriptor of the server's is passed on, also none that it was given itself.
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(place.path("secret"))
        .unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let attempt = start(place.shell(), spec("shell", r#"{"argv":["ls","-l","/proc/self/fd"]}"#));
    completed(attempt.end().await);
    let text = attempt.text("stdout");
    let open = text.lines().filter(|line| line.contains(" -> ") && !line.contains("/proc/")).count();
    assert_eq!(open, 3, "{text}");
}

#[tokio::test]
async fn a_folder_of_the_callers_is_used_and_kept() {
    let place = Place::new();
    let cwd = place.path("mine");
    std::fs::create_dir(&cwd).unwrap();
    let input = json!({"script": "pwd; echo a > made; cat", "cwd": cwd, "stdin": "fed"});
    let attempt = start(place.shell(), spec("shell", &input.to_string()));
    completed(attempt.end().await);
    assert_eq!(attempt.text("stdout"), format!("{}\nfed", cwd.canonicalize().unwrap().display()));
    assert_eq!(std::fs::read_to_string(cwd.join("made")).unwrap(), "a\n");
    assert_eq!(std::fs::read_dir(&cwd).unwrap().count(), 1);
    assert!(is_empty(&place));
}

#[tokio::test]
async fn stdin_is_given_and_ends_and_need_not_be_read() {
    let place = Place::new();
    let text = "x".repeat(200_000);
    for argv in [json!(["wc", "-c"]), json!(["true"])] {
        let input = json!({"argv": argv, "stdin": text});
        let attempt = start(place.shell(), spec("shell", &input.to_string()));
        completed(attempt.end().await);
        if argv[0] == "wc" {
            assert_eq!(attempt.text("stdout").trim(), "200000");
        }
    }
    let attempt = start(place.shell(), spec("shell", r#"{"argv":["cat"]}"#));
    assert_eq!(completed(attempt.end().await)["stdout_bytes"], 0);
}

#[tokio::test]
async fn a_daemon_that_holds_stdout_does_not_delay_the_end_and_is_gone_after_it() {
    let place = Place::new();
    let file = place.path("pids");
    // One of them stays in the group, one leaves it with a session of its own and is nobody's child, and neither wants to end.
    let text = format!(
        "(trap '' TERM; sh -c 'echo $PPID' >> {0}; while :; do sleep 1; done) & \
         setsid sh -c '(trap \"\" TERM HUP; sh -c \"echo \\$PPID\" >> {0}; while :; do sleep 1; done) & exit 0'; \
         while [ $(wc -l < {0}) -lt 2 ]; do sleep 0.01; done; echo main",
        file.display()
    );
    let begin = Instant::now();
    let attempt = start(place.shell(), script(&text));
    completed(attempt.end().await);
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(attempt.text("stdout"), "main\n");
    gone(&pids(&file, 2).await, Duration::ZERO).await;
    assert!(is_empty(&place));
}

#[tokio::test]
async fn a_cancelled_command_may_clean_up() {
    let place = Place::new();
    let file = place.path("pids");
    let text =
        format!("trap 'echo bye; exit 0' TERM; echo $$ > {}; while :; do sleep 0.1; done", file.display());
    let attempt = start(place.shell(), script(&text));
    let pids = pids(&file, 1).await;
    let begin = Instant::now();
    attempt.cancel(20_000);
    assert_eq!(attempt.end().await, AttemptEnd::Cancelled);
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(attempt.text("stdout"), "bye\n");
    gone(&pids, Duration::ZERO).await;
    assert!(is_empty(&place));
}

#[tokio::test]
async fn who_does_not_hear_term_is_killed_after_the_grace_with_the_whole_tree() {
    let place = Place::new();
    for case in ["cancel", "timeout"] {
        let file = place.path(case);
        let text = format!(
            "trap '' TERM; echo $$ >> {0}; setsid sh -c 'echo $$ >> {0}; (echo a; exec sleep 600) & sleep 600' & \
             while :; do sleep 0.1; done",
            file.display()
        );
        let mut spec = script(&text);
        if case == "timeout" {
            (spec.policy.timeout_ms, spec.policy.grace_ms) = (Some(1_000), Some(1_000));
        }
        let begin = Instant::now();
        let attempt = start(place.shell(), spec);
        let pids = pids(&file, 2).await;
        assert!(pids.iter().all(|pid| runs(*pid)));
        let mut grace = Duration::from_millis(1_750);
        if case == "cancel" {
            attempt.cancel(1_000);
            grace = Duration::from_millis(700);
        }
        let end = attempt.end().await;
        match case {
            "cancel" => assert_eq!(end, AttemptEnd::Cancelled),
            _ => assert_eq!(failed(end).0, "timeout"),
        }
        let took = begin.elapsed();
        assert!(took >= grace && took < Duration::from_secs(4), "{case}: {took:?}");
        // The whole story is told before the grace is over: how the command ended, and that nothing is left.
        assert_eq!(attempt.counts()["step.failed"], 1, "{case}");
        gone(&pids, Duration::from_millis(100)).await;
        ends_soon(&place).await;
    }
}

#[tokio::test]
async fn a_stopped_command_hears_term_too() {
    let place = Place::new();
    let file = place.path("pids");
    let attempt =
        start(place.shell(), script(&format!("echo $$ > {}; kill -STOP $$; echo on", file.display())));
    let pids = pids(&file, 1).await;
    sleep(Duration::from_millis(100)).await;
    let begin = Instant::now();
    attempt.cancel(20_000);
    assert_eq!(attempt.end().await, AttemptEnd::Cancelled);
    assert!(begin.elapsed() < Duration::from_secs(3));
    gone(&pids, Duration::ZERO).await;
}

#[tokio::test]
async fn a_dropped_attempt_leaves_nothing() {
    let place = Place::new();
    let file = place.path("pids");
    let text =
        format!("echo $$ >> {0}; setsid sh -c 'echo $$ >> {0}; sleep 600' & sleep 600", file.display());
    let mut attempt = start(place.shell(), script(&text));
    let pids = pids(&file, 2).await;
    attempt.kill().await;
    gone(&pids, Duration::from_secs(3)).await;
    ends_soon(&place).await;
}

#[tokio::test]
async fn a_killed_guard_takes_its_session_along() {
    let place = Place::new();
    let file = place.path("pids");
    let text = format!("echo $PPID >> {0}; echo $$ >> {0}; sleep 600", file.display());
    let attempt = start(place.shell(), script(&text));
    let pids = pids(&file, 2).await;
    let guard = rustix::process::Pid::from_raw(pids[0]).unwrap();
    rustix::process::kill_process(guard, rustix::process::Signal::KILL).unwrap();
    let (code, ..) = failed(attempt.end().await);
    assert_eq!(code, "exit_signal");
    gone(&pids, Duration::from_secs(1)).await;
    assert!(is_empty(&place));
}

#[tokio::test]
async fn commands_do_not_run_where_they_are_not_allowed() {
    let place = Place::new();
    let shell = || Shell::new(ShellOptions::new(place.root()).unwrap());
    let wrong = shell().check(&script("true")).unwrap_err();
    assert_eq!(wrong.code, Code::NotGranted);
    assert!(wrong.detail.contains("--unsafe-no-sandbox"), "{wrong:?}");
    let attempt = start_unchecked(shell(), script("true"), Setup::default());
    assert_eq!(failed(attempt.end().await).0, "not_granted");
    assert!(shell().about().contains("no sandbox"));
}
