//! MCP servers that are programs of this machine: only those that the operator has named, and nothing of them stays.
#![expect(clippy::disallowed_methods, reason = "the tests look at files and at /proc")]

use crate::harness::{Place, Server, eventually, lines};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A server in the language of a shell. It writes down its processes and what it is called with. The first call under each key
/// does what the argument `first` says.
const SCRIPT: &str = r#"
echo "runs $$" >> "$NOTES"
echo "hello" >&2
say() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p')
  case "$line" in
  *'"server/discover"'*)
    say '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}' ;;
  *'"tools/list"'*)
    say '{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[
      {"name":"look","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},
      {"name":"wipe","inputSchema":{"type":"object"}}]}' | tr -d '\n'; echo ;;
  *'"tools/call"'*)
    key=$(printf '%s' "$line" | sed -n 's/.*"everloop\/idempotency-key":"\([^"]*\)".*/\1/p')
    again=$(grep -c "call $key" "$NOTES")
    echo "call $key" >> "$NOTES"
    case "$again$line" in
    0*'"first":"hang"'*) sh -c 'trap "" TERM; echo "runs $$" >> "$NOTES"; sleep 600 & echo "runs $!" >> "$NOTES"; wait' ;;
    0*'"first":"crash"'*) echo "no more" >&2; exit 3 ;;
    esac
    say '{"resultType":"complete","content":[],"structuredContent":{"token":"'"$TOKEN"'","own":"'"$EVERLOOP_DATA_DIR$XDG_STATE_HOME"'"}}' ;;
  esac
done
"#;

struct Notes(PathBuf);

impl Notes {
    fn of(&self, what: &str) -> Vec<String> {
        let of = |line: String| line.strip_prefix(what).map(|rest| rest.trim().to_owned());
        lines(&self.0).into_iter().filter_map(of).collect()
    }

    /// Waits until no process of the server is left.
    fn are_gone(&self) {
        eventually("the end of every process", || {
            let runs = |pid: &String| {
                std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|of| !of.is_empty())
            };
            (!self.of("runs").iter().any(runs)).then_some(())
        });
    }
}

/// A place whose operator has named the server `notes`, and one that is not there.
fn place() -> (Place, Notes) {
    let place = Place::new();
    let notes = Notes(place.here().join("notes"));
    let env = json!({"NOTES": notes.0, "TOKEN": "secret"});
    let script = json!({"command": "sh", "args": ["-c", SCRIPT], "env": env});
    let servers = json!({"mcpServers": {"notes": script, "away": {"command": "/nonexistent/server"}}});
    place.write("servers.json", &servers.to_string());
    (place, notes)
}

fn serve(place: &Place) -> Server {
    place.server(&["--mcp-servers", "servers.json"])
}

fn start(place: &Place, input: &Value, more: &[&str]) -> String {
    let input = input.to_string();
    let mut all = vec![
        "--json",
        "task",
        "start",
        "mcp",
        "--allow-mcp",
        "notes",
        "--allow-mcp",
        "away",
        "--input",
        &input,
    ];
    all.extend(more);
    place.run(&all).json()["id"].as_str().unwrap().to_owned()
}

fn call(tool: &str, first: &str) -> Value {
    json!({"server": "notes", "tool": tool, "arguments": {"first": first}})
}

