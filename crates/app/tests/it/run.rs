//! `everloop run`: with a running server, with an embedded one, and after a crash.

use crate::harness::{Place, eventually, lines};

#[test]
fn output_and_exit_code_are_the_commands_own() {
    let place = Place::new();
    let _server = place.server(&[]);
    let said = place.run(&["run", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (7, "out\n", "err\n"));
    let killed = place.run(&["run", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.code, 128 + 15, "{killed:?}");
    let task = place.run(&["task", "list", "--kind", "shell", "--oldest", "--limit", "1", "--json"]).json();
    let logs = place.run(&["task", "logs", task["id"].as_str().unwrap()]);
    assert_eq!((logs.code, logs.out.as_str(), logs.err.as_str()), (0, "out\n", "err\n"));
    let missing = place.run(&["run", "--", "no-such-command"]);
    assert_eq!(missing.code, 125, "{missing:?}");
    let folder = place.run(&["run", "--", "pwd"]).ok();
    assert_eq!(std::path::Path::new(&folder).canonicalize().unwrap(), place.here().canonicalize().unwrap());
    let mut command =
        place.command(&["run", "--env", "MARK", "--", "sh", "-c", "echo $MARK-$EVERLOOP_DATA_DIR"]);
    assert_eq!(crate::harness::said(command.env("MARK", "given")).ok(), "given-");
}

#[test]
fn without_a_server_there_is_one_for_a_while_and_a_key_gives_the_stored_result() {
    let place = Place::new();
    let arguments = ["run", "--key", "once", "--", "sh", "-c", "echo ran >> effects; echo done; exit 3"];
    let first = place.run(&arguments);
    assert_eq!((first.code, first.out.as_str(), first.err.as_str()), (3, "done\n", ""));
    let second = place.run(&arguments);
    assert_eq!((second.code, second.out.as_str()), (3, "done\n"));
    assert!(second.err.contains("exists already and is failed"), "{second:?}");
    assert_eq!(lines(&place.here().join("effects")), ["ran"]);
    assert!(!place.here().join(".everloop/server.json").exists(), "the embedded server is gone");
    let conflict = place.run(&["run", "--key", "once", "--", "true"]);
    assert_eq!(conflict.code, 125);
    assert!(conflict.err.contains("idempotency_conflict"), "{conflict:?}");
}

#[test]
fn a_command_that_a_crash_cut_off_is_put_to_its_caller() {
    let place = Place::new();
    let server = place.server(&[]);
    let script = "echo begun >> effects; test -f go || sleep 600; echo ended";
    let arguments = ["run", "--key", "cut", "--", "sh", "-c", script];
    let mut caller = place
        .command(&arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the command", || (lines(&place.here().join("effects")).len() == 1).then_some(()));
    server.kill();
    caller.kill().unwrap();
    caller.wait().unwrap();
    place.write("go", "");
    let _server = place.server(&[]);
    let asked = place.run(&arguments);
    assert_eq!(asked.code, 125, "{asked:?}");
    assert!(
        asked.err.contains("nobody knows how far it got") && asked.err.contains("--on-unknown rerun"),
        "{asked:?}"
    );
    let mut decided = vec!["run", "--on-unknown", "rerun"];
    decided.extend(&arguments[1..]);
    let rerun = place.run(&decided);
    assert_eq!((rerun.code, rerun.out.as_str()), (0, "ended\n"), "{rerun:?}");
    assert_eq!(lines(&place.here().join("effects")).len(), 2);
}
