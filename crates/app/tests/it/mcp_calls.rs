//! Calls of other servers' tools that are cut off: by the end of this server, and by the end of the other one.
#![expect(clippy::disallowed_methods, reason = "a test measures how long a cancel takes")]

use crate::harness::{Place, eventually};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A call of a tool, as another server sees it.
#[derive(Clone, Debug)]
struct Called {
    /// The header by which the repetition of a call is known.
    key: String,
    params: Value,
}

/// An MCP server over HTTP that keeps what it is called with. The first call under each key does what the argument `first`
/// says: it hangs, or its connection is cut.
struct Other {
    host: String,
    called: Arc<Mutex<Vec<Called>>>,
}

/// The only task of such a server. Whoever looks at it waits for ever.
const FAR: &str = "far-1";

impl Other {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let called = Arc::new(Mutex::new(Vec::new()));
        let kept = called.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let kept = kept.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &kept));
            }
        });
        Self { host, called }
    }

    fn called(&self) -> Vec<Called> {
        self.called.lock().unwrap().clone()
    }

    /// Starts a task here that calls a tool there; gives its id.
    fn call(&self, place: &Place, tool: &str, arguments: &Value, more: &[&str]) -> String {
        let input = json!({"url": format!("http://{}/mcp", self.host), "tool": tool, "arguments": arguments});
        let input = input.to_string();
        let mut all = vec!["--json", "task", "start", "mcp", "--allow-host", &self.host, "--input", &input];
        all.extend(more);
        place.run(&all).json()["id"].as_str().unwrap().to_owned()
    }
}

/// Reads a request and answers it, on a connection of its own.
fn serve(stream: TcpStream, kept: &Mutex<Vec<Called>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut length, mut key, mut line) = (0, String::new(), String::new());
    let mut is_post = None;
    while stream.read_line(&mut line).ok()? > 2 {
        is_post.get_or_insert(line.starts_with("POST"));
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "idempotency-key" => value.trim().clone_into(&mut key),
            _ => {}
        }
        line.clear();
    }
    if is_post != Some(true) {
        return answer(stream, "405 Method Not Allowed", "");
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let message: Value = serde_json::from_slice(&body).unwrap();
    let result = match message["method"].as_str().unwrap() {
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
            "ttlMs": 0, "cacheScope": "private",
        }),
        "tools/list" => {
            let tool = |name: &str, hint: &str| json!({"name": name, "inputSchema": {"type": "object"}, "annotations": {hint: true}});
            let tools = [
                tool("look", "readOnlyHint"),
                tool("put", "idempotentHint"),
                tool("wipe", "destructiveHint"),
                tool("last", "readOnlyHint"),
            ];
            json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": tools})
        }
        "tools/call" if message["params"]["name"] == "last" => json!({
            "resultType": "task", "taskId": FAR, "status": "working", "ttlMs": null,
            "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z",
        }),
        "tasks/get" | "tasks/cancel" => {
            kept.lock().unwrap().push(Called { key: String::new(), params: message.clone() });
            return stream.read(&mut [0]).map(drop).ok();
        }
        "tools/call" => {
            let mut called = kept.lock().unwrap();
            let is_first = called.iter().all(|before| before.key != key);
            called.push(Called { key, params: message["params"].clone() });
            drop(called);
            match message["params"]["arguments"]["first"].as_str().filter(|_| is_first) {
                // The end of what can be read is the end of whoever called.
                Some("hang") => return stream.read(&mut [0]).map(drop).ok(),
                Some(_) => return None,
                None => json!({"resultType": "complete", "content": [{"type": "text", "text": "done"}]}),
            }
        }
        _ => return answer(stream, "202 Accepted", ""),
    };
    let body = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
    answer(stream, "200 OK", &body)
}

fn answer(mut stream: BufReader<TcpStream>, status: &str, body: &str) -> Option<()> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
    write!(stream.get_mut(), "{head}content-length: {}\r\n\r\n{body}", body.len()).ok()
}

fn task(place: &Place, id: &str) -> Value {
    place.run(&["--json", "task", "get", id]).json()
}

/// The question that a task waits with.
fn question(place: &Place, id: &str) -> String {
    eventually("a question", || {
        let task = task(place, id);
        assert!(task["finished_at"].is_null(), "{task}");
        task["waiting_for"]["decision"]["id"].as_str().map(str::to_owned)
    })
}