fn ended(place: &Place, id: &str) -> Value {
    let said = place.run(&["--json", "task", "get", id, "--wait", "50s"]);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// What is in the log of a task, whatever it came by.
fn logs(place: &Place, id: &str) -> String {
    let said = place.run(&["task", "logs", id]);
    assert_eq!(said.code, 0, "{said:?}");
    said.out + &said.err
}

/// The question that a task waits with.
fn question(place: &Place, id: &str) -> String {
    eventually("a question", || {
        let task = place.run(&["--json", "task", "get", id]).json();
        assert!(task["finished_at"].is_null(), "{task}");
        task["waiting_for"]["decision"]["id"].as_str().map(str::to_owned)
    })
}

#[test]
fn a_server_that_the_operator_has_named_is_started_for_a_call_and_ended_after_it() {
    let (place, notes) = place();
    let _server = serve(&place);
    let id = start(&place, &call("look", ""), &[]);
    let done = ended(&place, &id);
    assert_eq!(done["result"]["structured"], json!({"token": "secret", "own": ""}), "{done}");
    assert_eq!((notes.of("runs").len(), notes.of("call").len()), (2, 1), "a process for each exchange");
    notes.are_gone();
    assert!(logs(&place, &id).contains("hello"));
    // What is on the disk of it goes with it.
    let left = || std::fs::read_dir(place.here().join(".everloop/workspaces")).unwrap().count();
    eventually("no folder", || (left() == 0).then_some(()));
    let away = ended(&place, &start(&place, &json!({"server": "away", "tool": "look"}), &[]));
    assert_eq!(away["error"]["code"], "command_not_started", "{away}");
}

#[test]
fn nobody_but_the_operator_names_a_program_and_nothing_is_granted_unasked() {
    let (place, notes) = place();
    let _server = serve(&place);
    for (input, grant, part) in [
        (json!({"server": "notes", "tool": "look"}), "other", "policy.profile.mcp"),
        (json!({"server": "other", "tool": "look"}), "other", "mcp_servers"),
        (json!({"server": "notes", "tool": "look", "command": "sh"}), "notes", "command"),
        (json!({"server": "notes", "url": "http://a/mcp", "tool": "look"}), "notes", "input.server"),
        (json!({"server": "notes", "tool": "look", "headers": {"a": "b"}}), "notes", "input.headers"),
        (json!({"tool": "look"}), "notes", "give url"),
    ] {
        let refused =
            place.run(&["task", "start", "mcp", "--allow-mcp", grant, "--input", &input.to_string()]);
        assert!(refused.code == 5 && refused.err.contains(part), "{input}: {refused:?}");
    }
    assert!(notes.of("runs").is_empty());
}

#[test]
fn the_documentation_names_a_server_as_it_is_read() {
    let page = include_str!("../../../../docs/mcp.md");
    let blocks: Vec<Value> = page
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| serde_json::from_str(rest.split("```").next()?).ok())
        .collect();
    let servers = blocks.iter().find(|block| block["mcpServers"]["notes"].is_object()).unwrap();
    let task = blocks.iter().find(|block| block["input"]["server"].is_string()).unwrap();
    let place = Place::new();
    place.write("servers.json", &servers.to_string());
    let _server = serve(&place);
    let grant = task["policy"]["profile"]["mcp"][0].as_str().unwrap();
    let input = task["input"].to_string();
    let start = ["--json", "task", "start", "mcp", "--allow-mcp", grant, "--input", &input];
    let id = place.run(&start).json()["id"].as_str().unwrap().to_owned();
    // The program is not there, and everything up to its start is right.
    assert_eq!(ended(&place, &id)["error"]["code"], "command_not_started");
}

#[test]
fn a_call_that_ends_with_its_server_is_repeated_or_asked_about() {
    let (place, notes) = place();
    let _server = serve(&place);
    let read = start(&place, &call("look", "crash"), &[]);
    assert_eq!(ended(&place, &read)["state"], "completed");
    assert_eq!(notes.of("call").len(), 2);
    let wiped = start(&place, &call("wipe", "crash"), &[]);
    let id = question(&place, &wiped);
    let log = logs(&place, &wiped);
    assert!(log.contains("ended with code 3") && log.contains("no more"), "{log}");
    assert_eq!(notes.of("call").len(), 3);
    place.run(&["task", "decide", &wiped, &id, "rerun"]).ok();
    assert_eq!(ended(&place, &wiped)["state"], "completed");
    let calls = notes.of("call");
    assert!(calls[0] == calls[1] && calls[2] == calls[3] && calls[1] != calls[2], "{calls:?}");
}

#[test]
fn a_call_that_a_crash_of_ours_cuts_off_leaves_no_process_and_goes_on() {
    let (place, notes) = place();
    let server = serve(&place);
    let (read, wiped) =
        (start(&place, &call("look", "hang"), &[]), start(&place, &call("wipe", "hang"), &[]));
    // Two processes of each that hangs, beside those that said what the tools are.
    eventually("two calls that hang", || (notes.of("runs").len() == 8).then_some(()));
    server.kill();
    notes.are_gone();
    let _server = serve(&place);
    assert_eq!(ended(&place, &read)["state"], "completed");
    let id = question(&place, &wiped);
    assert_eq!(notes.of("call").len(), 3);
    place.run(&["task", "decide", &wiped, &id, "happened", "--result", r#"{"wiped":1}"#]).ok();
    assert_eq!(ended(&place, &wiped)["result"], json!({"wiped": 1}));
    let mut calls = notes.of("call");
    calls.sort();
    calls.dedup();
    assert_eq!((calls.len(), notes.of("call").len()), (2, 3));
    notes.are_gone();
}

#[test]
fn a_call_that_takes_too_long_or_is_cancelled_leaves_no_process() {
    let (place, notes) = place();
    let _server = serve(&place);
    let mut late = call("look", "hang");
    late["timeout_ms"] = json!(1500);
    let late = start(&place, &late, &["--tries", "1"]);
    let failed = ended(&place, &late);
    assert_eq!(failed["error"]["code"], "mcp_unreachable", "{failed}");
    notes.are_gone();
    let before = notes.of("call").len();
    let cancelled = start(&place, &call("wipe", "hang"), &[]);
    eventually("the call", || (notes.of("call").len() > before).then_some(()));
    place.run(&["task", "cancel", &cancelled]).ok();
    assert_eq!(ended(&place, &cancelled)["state"], "cancelled");
    notes.are_gone();
}
