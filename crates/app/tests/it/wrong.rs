//! Wrong invocations: each says what happened, why, and what to do, with the exit code that the help promises.

use crate::harness::Place;
use expect_test::{Expect, expect};

fn check(place: &Place, cases: &[(&[&str], Expect)]) {
    for (arguments, wanted) in cases {
        let said = place.run(arguments);
        assert_eq!(said.out, "", "{arguments:?} {said:?}: what is wrong is no data");
        wanted.assert_eq(&format!("exit {}\n{}", said.code, place.redact(&said.err)));
    }
}

#[test]
fn without_a_server() {
    let place = Place::new();
    place.write("empty.jsonl", "");
    place.write("noise.jsonl", "noise\n");
    place.write("unknown.toml", "lisen = \"127.0.0.1:1\"\n");
    place.write("secret.toml", "api_key = \"evl_x\"\n");
    place.write("broken.toml", "workers = 1\nlisten\n");
    check(&place, &[
        (&["tsk"], expect![[r#"
            exit 2
            error: unrecognized subcommand 'tsk'
              hint: did you mean task?
        "#]]),
        (&["foo"], expect![[r#"
            exit 2
            error: unrecognized subcommand 'foo'
              hint: everloop --help
        "#]]),
        (&["task"], expect![[r#"
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
        "#]]),
        (&["task", "lst"], expect![[r#"
            exit 2
            error: unrecognized subcommand 'lst'
              hint: did you mean list?
        "#]]),
        (&["task", "get"], expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <TASK>
              hint: everloop task get --help
        "#]]),
        (&["task", "get", "a", "b"], expect![[r#"
            exit 2
            error: unexpected argument 'b' found
              hint: everloop task get --help
        "#]]),
        (&["task", "start"], expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <KIND>
              hint: everloop task start --help
        "#]]),
        (&["task", "start", "Mock"], expect![[r#"
            exit 2
            error: "Mock" can't be a kind of task
              cause: a kind is made of lower-case letters, digits, dots, dashes and underscores
              hint: everloop task start mock
        "#]]),
        (&["task", "start", "mock", "--inptu", "{}"], expect![[r#"
            exit 2
            error: unexpected argument '--inptu' found
              hint: did you mean --input?
        "#]]),
        (&["task", "start", "mock", "--input", "{a:1}"], expect![[r#"
            exit 2
            error: --input is not JSON that can be stored
              cause: $: this is not JSON: the name of a member was expected, in double quotes (byte 1)
              hint: put texts into double quotes and the whole into single ones: '{"name": "value"}'
        "#]]),
        (&["task", "start", "mock", "--input", "{\"a\":1,\"a\":2}"], expect![[r#"
            exit 2
            error: --input is not JSON that can be stored
              cause: $.a: the object has this member twice; keep one of them (byte 7)
              hint: change the value there, or send it as a text
        "#]]),
        (&["task", "start", "mock", "--input-file", "none.json"], expect![[r#"
            exit 2
            error: none.json can't be read
              cause: No such file or directory (os error 2)
              hint: --input-file FILE, or - for standard input
        "#]]),
        (&["task", "start", "mock", "--input", "{}", "--input-file", "x"], expect![[r#"
            exit 2
            error: the argument '--input <JSON>' cannot be used with '--input-file <FILE>'
              hint: everloop task start --help
        "#]]),
        (&["task", "start", "mock", "--wait", "5"], expect![[r#"
            exit 2
            error: invalid value '5' for '--wait <TIME>'
              cause: a time is a number and ms, s, m, h or d, such as 30s
              hint: everloop task start --help
        "#]]),
        (&["task", "start", "mock", "--priority", "101"], expect![[r#"
            exit 2
            error: invalid value '101' for '--priority <PRIORITY>'
              cause: 101 is not in -100..=100
              hint: everloop task start --help
        "#]]),
        (&["task", "start", "mock", "--tries", "0"], expect![[r#"
            exit 2
            error: invalid value '0' for '--tries <N>'
              cause: 0 is not in 1..=4294967295
              hint: everloop task start --help
        "#]]),
        (&["task", "start", "mock", "--label", "team"], expect![[r#"
            exit 2
            error: --label is not right
              cause: "team" has no =
              hint: --label team=search
        "#]]),
        (&["task", "start", "mock", "--after", "digest-1"], expect![[r#"
            exit 2
            error: --after is not right
              cause: "digest-1" is not an id of the form task_ and 26 characters
              hint: name a task by its id: task_…
        "#]]),
        (&["task", "start", "mock", "--at", "tomorrow"], expect![[r#"
            exit 2
            error: --at is not right
              cause: "tomorrow" is no time
              hint: --at 2026-01-31T08:30:00Z
        "#]]),
        (&["task", "start", "mock", "--on-unknown", "pray"], expect![[r#"
            exit 2
            error: invalid value 'pray' for '--on-unknown <WHAT>'
              cause: it is one of rerun, verify, ask, fail
              hint: everloop task start --help
        "#]]),
        (&["task", "start", "mock", "--wait", "5s", "--follow"], expect![[r#"
            exit 2
            error: the argument '--wait <TIME>' cannot be used with '--follow'
              hint: everloop task start --help
        "#]]),
        (&["task", "list", "--state", "runing"], expect![[r#"
            exit 2
            error: there is no state "runing"
              hint: did you mean running?
        "#]]),
        (&["task", "list", "--state", "xyz"], expect![[r#"
            exit 2
            error: there is no state "xyz"
              hint: one of pending, queued, running, waiting, pausing, paused, cancelling, completed, failed, cancelled
        "#]]),
        (&["task", "list", "--limit", "0"], expect![[r#"
            exit 2
            error: invalid value '0' for '--limit <N>'
              cause: 0 is not in 1..=4294967295
              hint: everloop task list --help
        "#]]),
        (&["task", "follow", "x", "--after", "-1"], expect![[r#"
            exit 2
            error: unexpected argument '-1' found
              hint: everloop task follow --help
        "#]]),
        (&["task", "fork", "x", "--from-step", "a", "--upto-seq", "3"], expect![[r#"
            exit 2
            error: the argument '--from-step <STEP>' cannot be used with '--upto-seq <SEQ>'
              hint: everloop task fork --help
        "#]]),
        (&["task", "input", "x", "go", "{oops"], expect![[r#"
            exit 2
            error: the input is not JSON that can be stored
              cause: $: this is not JSON: the name of a member was expected, in double quotes (byte 1)
              hint: put texts into double quotes and the whole into single ones: '{"name": "value"}'
        "#]]),
        (&["task", "decide", "x", "y"], expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <DECISION>
              hint: everloop task decide --help
        "#]]),
        (&["dead-letters", "redrive"], expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <TASK>...
              hint: everloop dead-letters redrive --help
        "#]]),
        (&["verify"], expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <FILE>
              hint: everloop verify --help
        "#]]),
        (&["verify", "none.jsonl"], expect![[r#"
            exit 2
            error: none.jsonl can't be read
              cause: No such file or directory (os error 2)
              hint: name a file that `everloop task export` or `everloop task receipt` wrote
        "#]]),
        (&["verify", "empty.jsonl"], expect![[r#"
            exit 4
            error: empty.jsonl does not verify
              cause: there is nothing to verify: the file is empty
              hint: it was changed or damaged after it was written; export it again, or ask whoever gave it to you
        "#]]),
        (&["verify", "noise.jsonl"], expect![[r#"
            exit 4
            error: noise.jsonl does not verify
              cause: line 1: this is not an event: a JSON object was expected
              hint: it was changed or damaged after it was written; export it again, or ask whoever gave it to you
        "#]]),
        (&["verify", "noise.jsonl", "--key", "noise.jsonl"], expect![[r#"
            exit 2
            error: noise.jsonl is no set of public keys
              cause: this is not a JSON Web Key: expected ident at line 1 column 2
              hint: take the one of the server: curl URL/.well-known/jwks.json > jwks.json
        "#]]),
        (&["explain", "lease_los"], expect![[r#"
            exit 2
            error: there is nothing to explain about "lease_los"
              hint: did you mean lease_lost?
        "#]]),
        (&["explain", "everything"], expect![[r#"
            exit 2
            error: there is nothing to explain about "everything"
              hint: limits, or one of: already_decided, cancelled, command_not_started, deadline, dependency_failed, executor_panicked, exit_signal, exit_status, forbidden, http_failed, http_status, idempotency_conflict, illegal_transition, internal, invalid_request, lease_lost, limit_reached, method_not_allowed, nondeterminism, not_canonical, not_finished, not_found, not_granted, outcome_unknown, overloaded, poisoned, precondition_failed, shutting_down, storage_full, storage_unavailable, task_deleted, timeout, too_large, unauthorized, unknown_kind, unsupported_media_type
        "#]]),
        (&["completions", "tcsh"], expect![[r#"
            exit 2
            error: invalid value 'tcsh' for '<SHELL>'
              cause: it is one of bash, elvish, fish, powershell, zsh
              hint: did you mean zsh?
        "#]]),
        (&["config", "shwo"], expect![[r#"
            exit 2
            error: unrecognized subcommand 'shwo'
              hint: did you mean show?
        "#]]),
        (&["run"], expect![[r#"
            exit 125
            error: the following required arguments were not provided
              cause: <COMMAND>...
              hint: everloop run --help
        "#]]),
        (&["run", "ls"], expect![[r#"
            exit 125
            error: unexpected argument 'ls' found
              hint: the command comes after two dashes: everloop run -- ls
        "#]]),
        (&["run", "--env", "NOT_SET", "--", "true"], expect![[r#"
            exit 125
            error: the variable NOT_SET can't be passed on
              cause: environment variable not found
              hint: export NOT_SET, or leave --env NOT_SET out
        "#]]),
        (&["run", "--env", "A=b", "--", "true"], expect![[r#"
            exit 125
            error: the variable A=b can't be passed on
              cause: environment variable not found
              hint: --env names a variable of this shell: export it, then --env A
        "#]]),
        (&["run", "--timeout", "soon", "--", "true"], expect![[r#"
            exit 125
            error: invalid value 'soon' for '--timeout <TIME>'
              cause: a time is a number and ms, s, m, h or d, such as 30s
              hint: everloop run --help
        "#]]),
        (&["dev", "--listen", "7420"], expect![[r#"
            exit 2
            error: --listen is not right
              cause: "7420" was given; listen is where a server listens
              hint: it has to be an address and a port, such as 127.0.0.1:7420
        "#]]),
        (&["dev", "--listen", "0.0.0.0:0"], expect![[r#"
            exit 5
            error: dev mode listens on this machine only, not on 0.0.0.0:0
              hint: use `everloop serve`, which asks every caller for a key
        "#]]),
        (&["dev", "--workers", "many"], expect![[r#"
            exit 2
            error: --workers is not right
              cause: "many" was given; workers is tasks that a server runs itself at the same time; 0 for none
              hint: it has to be a whole number
        "#]]),
        (&["dev", "--log-format", "xml"], expect![[r#"
            exit 2
            error: --log-format is not right
              cause: "xml" was given; log_format is how log lines are written: text or json
              hint: it has to be text or json
        "#]]),
        (&["dev", "--database-url", "mysql://h/d"], expect![[r#"
            exit 2
            error: --database-url is not right
              cause: another database: sqlite:FILE or postgres://…
              hint: it has to be sqlite:FILE or postgres://HOST/DATABASE
        "#]]),
        (&["dev", "--database-url", "postgres://me:secret@host/db"], expect![[r#"
            exit 2
            error: a password may not stand on the command line
              cause: --database-url holds one, and everybody on this machine can read it in the list of processes
              hint: put the address into EVERLOOP_DATABASE_URL, or the password into the file that PGPASSFILE names
        "#]]),
        (&["dev", "--config", "none.toml"], expect![[r#"
            exit 2
            error: the configuration file none.toml can't be read
              cause: No such file or directory (os error 2)
              hint: name another one with --config, or leave it out
        "#]]),
        (&["dev", "--config", "unknown.toml"], expect![[r#"
            exit 2
            error: there is no setting "lisen"
              cause: it stands in unknown.toml
              hint: did you mean listen?
        "#]]),
        (&["dev", "--config", "secret.toml"], expect![[r#"
            exit 2
            error: api_key may not stand in secret.toml
              cause: it is a secret, and this file is for everybody's eyes
              hint: put it into a file of its own and name that one with api_key_file, or set EVERLOOP_API_KEY
        "#]]),
        (&["dev", "--config", "broken.toml"], expect![[r#"
            exit 2
            error: broken.toml is not TOML
              cause: line 2: key with no value, expected `=`
              hint: a line looks like this: listen = "127.0.0.1:7420"
        "#]]),
        (&["--url", "ftp://x", "task", "list"], expect![[r#"
            exit 2
            error: --url is not right
              cause: "ftp://x" was given; url is the server that clients talk to
              hint: it has to be the address of a server, such as http://127.0.0.1:7420
        "#]]),
        (&["task", "list", "--api-key-file", "none"], expect![[r#"
            exit 2
            error: the key file none can't be read
              cause: No such file or directory (os error 2)
              hint: name a file with an API key in it: --api-key-file FILE, or set EVERLOOP_API_KEY
        "#]]),
        (&["task", "list", "--url", "http://127.0.0.1:1"], expect![[r#"
            exit 6
            error: no Everloop server answers at http://127.0.0.1:[PORT]
              cause: Connection refused
              hint: start one with: everloop dev
                    or name one with --url or EVERLOOP_URL
        "#]]),
        (&["task", "list"], expect![[r#"
            exit 6
            error: no Everloop server is running
              cause: none keeps its files in .everloop
              hint: start one with: everloop dev --data-dir .everloop
                    or name another with --url
        "#]]),
        (&["worker"], expect![[r#"
            exit 6
            error: no Everloop server is running
              cause: none keeps its files in .everloop
              hint: start one with: everloop dev --data-dir .everloop
                    or name another with --url
        "#]]),
        (&["worker", "--slots", "0"], expect![[r#"
            exit 2
            error: invalid value '0' for '--slots <N>'
              cause: 0 is not in 1..=1000
              hint: everloop worker --help
        "#]]),
        (&["demo", "--seed", "x"], expect![[r#"
            exit 2
            error: invalid value 'x' for '--seed <SEED>'
              cause: invalid digit found in string
              hint: everloop demo --help
        "#]]),
        (&["run", "--url", "http://127.0.0.1:1", "--", "true"], expect![[r#"
            exit 125
            error: no Everloop server answers at http://127.0.0.1:[PORT]
              cause: Connection refused
              hint: start one with: everloop dev
                    or name one with --url or EVERLOOP_URL
        "#]]),
    ]);
}

#[test]
fn refused_by_a_server() {
    let place = Place::new();
    let _server = place.server(&[]);
    place.run(&["task", "start", "mock", "--key", "ended", "--wait", "30s"]).ok();
    place.run(&["task", "start", "mock", "--key", "waits", "--input", r#"{"wait_for_input":"go"}"#]).ok();
    crate::harness::eventually("the wait", || {
        (place.run(&["task", "get", "key:waits", "--json"]).json()["state"] == "waiting").then_some(())
    });
    check(&place, &[
        (&["task", "get", "task_01h2xcejqtf2nbrexx3vqjhp41"], expect![[r#"
            exit 5
            error: there is nothing here
              cause: there is no task [TASK] (not_found)
              hint: everloop explain not_found
        "#]]),
        (&["task", "get", "key:none"], expect![[r#"
            exit 5
            error: there is nothing here
              cause: there is no task with the key "none" (not_found)
              hint: everloop explain not_found
        "#]]),
        (&["task", "get", "nonsense"], expect![[r#"
            exit 5
            error: there is nothing here
              cause: there is no task "nonsense" (not_found)
              hint: name a task by its id, task_…, or by its key: key:digest-1
        "#]]),
        (&["task", "start", "nokind"], expect![[r#"
            exit 5
            error: nothing here runs this kind of task
              cause: nothing here runs tasks of kind "nokind" (unknown_kind)
              cause: kind: "nokind" is unknown: known are http, mock, shell
              hint: known are http, mock, shell; start a worker that offers it to make it known
        "#]]),
        (&["task", "start", "mock", "--input", "{\"stops\":[]}"], expect![[r#"
            exit 5
            error: the request is not valid
              cause: input: not a script: unknown field `stops`, expected one of `steps`, `result`, `wait_for_input` at line 1 column 8 (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["task", "start", "mock", "--queue", "No Queue"], expect![[r#"
            exit 5
            error: the request is not valid
              cause: queue: must be 1 to 64 characters of a-z, 0-9, `.`, `_` and `-`, and begin with a letter or digit (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["task", "start", "mock", "--key", ""], expect![[r#"
            exit 5
            error: the request is not valid
              cause: key: must be 1 to 200 characters, without control characters (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["task", "start", "mock", "--key", "ended", "--input", "{}"], expect![[r#"
            exit 5
            error: the key was used for another request
              cause: the key stands for task [TASK], which was submitted with another request (idempotency_conflict)
              hint: use another key, or send the same request
        "#]]),
        (&["task", "cancel", "key:ended"], expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be cancelled (illegal_transition)
              hint: the task has ended: nothing is left to cancel
        "#]]),
        (&["task", "pause", "key:ended"], expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be paused (illegal_transition)
              hint: only a task that is live and not being cancelled can be paused
        "#]]),
        (&["task", "resume", "key:ended"], expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be resumed (illegal_transition)
              hint: only a paused task can be resumed
        "#]]),
        (&["task", "input", "key:ended", "go"], expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be sent an input (illegal_transition)
              hint: the task has ended: fork it to go on
        "#]]),
        (&["task", "decide", "key:ended", "ask#1", "yes"], expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be decided about (illegal_transition)
              hint: the task has ended
        "#]]),
        (&["task", "fork", "key:ended", "--from-step", "none"], expect![[r#"
            exit 5
            error: the request is not valid
              cause: from_step: is not a step of the task; it has recorded none (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["task", "output", "key:waits"], expect![[r#"
            exit 5
            error: the task has not finished
              cause: task [TASK] is waiting (not_finished)
              hint: wait for its end: GET /api/v1/tasks/[TASK]?wait=60s
        "#]]),
        (&["task", "receipt", "key:waits"], expect![[r#"
            exit 5
            error: the task has not finished
              cause: task [TASK] is waiting (not_finished)
              hint: wait for its end: GET /api/v1/tasks/[TASK]?wait=60s
        "#]]),
        (&["task", "fork", "key:waits", "--key", "ended"], expect![[r#"
            exit 5
            error: the key was used for another request
              cause: the key stands for task [TASK], which was submitted with another request (idempotency_conflict)
              hint: use another key, or send the same request
        "#]]),
        (&["dead-letters", "redrive", "key:ended"], expect![[r#"
            exit 5
            error: the state of the task does not allow this
              cause: task [TASK] is completed and can't be redriven (illegal_transition)
              hint: only a failed or cancelled task is redriven; any task can be forked
        "#]]),
        (&["task", "list", "--parent", "x"], expect![[r#"
            exit 5
            error: the request is not valid
              cause: parent: must be the id of a task (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["task", "start", "shell"], expect![[r#"
            exit 5
            error: the request is not valid
              cause: input: needed: {"argv": ["echo", "hello"]} (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["task", "start", "shell", "--input", "{}"], expect![[r#"
            exit 5
            error: the request is not valid
              cause: input: give argv (a list) or script (a text) (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["task", "start", "http", "--input", "{\"url\":\"http://example.com/\"}"], expect![[r#"
            exit 5
            error: the request is not valid
              cause: policy.profile.hosts: host example.com is not granted: add "example.com" to policy.profile.hosts (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["task", "start", "mock", "--after", "task_01h2xcejqtf2nbrexx3vqjhp41"], expect![[r#"
            exit 5
            error: the request is not valid
              cause: depends_on[0].task: there is no task [TASK]: submit the prerequisite first (invalid_request)
              hint: everloop explain invalid_request
        "#]]),
        (&["dev"], expect![[r#"
            exit 5
            error: another process (pid 32227 at http://127.0.0.1:[PORT]) has .everloop/everloop.db
              hint: use the server that runs, stop it, or choose another folder with --data-dir
        "#]]),
    ]);
}

#[test]
fn misspelt_variables_are_found() {
    let place = Place::new();
    let said = crate::harness::said(place.command(&["task", "list"]).env("EVERLOOP_LISTN", "x"));
    assert_eq!(said.code, 2);
    assert!(said.err.contains("did you mean EVERLOOP_LISTEN?"), "{said:?}");
    let cluster = crate::harness::said(place.command(&["config", "show"]).env("EVERLOOP_PORT_7420_TCP", "x"));
    assert_eq!(cluster.code, 0, "names that a cluster manager gives are no mistake");
}

#[test]
fn serve_needs_a_folder() {
    let place = Place::new();
    let said = crate::harness::said(place.command(&["serve"]).env_remove("EVERLOOP_DATA_DIR"));
    expect![[r#"
        exit 2
        error: serve needs a folder for its files
          cause: only dev mode has a default, the folder .everloop here
          hint: everloop serve --data-dir /var/lib/everloop
    "#]].assert_eq(&format!("exit {}\n{}", said.code, said.err));
}
