//! Wrong invocations: each says what happened, why, and what to do, with the exit code that the help promises.

use crate::harness::Place;
use expect_test::{Expect, expect};

/// Runs each, and holds what it says against what is written beside it.
pub(crate) fn check(place: &Place, cases: &[(&[&str], Expect)]) {
    for (arguments, wanted) in cases {
        let said = place.run(arguments);
        assert_eq!(said.out, "", "{arguments:?} {said:?}: what is wrong is no data");
        wanted.assert_eq(&format!("exit {}\n{}", said.code, place.redact(&said.err)));
    }
}

#[test]
fn commands_about_tasks() {
    let place = Place::new();
    check(
        &place,
        &[
            (
                &["tsk"],
                expect![[r#"
            exit 2
            error: unrecognized subcommand 'tsk'
              hint: did you mean task?
        "#]],
            ),
            (
                &["foo"],
                expect![[r#"
            exit 2
            error: unrecognized subcommand 'foo'
              hint: everloop --help
        "#]],
            ),
            (
                &["task"],
                expect![[r#"
            exit 2
            Tasks: start, look at and steer them

            Examples:
              everloop task start mock --input '{"steps":[{"name":"one"}]}' --wait 30s
              everloop task list --state failed
              everloop task export task_… --output task.jsonl

            Usage: everloop task [OPTIONS] <COMMAND>

            Commands:
              start    Submit a task; prints its id, or with --wait its result
              list     List tasks, the newest first
              get      Show a task as it stands
              follow   Watch a task to its end
              logs     What a task wrote
              cancel   End a task
              pause    Let a task stand still at its next step
              resume   Let a paused task go on
              fork     A new task that begins with recorded steps of this one
              input    Send something to a task that waits for it
              decide   Answer a question of a task
              output   The result of a finished task
              export   All events, and the receipt last, as lines of JSON that anyone can verify
              receipt  The signed receipt of a finished task

            Options:
              -h, --help  Print help

            Everywhere:
                  --json                 Answer as JSON
              -q, --quiet                Say nothing but the answer
                  --config <FILE>        The configuration file; ./everloop.toml where there is one
                  --url <URL>            The server to talk to; the one that is found when not given
                  --api-key-file <FILE>  A file with the API key
        "#]],
            ),
            (
                &["task", "lst"],
                expect![[r#"
            exit 2
            error: unrecognized subcommand 'lst'
              hint: did you mean list?
        "#]],
            ),
            (
                &["task", "get"],
                expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <TASK>
              hint: everloop task get --help
        "#]],
            ),
            (
                &["task", "get", "a", "b"],
                expect![[r#"
            exit 2
            error: unexpected argument 'b' found
              hint: everloop task get --help
        "#]],
            ),
            (
                &["task", "start"],
                expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <KIND>
              hint: everloop task start --help
        "#]],
            ),
            (
                &["task", "start", "Mock"],
                expect![[r#"
            exit 2
            error: "Mock" can't be a kind of task
              cause: a kind is made of lower-case letters, digits, dots, dashes and underscores
              hint: everloop task start mock
        "#]],
            ),
            (
                &["task", "start", "mock", "--inptu", "{}"],
                expect![[r#"
            exit 2
            error: unexpected argument '--inptu' found
              hint: did you mean --input?
        "#]],
            ),
            (
                &["task", "start", "mock", "--input", "{a:1}"],
                expect![[r#"
            exit 2
            error: --input is not JSON that can be stored
              cause: $: this is not JSON: the name of a member was expected, in double quotes (byte 1)
              hint: put texts into double quotes and the whole into single ones: '{"name": "value"}'
        "#]],
            ),
            (
                &["task", "start", "mock", "--input", "{\"a\":1,\"a\":2}"],
                expect![[r#"
            exit 2
            error: --input is not JSON that can be stored
              cause: $.a: the object has this member twice; keep one of them (byte 7)
              hint: change the value there, or send it as a text
        "#]],
            ),
            (
                &["task", "start", "mock", "--input-file", "none.json"],
                expect![[r#"
            exit 2
            error: none.json can't be read
              cause: No such file or directory (os error 2)
              hint: --input-file FILE, or - for standard input
        "#]],
            ),
            (
                &["task", "start", "mock", "--input", "{}", "--input-file", "x"],
                expect![[r#"
            exit 2
            error: the argument '--input <JSON>' cannot be used with '--input-file <FILE>'
              hint: everloop task start --help
        "#]],
            ),
            (
                &["task", "start", "mock", "--wait", "5"],
                expect![[r#"
            exit 2
            error: invalid value '5' for '--wait <TIME>'
              cause: a time is a number and ms, s, m, h or d, such as 30s
              hint: everloop task start --help
        "#]],
            ),
            (
                &["task", "start", "mock", "--priority", "101"],
                expect![[r#"
            exit 2
            error: invalid value '101' for '--priority <PRIORITY>'
              cause: 101 is not in -100..=100
              hint: everloop task start --help
        "#]],
            ),
            (
                &["task", "start", "mock", "--tries", "0"],
                expect![[r#"
            exit 2
            error: invalid value '0' for '--tries <N>'
              cause: 0 is not in 1..=4294967295
              hint: everloop task start --help
        "#]],
            ),
            (
                &["task", "start", "mock", "--label", "team"],
                expect![[r#"
            exit 2
            error: --label is not right
              cause: "team" has no =
              hint: --label team=search
        "#]],
            ),
            (
                &["task", "start", "mock", "--after", "digest-1"],
                expect![[r#"
            exit 2
            error: --after is not right
              cause: "digest-1" is not an id of the form task_ and 26 characters
              hint: name a task by its id: task_…
        "#]],
            ),
            (
                &["task", "start", "mock", "--at", "tomorrow"],
                expect![[r#"
            exit 2
            error: --at is not right
              cause: "tomorrow" is no time
              hint: --at 2026-01-31T08:30:00Z
        "#]],
            ),
            (
                &["task", "start", "mock", "--on-unknown", "pray"],
                expect![[r#"
            exit 2
            error: invalid value 'pray' for '--on-unknown <WHAT>'
              cause: it is one of rerun, verify, ask, fail
              hint: everloop task start --help
        "#]],
            ),
            (
                &["task", "start", "mock", "--wait", "5s", "--follow"],
                expect![[r#"
            exit 2
            error: the argument '--wait <TIME>' cannot be used with '--follow'
              hint: everloop task start --help
        "#]],
            ),
            (
                &["task", "list", "--state", "runing"],
                expect![[r#"
            exit 2
            error: there is no state "runing"
              hint: did you mean running?
        "#]],
            ),
            (
                &["task", "list", "--state", "xyz"],
                expect![[r#"
            exit 2
            error: there is no state "xyz"
              hint: one of pending, queued, running, waiting, pausing, paused, cancelling, completed, failed, cancelled
        "#]],
            ),
            (
                &["task", "list", "--limit", "0"],
                expect![[r#"
            exit 2
            error: invalid value '0' for '--limit <N>'
              cause: 0 is not in 1..=4294967295
              hint: everloop task list --help
        "#]],
            ),
            (
                &["task", "follow", "x", "--after", "-1"],
                expect![[r#"
            exit 2
            error: unexpected argument '-1' found
              hint: everloop task follow --help
        "#]],
            ),
            (
                &["task", "fork", "x", "--from-step", "a", "--upto-seq", "3"],
                expect![[r#"
            exit 2
            error: the argument '--from-step <STEP>' cannot be used with '--upto-seq <SEQ>'
              hint: everloop task fork --help
        "#]],
            ),
            (
                &["task", "input", "x", "go", "{oops"],
                expect![[r#"
            exit 2
            error: the input is not JSON that can be stored
              cause: $: this is not JSON: the name of a member was expected, in double quotes (byte 1)
              hint: put texts into double quotes and the whole into single ones: '{"name": "value"}'
        "#]],
            ),
            (
                &["task", "decide", "x", "y"],
                expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <DECISION>
              hint: everloop task decide --help
        "#]],
            ),
            (
                &["dead-letters", "redrive"],
                expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <TASK>...
              hint: everloop dead-letters redrive --help
        "#]],
            ),
        ],
    );
}
