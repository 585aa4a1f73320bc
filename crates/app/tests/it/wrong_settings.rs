//! Wrong invocations of what is not about tasks: files, settings, servers.

use crate::harness::Place;
use crate::wrong::check;
use expect_test::expect;

#[test]
fn files_settings_and_servers() {
    let place = Place::new();
    place.write("empty.jsonl", "");
    place.write("noise.jsonl", "noise\n");
    place.write("unknown.toml", "lisen = \"127.0.0.1:1\"\n");
    place.write("secret.toml", "api_key = \"evl_x\"\n");
    place.write("servers.json", r#"{"mcpServers": {"mail": {"url": "http://mail"}}}"#);
    place.write("broken.toml", "workers = 1\nlisten\n");
    check(
        &place,
        &[
            (
                &["verify"],
                expect![[r#"
            exit 2
            error: the following required arguments were not provided
              cause: <FILE>
              hint: everloop verify --help
        "#]],
            ),
            (
                &["verify", "none.jsonl"],
                expect![[r#"
            exit 2
            error: none.jsonl can't be read
              cause: No such file or directory (os error 2)
              hint: name a file that `everloop task export` or `everloop task receipt` wrote
        "#]],
            ),
            (
                &["verify", "empty.jsonl"],
                expect![[r#"
            exit 4
            error: empty.jsonl does not verify
              cause: there is nothing to verify: the file is empty
              hint: it was changed or damaged after it was written; export it again, or ask whoever gave it to you
        "#]],
            ),
            (
                &["verify", "noise.jsonl"],
                expect![[r#"
            exit 4
            error: noise.jsonl does not verify
              cause: line 1: this is not an event: a JSON object was expected
              hint: it was changed or damaged after it was written; export it again, or ask whoever gave it to you
        "#]],
            ),
            (
                &["verify", "noise.jsonl", "--key", "noise.jsonl"],
                expect![[r#"
            exit 2
            error: noise.jsonl is no set of public keys
              cause: this is not a JSON Web Key: expected ident at line 1 column 2
              hint: take the one of the server: curl URL/.well-known/jwks.json > jwks.json
        "#]],
            ),
            (
                &["explain", "lease_los"],
                expect![[r#"
            exit 2
            error: there is nothing to explain about "lease_los"
              hint: did you mean lease_lost?
        "#]],
            ),
            (
                &["explain", "everything"],
                expect![[r#"
            exit 2
            error: there is nothing to explain about "everything"
              hint: limits, or one of: already_decided, cancelled, command_not_started, deadline, dependency_failed, executor_panicked, exit_signal, exit_status, forbidden, http_failed, http_status, idempotency_conflict, illegal_transition, internal, invalid_request, lease_lost, limit_reached, method_not_allowed, nondeterminism, not_canonical, not_finished, not_found, not_granted, outcome_unknown, overloaded, poisoned, precondition_failed, shutting_down, storage_full, storage_unavailable, task_deleted, timeout, too_large, unauthorized, unknown_kind, unsupported_media_type
        "#]],
            ),
            (
                &["completions", "tcsh"],
                expect![[r#"
            exit 2
            error: invalid value 'tcsh' for '<SHELL>'
              cause: it is one of bash, elvish, fish, powershell, zsh
              hint: did you mean zsh?
        "#]],
            ),
            (
                &["config", "shwo"],
                expect![[r#"
            exit 2
            error: unrecognized subcommand 'shwo'
              hint: did you mean show?
        "#]],
            ),
            (
                &["run"],
                expect![[r#"
            exit 125
            error: the following required arguments were not provided
              cause: <COMMAND>...
              hint: everloop run --help
        "#]],
            ),
            (
                &["run", "ls"],
                expect![[r#"
            exit 125
            error: unexpected argument 'ls' found
              hint: the command comes after two dashes: everloop run -- ls
        "#]],
            ),
            (
                &["run", "--env", "NOT_SET", "--", "true"],
                expect![[r#"
            exit 125
            error: the variable NOT_SET can't be passed on
              cause: environment variable not found
              hint: export NOT_SET, or leave --env NOT_SET out
        "#]],
            ),
            (
                &["run", "--env", "A=b", "--", "true"],
                expect![[r#"
            exit 125
            error: the variable A=b can't be passed on
              cause: environment variable not found
              hint: --env names a variable of this shell: export it, then --env A
        "#]],
            ),
            (
                &["run", "--timeout", "soon", "--", "true"],
                expect![[r#"
            exit 125
            error: invalid value 'soon' for '--timeout <TIME>'
              cause: a time is a number and ms, s, m, h or d, such as 30s
              hint: everloop run --help
        "#]],
            ),
            (
                &["dev", "--listen", "7420"],
                expect![[r#"
            exit 2
            error: --listen is not right
              cause: "7420" was given; listen is where a server listens
              hint: it has to be an address and a port, such as 127.0.0.1:7420
        "#]],
            ),
            (
                &["dev", "--listen", "0.0.0.0:0"],
                expect![[r#"
            exit 5
            error: dev mode listens on this machine only, not on 0.0.0.0:0
              hint: use `everloop serve`, which asks every caller for a key
        "#]],
            ),
            (
                &["dev", "--workers", "many"],
                expect![[r#"
            exit 2
            error: --workers is not right
              cause: "many" was given; workers is tasks that a server runs itself at the same time; 0 for none
              hint: it has to be a whole number
        "#]],
            ),
            (
                &["dev", "--mcp-servers", "servers.json"],
                expect![[r#"
            exit 2
            error: servers.json is no list of MCP servers
              cause: unknown field `url`, expected one of `command`, `args`, `env` at line 1 column 30
              hint: it looks like this: {"mcpServers": {"NAME": {"command": "PROGRAM", "args": [], "env": {}}}}
        "#]],
            ),
            (
                &["worker", "--mcp-servers", "none.json"],
                expect![[r#"
            exit 2
            error: the MCP servers can't be read from none.json
              cause: No such file or directory (os error 2)
              hint: name another file with --mcp-servers, or leave it out
        "#]],
            ),
            (
                &["dev", "--log-format", "xml"],
                expect![[r#"
            exit 2
            error: --log-format is not right
              cause: "xml" was given; log_format is how log lines are written: text or json
              hint: it has to be text or json
        "#]],
            ),
            (
                &["dev", "--database-url", "mysql://h/d"],
                expect![[r#"
            exit 2
            error: --database-url is not right
              cause: another database: sqlite:FILE or postgres://…
              hint: it has to be sqlite:FILE or postgres://HOST/DATABASE
        "#]],
            ),
            (
                &["dev", "--database-url", "postgres://me:secret@host/db"],
                expect![[r#"
            exit 2
            error: a password may not stand on the command line
              cause: --database-url holds one, and everybody on this machine can read it in the list of processes
              hint: put the address into EVERLOOP_DATABASE_URL, or the password into the file that PGPASSFILE names
        "#]],
            ),
            (
                &["dev", "--config", "none.toml"],
                expect![[r#"
            exit 2
            error: the configuration file none.toml can't be read
              cause: No such file or directory (os error 2)
              hint: name another one with --config, or leave it out
        "#]],
            ),
            (
                &["dev", "--config", "unknown.toml"],
                expect![[r#"
            exit 2
            error: there is no setting "lisen"
              cause: it stands in unknown.toml
              hint: did you mean listen?
        "#]],
            ),
            (
                &["dev", "--config", "secret.toml"],
                expect![[r#"
            exit 2
            error: api_key may not stand in secret.toml
              cause: it is a secret, and this file is for everybody's eyes
              hint: put it into a file of its own and name that one with api_key_file, or set EVERLOOP_API_KEY
        "#]],
            ),
            (
                &["dev", "--config", "broken.toml"],
                expect![[r#"
            exit 2
            error: broken.toml is not TOML
              cause: line 2: key with no value, expected `=`
              hint: a line looks like this: listen = "127.0.0.1:7420"
        "#]],
            ),
            (
                &["--url", "ftp://x", "task", "list"],
                expect![[r#"
            exit 2
            error: --url is not right
              cause: "ftp://x" was given; url is the server that clients talk to
              hint: it has to be the address of a server, such as http://127.0.0.1:7420
        "#]],
            ),
            (
                &["task", "list", "--api-key-file", "none"],
                expect![[r#"
            exit 2
            error: the key file none can't be read
              cause: No such file or directory (os error 2)
              hint: name a file with an API key in it: --api-key-file FILE, or set EVERLOOP_API_KEY
        "#]],
            ),
            (
                &["task", "list", "--url", "http://127.0.0.1:1"],
                expect![[r#"
            exit 6
            error: no Everloop server answers at http://127.0.0.1:[PORT]
              cause: Connection refused
              hint: start one with: everloop dev
                    or name one with --url or EVERLOOP_URL
        "#]],
            ),
            (
                &["task", "list"],
                expect![[r#"
            exit 6
            error: no Everloop server is running
              cause: none keeps its files in .everloop
              hint: start one with: everloop dev --data-dir .everloop
                    or name another with --url
        "#]],
            ),
            (
                &["worker"],
                expect![[r#"
            exit 6
            error: no Everloop server is running
              cause: none keeps its files in .everloop
              hint: start one with: everloop dev --data-dir .everloop
                    or name another with --url
        "#]],
            ),
            (
                &["worker", "--slots", "0"],
                expect![[r#"
            exit 2
            error: invalid value '0' for '--slots <N>'
              cause: 0 is not in 1..=1000
              hint: everloop worker --help
        "#]],
            ),
            (
                &["demo", "--seed", "x"],
                expect![[r#"
            exit 2
            error: invalid value 'x' for '--seed <SEED>'
              cause: invalid digit found in string
              hint: everloop demo --help
        "#]],
            ),
            (
                &["run", "--url", "http://127.0.0.1:1", "--", "true"],
                expect![[r#"
            exit 125
            error: no Everloop server answers at http://127.0.0.1:[PORT]
              cause: Connection refused
              hint: start one with: everloop dev
                    or name one with --url or EVERLOOP_URL
        "#]],
            ),
        ],
    );
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
    "#]]
    .assert_eq(&format!("exit {}\n{}", said.code, said.err));
}