fn ended(place: &Place, id: &str) -> Value {
    let said = place.run(&["--json", "task", "get", id, "--wait", "50s"]);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

const DONE: &str = r#"{"content":[{"text":"done","type":"text"}]}"#;

#[test]
fn a_call_that_a_crash_cuts_off_is_repeated_or_asked_about_by_what_its_tool_says() {
    let (other, place) = (Other::start(), Place::new());
    let here = place.server(&[]);
    let hang = json!({"first": "hang"});
    let (read, put) = (other.call(&place, "look", &hang, &[]), other.call(&place, "put", &hang, &[]));
    let repeated = other.call(&place, "wipe", &hang, &["--on-unknown", "rerun"]);
    let asked = other.call(&place, "wipe", &hang, &[]);
    let known = other.call(&place, "wipe", &hang, &[]);
    let careful = other.call(&place, "look", &hang, &["--on-unknown", "fail"]);
    eventually("six calls", || (other.called().len() == 6).then_some(()));
    here.kill();
    let here = place.server(&[]);
    for id in [&read, &put, &repeated] {
        let task = ended(&place, id);
        assert_eq!((&task["state"], task["result"].to_string().as_str()), (&json!("completed"), DONE));
    }
    assert_eq!(ended(&place, &careful)["error"]["code"], "outcome_unknown");
    // What destroys is called again when a person says so, and under its own key.
    let (id, other_id) = (question(&place, &asked), question(&place, &known));
    assert_eq!(other.called().len(), 9, "{:?}", other.called());
    place.run(&["task", "decide", &asked, &id, "rerun"]).ok();
    assert_eq!(ended(&place, &asked)["result"].to_string(), DONE);
    let seen = json!({"content": [], "structured": {"wiped": 3}});
    place.run(&["task", "decide", &known, &other_id, "happened", "--result", &seen.to_string()]).ok();
    assert_eq!(ended(&place, &known)["result"], seen);
    let called = other.called();
    assert_eq!(called.len(), 10, "{called:?}");
    for call in &called {
        let same = |other: &&Called| other.key == call.key;
        assert!(call.key.len() > 20 && called.iter().filter(same).all(|other| other.params == call.params));
    }
    let mut keys: Vec<_> = called.iter().map(|call| &call.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 6, "a key for each task: {called:?}");
    drop(here);
}

#[test]
fn a_call_that_the_other_side_cuts_off_is_in_doubt_too() {
    let (other, place) = (Other::start(), Place::new());
    let _here = place.server(&[]);
    let cut = json!({"first": "cut"});
    let read = other.call(&place, "look", &cut, &[]);
    let wiped = other.call(&place, "wipe", &cut, &[]);
    assert_eq!(ended(&place, &read)["result"].to_string(), DONE);
    let id = question(&place, &wiped);
    assert_eq!(other.called().len(), 3, "{:?}", other.called());
    place.run(&["task", "decide", &wiped, &id, "rerun"]).ok();
    assert_eq!(ended(&place, &wiped)["result"].to_string(), DONE);
    // One that can't be reached has done nothing.
    let away = json!({"url": "http://127.0.0.1:9/mcp", "tool": "wipe"}).to_string();
    let away =
        ["--json", "task", "start", "mcp", "--allow-host", "127.0.0.1:9", "--input", &away, "--tries", "1"];
    let id = place.run(&away).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(ended(&place, &id)["error"]["code"], "mcp_unreachable");
}

#[test]
fn a_task_there_is_cancelled_with_the_one_here_that_looks_at_it() {
    let (other, place) = (Other::start(), Place::new());
    let _here = place.server(&[]);
    let id = other.call(&place, "last", &json!({}), &[]);
    let asked = |method: &str| {
        let found = other.called().into_iter().find(|called| called.params["method"] == method);
        found.map(|called| called.params["params"]["taskId"].clone())
    };
    eventually("a look", || asked("tasks/get"));
    let before = Instant::now();
    place.run(&["task", "cancel", &id]).ok();
    assert_eq!(ended(&place, &id)["state"], "cancelled");
    // It was told, and whether it hears is not waited for.
    assert_eq!(asked("tasks/cancel"), Some(json!(FAR)));
    assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
}

#[test]
fn what_a_task_there_asks_is_asked_and_answered_here() {
    let (there, place) = (Place::new(), Place::new());
    let far = there.server(&[]);
    let host = far.url.trim_start_matches("http://").to_owned();
    // The same server, once at its address and once as a program that passes messages on to it.
    let home = there.here();
    let env = json!({"EVERLOOP_URL": far.url, "HOME": home, "XDG_STATE_HOME": home});
    let program = json!({"command": env!("CARGO_BIN_EXE_everloop"), "args": ["mcp"], "env": env});
    place.write("servers.json", &json!({"mcpServers": {"far": program}}).to_string());
    let _here = place.server(&["--mcp-servers", "servers.json"]);
    let arguments = json!({"kind": "mock", "input": {"wait_for_input": "go"}});
    let places = [
        (json!({"url": format!("{}/mcp", far.url)}), ["--allow-host", &host]),
        (json!({"server": "far"}), ["--allow-mcp", "far"]),
    ];
    let form = json!({"by": "hand", "of": 2});
    for (mut input, grant) in places {
        (input["tool"], input["arguments"]) = (json!("start_task"), arguments.clone());
        let text = input.to_string();
        // A word fills the one field of the form; an object is the form.
        for (given, result) in [(None, json!("seven")), (Some(form.to_string()), form.clone())] {
            let start = ["--json", "task", "start", "mcp", "--input", &text, grant[0], grant[1]];
            let id = place.run(&start).json()["id"].as_str().unwrap().to_owned();
            let asked = question(&place, &id);
            let mut decide = vec!["task", "decide", &id, &asked, "seven"];
            decide.extend(given.as_deref().into_iter().flat_map(|given| ["--result", given]));
            place.run(&decide).ok();
            assert_eq!(ended(&place, &id)["result"]["structured"]["result"], result, "{input}");
        }
    }
    let mocks = there.run(&["task", "list", "--kind", "mock", "--json"]).ok();
    assert_eq!(mocks.lines().count(), 4, "{mocks}");
}
