//! Requests that a server refuses: what it says reaches whoever typed the command.

use crate::harness::Place;
use crate::wrong::check;
use expect_test::expect;

#[test]
fn refused_by_a_server() {
    let place = Place::new();
    let _server = place.server(&[]);
    place.run(&["task", "start", "mock", "--key", "ended", "--wait", "30s"]).ok();
    place.run(&["task", "start", "mock", "--key", "waits", "--input", r#"{"wait_for_input":"go"}"#]).ok();
    crate::harness::eventually("the wait", || {
        (place.run(&["task", "get", "key:waits", "--json"]).json()["state"] == "waiting").then_some(())
    });
    check(
        &place,
        &[
            (
                &["task", "get", "task_01h2xcejqtf2nbrexx3vqjhp41"],
                expect![[r#"
            exit 5
            error: there is nothing here
              cause: there is no task [TASK] (not_found)
              hint: everloop explain not_found
        "#]],
            ),
            (
                &["task", "get", "key:none"],
                expect![[r#"
            exit 5
            error: there is nothing here
              cause: there is no task with the key "none" (not_found)
              hint: everloop explain not_found
        "#]],
            ),
            (
                &["task", "get", "nonsense"],
                expect![[r#"
            exit 5
            error: there is nothing here
              cause: there is no task "nonsense" (not_found)
              hint: name a task by its id, task_…, or by its key: key:digest-1
        "#]],
            ),
            (
                &["task", "start", "nokind"],
                expect![[r#"
            exit 5
            error: nothing here runs this kind of task
              cause: kind: "nokind" is unknown, known are http, mcp, mock, shell (unknown_kind)
              hint: start a worker that offers it to make it known
        "#]],
            ),
            (
                &["task", "start", "mock", "--input", "{\"stops\":[]}"],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: input: not a script: unknown field `stops`, expected one of `steps`, `result`, `wait_for_input` at line 1 column 8 (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["task", "start", "mock", "--queue", "No Queue"],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: queue: must be 1 to 64 characters of a-z, 0-9, `.`, `_` and `-`, and begin with a letter or digit (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["task", "start", "mock", "--key", ""],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: key: must be 1 to 200 characters, without control characters (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["task", "start", "mock", "--key", "ended", "--input", "{}"],
                expect![[r#"
            exit 5
            error: the key was used for another request
              cause: the key stands for task [TASK], which was submitted with another request (idempotency_conflict)
              hint: use another key, or send the same request
        "#]],
            ),
            (
                &["task", "cancel", "key:ended"],
                expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be cancelled (illegal_transition)
              hint: the task has ended: nothing is left to cancel
        "#]],
            ),
            (
                &["task", "pause", "key:ended"],
                expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be paused (illegal_transition)
              hint: only a task that is live and not being cancelled can be paused
        "#]],
            ),
            (
                &["task", "resume", "key:ended"],
                expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be resumed (illegal_transition)
              hint: only a paused task can be resumed
        "#]],
            ),
            (
                &["task", "input", "key:ended", "go"],
                expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be sent an input (illegal_transition)
              hint: the task has ended: fork it to go on
        "#]],
            ),
            (
                &["task", "decide", "key:ended", "ask#1", "yes"],
                expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be decided about (illegal_transition)
              hint: the task has ended
        "#]],
            ),
            (
                &["task", "fork", "key:ended", "--from-step", "none"],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: from_step: is not a step of the task; it has recorded none (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["task", "output", "key:waits"],
                expect![[r#"
                    exit 5
                    error: the task has not finished
                      cause: task [TASK] is waiting (not_finished)
                      hint: wait for its end: everloop task get TASK --wait 60s
                "#]],
            ),
            (
                &["task", "receipt", "key:waits"],
                expect![[r#"
                    exit 5
                    error: the task has not finished
                      cause: task [TASK] is waiting (not_finished)
                      hint: wait for its end: everloop task get TASK --wait 60s
                "#]],
            ),
            (
                &["task", "fork", "key:waits", "--key", "ended"],
                expect![[r#"
            exit 5
            error: the key was used for another request
              cause: the key stands for task [TASK], which was submitted with another request (idempotency_conflict)
              hint: use another key, or send the same request
        "#]],
            ),
            (
                &["dead-letters", "redrive", "key:ended"],
                expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be redriven (illegal_transition)
              hint: only a failed or cancelled task is redriven; any task can be forked
        "#]],
            ),
            (
                &["task", "list", "--parent", "x"],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: parent: must be the id of a task (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["task", "start", "shell"],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: input: needed: {"argv": ["echo", "hello"]} (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["task", "start", "shell", "--input", "{}"],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: input: give argv (a list) or script (a text) (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["task", "start", "http", "--input", "{\"url\":\"http://example.com/\"}"],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: policy.profile.hosts: host example.com is not granted: add "example.com" to policy.profile.hosts (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["task", "start", "mock", "--after", "task_01h2xcejqtf2nbrexx3vqjhp41"],
                expect![[r#"
            exit 5
            error: the request is not valid
              cause: depends_on[0].task: there is no task [TASK]: submit the prerequisite first (invalid_request)
              hint: everloop explain invalid_request
        "#]],
            ),
            (
                &["dev"],
                expect![[r#"
                    exit 5
                    error: another process (pid [PID] at http://127.0.0.1:[PORT]) has .everloop/everloop.db
                      hint: use the server that runs, stop it, or choose another folder with --data-dir
                "#]],
            ),
        ],
    );
}
