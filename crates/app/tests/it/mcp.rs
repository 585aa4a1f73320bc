//! `everloop mcp`: messages passed on line by line, and hosts that are told of it.
#![expect(clippy::disallowed_methods, reason = "the tests run the program and look at its files")]

use crate::harness::{Place, eventually, said};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A host: it starts the program and talks to it.
struct Host {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    id: u64,
}

impl Host {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut all = vec!["mcp"];
        all.extend(arguments);
        let mut command = place.command(&all);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, id: 0 }
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input.as_ref().unwrap(), "{message}").unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}));
        let answer = self.line();
        assert_eq!(answer["id"], self.id, "{answer}");
        answer
    }

    fn tool(&mut self, name: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": name, "arguments": arguments}));
        answer["result"]["structuredContent"].clone()
    }

    fn greet(&mut self) {
        let client = json!({"name": "host", "version": "1"});
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        assert_eq!(self.ask("initialize", hello)["result"]["serverInfo"]["name"], "everloop");
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn a_host_goes_on_with_its_task_after_the_server_was_killed() {
    let place = Place::new();
    let server = place.server(&[]);
    let mut host = Host::start(&place, &[]);
    host.greet();
    let input = json!({"steps": [{"name": "a"}], "wait_for_input": "go"});
    let started = host.tool("start_task", json!({"kind": "mock", "input": input}));
    let id = started["task_id"].as_str().unwrap().to_owned();
    server.kill();
    let server = place.server(&[]);
    // The same process, without a new greeting: nothing was kept that could be lost.
    let waiting = host.tool("wait_task", json!({"task_id": id}));
    assert_eq!(waiting["questions"][0]["id"], "go", "{waiting}");
    host.tool("send_input", json!({"task_id": id, "input": {"name": "go", "data": {"by": "host"}}}));
    let done = host.tool("wait_task", json!({"task_id": id}));
    assert_eq!((&done["state"], &done["result"]), (&json!("completed"), &json!({"by": "host"})));
    host.send(&json!("no message"));
    assert_eq!(host.line()["error"]["code"], -32700);
    host.end();
    drop(server);
}

#[test]
fn a_host_without_a_server_gets_one_for_as_long_as_it_runs() {
    let place = Place::new();
    let mut id = String::new();
    for round in 0..4 {
        let mut host = Host::start(&place, &["--data-dir", "tasks"]);
        host.greet();
        if round < 3 {
            let input = json!({"wait_for_input": "go"});
            let started = host.tool("start_task", json!({"kind": "mock", "key": "mine", "input": input}));
            id = started["task_id"].as_str().unwrap().to_owned();
            host.child.kill().unwrap();
            host.child.wait().unwrap();
            continue;
        }
        // The host was killed, and its server with it. The task was not.
        let listed = host.tool("list_tasks", json!({"states": ["waiting", "queued", "running"]}));
        assert_eq!(listed["tasks"][0]["task_id"], id, "{listed}");
        host.tool("send_input", json!({"task_id": id, "input": {"name": "go", "data": 5}}));
        assert_eq!(host.tool("wait_task", json!({"task_id": "key:mine"}))["result"], 5);
        host.end();
    }
}

#[test]
fn a_call_that_is_sent_again_with_its_key_starts_one_task() {
    let place = Place::new();
    let server = place.server(&[]);
    let mut host = Host::start(&place, &[]);
    host.greet();
    let mut start = |key: &str| {
        let meta = json!({"everloop/idempotency-key": key});
        let call = json!({"name": "start_task", "arguments": {"kind": "mock"}, "_meta": meta});
        host.ask("tools/call", call)["result"]["structuredContent"]["task_id"].clone()
    };
    let (first, again, other) = (start("one"), start("one"), start("two"));
    assert!(first.is_string() && first == again && first != other, "{first} {again} {other}");
    host.end();
    drop(server);
}

#[test]
fn hosts_are_told_and_it_can_be_undone() {
    let place = Place::new();
    let home = place.here().parent().unwrap().join("home");
    let hosts = [
        ("claude-code", ".claude.json", "{\n  \"theme\": \"dark\"\n}\n"),
        ("claude-desktop", ".config/Claude/claude_desktop_config.json", "{}"),
        ("codex", ".codex/config.toml", "model = \"x\" # mine\n\n[mcp_servers.other]\ncommand = \"o\"\n"),
        ("cursor", ".cursor/mcp.json", "{\"mcpServers\": {\"other\": {\"command\": \"o\"}}}"),
        ("gemini", ".gemini/settings.json", "{\"b\": 1, \"a\": 2}"),
        ("opencode", ".config/opencode/opencode.json", "{\"mcp\": {}}"),
        ("vscode", ".config/Code/User/mcp.json", "{\"servers\":{}}"),
        ("windsurf", ".codeium/windsurf/mcp_config.json", ""),
    ];
    for (host, file, before) in hosts {
        let path = home.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, before).unwrap();
        let read = || std::fs::read_to_string(&path).unwrap();
        let refused = place.run(&["mcp", "install", host]);
        assert_eq!((refused.code, read().as_str()), (2, before), "nobody was there to ask: {refused:?}");
        place.run(&["mcp", "install", host, "--yes"]).ok();
        let after = read();
        let program = env!("CARGO_BIN_EXE_everloop");
        assert!(after.contains(program) && after.contains("\"mcp\""), "{host}: {after}");
        place.run(&["mcp", "install", host, "--yes"]).ok();
        assert_eq!(read(), after, "{host}: twice is once");
        place.run(&["mcp", "install", host, "--undo", "--yes"]).ok();
        assert_eq!(read(), before, "{host}");
        assert_eq!(place.run(&["mcp", "install", host, "--undo", "--yes"]).code, 5);
        // Where there was nothing there is nothing again.
        std::fs::remove_file(&path).unwrap();
        place.run(&["mcp", "install", host, "--yes"]).ok();
        place.run(&["mcp", "install", host, "--undo", "--yes"]).ok();
        let left: Vec<_> =
            std::fs::read_dir(path.parent().unwrap()).unwrap().map(|f| f.unwrap().path()).collect();
        assert!(
            !left.iter().any(|f| f.to_string_lossy().contains("everloop") || *f == path),
            "{host}: {left:?}"
        );
    }
    // What the host wrote meanwhile stays.
    let path = home.join(".claude.json");
    std::fs::write(&path, "{\"a\": 1}").unwrap();
    place.run(&["mcp", "install", "claude-code", "--yes"]).ok();
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config["later"] = json!(true);
    std::fs::write(&path, config.to_string()).unwrap();
    place.run(&["mcp", "install", "claude-code", "--undo", "--yes"]).ok();
    let config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(config, json!({"a": 1, "later": true, "mcpServers": {}}));
    // A file with comments is left alone, and what to write is said.
    std::fs::write(&path, "{ // mine\n}").unwrap();
    let refused = said(&mut place.command(&["mcp", "install", "claude-code", "--yes"]));
    assert_eq!(refused.code, 5);
    assert!(refused.err.contains("add this by hand"), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ // mine\n}");
}

#[test]
fn a_tool_of_another_server_is_called_once_and_its_task_is_followed() {
    let (other, place) = (Place::new(), Place::new());
    let there = other.server(&[]);
    let host = there.url.trim_start_matches("http://").to_owned();
    let here = place.server(&[]);
    let input = |tool: &str, arguments: Value| {
        json!({"url": format!("{}/mcp", there.url), "tool": tool, "arguments": arguments}).to_string()
    };
    let list = input("list_tasks", json!({}));
    let refused = place.run(&["task", "start", "mcp", "--input", &list]);
    assert!(refused.code == 5 && refused.err.contains("is not granted"), "{refused:?}");
    let call = |input: &str, more: &[&str]| {
        let mut all =
            vec!["--json", "task", "start", "mcp", "--allow-host", &host, "--wait", "50s", "--input", input];
        all.extend(more);
        let said = place.run(&all);
        serde_json::from_str::<Value>(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    };
    assert_eq!(call(&list, &[])["result"]["structured"]["tasks"], json!([]));
    let unknown = call(&input("rm_rf", json!({})), &[]);
    assert_eq!(unknown["error"]["code"], "mcp_refused", "{unknown}");
    let failed = call(&input("get_task_status", json!({"task_id": "key:none"})), &[]);
    assert_eq!(failed["error"]["code"], "mcp_tool_failed", "{failed}");
    assert!(failed["error"]["message"].as_str().unwrap().contains("TASK_NOT_FOUND"), "{failed}");

    // A call that the other side answers with a task: no worker is held, and a crash here makes no second one there.
    let slow = json!({"kind": "mock", "input": {"steps": [{"duration_ms": 4000}], "result": 7}});
    let slow = input("start_task", slow);
    let start = ["--json", "task", "start", "mcp", "--allow-host", &host, "--key", "far", "--input", &slow];
    let id = place.run(&start).json()["id"].as_str().unwrap().to_owned();
    eventually("the wait for the other side", || {
        let task = place.run(&["--json", "task", "get", &id]).json();
        assert!(task["finished_at"].is_null(), "{task}");
        (task["state"] == "waiting").then_some(())
    });
    here.kill();
    let here = place.server(&[]);
    let done = call(&slow, &["--key", "far"]);
    assert_eq!((&done["state"], &done["id"]), (&json!("completed"), &json!(id)), "{done}");
    assert_eq!(done["result"]["structured"]["result"], 7, "{done}");
    let mocks = other.run(&["task", "list", "--kind", "mock", "--json"]).ok();
    assert_eq!(mocks.lines().count(), 1, "{mocks}");
    drop((here, there));
}

#[test]
fn the_registry_entry_is_of_this_version() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../server.json")).unwrap();
    let entry: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(entry["version"], env!("CARGO_PKG_VERSION"));
    assert!(entry["description"].as_str().unwrap().len() <= 100);
    assert_eq!(entry["name"].as_str().unwrap().split('/').count(), 2);
    assert_eq!(entry["remotes"][0]["type"], "streamable-http");
    assert!(entry["remotes"][0]["url"].as_str().unwrap().ends_with("/mcp"));
}
