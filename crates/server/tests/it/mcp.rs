//! The MCP face, request by request. Its clients are tested by `cargo xtask mcp-conformance`.

use crate::harness::Server;
use crate::http::Answer;
use crate::protocol::Worker;
use serde_json::{Value, json};

const MODERN: &str = "2026-07-28";
const OLDER: &str = "2025-11-25";
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A client of the newest revision.
struct Client<'a> {
    server: &'a Server,
    capabilities: Value,
}

/// What a request names in the header `Mcp-Name`.
fn named(params: &Value) -> String {
    let name = ["name", "uri", "taskId"].iter().find_map(|name| params[*name].as_str());
    name.unwrap_or_default().to_owned()
}

impl<'a> Client<'a> {
    fn plain(server: &'a Server) -> Self {
        Self { server, capabilities: json!({}) }
    }

    fn with_tasks(server: &'a Server) -> Self {
        Self { server, capabilities: json!({"extensions": {TASKS: {}}}) }
    }

    fn with_forms(server: &'a Server) -> Self {
        Self { server, capabilities: json!({"elicitation": {}}) }
    }

    async fn send(&self, method: &str, mut params: Value, more: &[(&str, &str)]) -> Answer {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        let name = named(&params);
        let mut headers = vec![
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", MODERN),
            ("Mcp-Method", method),
        ];
        if !name.is_empty() {
            headers.push(("Mcp-Name", &name));
        }
        headers.extend(more);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        self.server.call("POST", "/mcp", &headers, body.as_bytes()).await
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.send(method, params, &[]).await.json();
        assert_eq!(answer["id"], 1, "{answer}");
        answer
    }

    /// What a tool gave when all was well.
    async fn tool(&self, name: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": name, "arguments": arguments})).await;
        let result = &answer["result"];
        assert_eq!(result["resultType"], "complete", "{answer}");
        assert_eq!(result["isError"], false, "{answer}");
        assert_eq!(result["_meta"]["everloop/untrusted"], true, "{answer}");
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"]);
        text
    }

    /// Why a tool refused.
    async fn refused(&self, name: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": name, "arguments": arguments})).await;
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        serde_json::from_str::<Value>(text).unwrap()["error"].clone()
    }
}

/// A request of an older revision, as its clients send it: no session, because none was given.
async fn older(server: &Server, method: &str, params: Value) -> Value {
    let mut headers = vec![("Accept", "application/json, text/event-stream")];
    if method != "initialize" {
        headers.push(("MCP-Protocol-Version", OLDER));
    }
    let body = json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params}).to_string();
    server.call("POST", "/mcp", &headers, body.as_bytes()).await.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_started_waited_for_read_and_proved_through_tools() {
    let server = Server::start().await;
    let client = Client::plain(&server);
    let input = json!({"steps": [{"name": "a", "events": 3}], "logs": ["hello"], "result": {"n": 42}});
    let started = client.tool("start_task", json!({"kind": "mock", "input": input, "key": "first"})).await;
    let id = started["task_id"].as_str().unwrap();
    assert_eq!(started["stream_url"], format!("/api/v1/tasks/{id}/events"));
    let done = client.tool("wait_task", json!({"task_id": id})).await;
    assert_eq!((&done["state"], &done["result"]), (&json!("completed"), &json!({"n": 42})));
    assert_eq!(client.tool("get_task_status", json!({"task_id": "key:first"})).await, done);
    // The same call under the same key is the same task.
    let again = client.tool("start_task", json!({"kind": "mock", "input": input, "key": "first"})).await;
    assert_eq!(again["task_id"], id);
    let conflict = client.refused("start_task", json!({"kind": "mock", "key": "first"})).await;
    assert_eq!(conflict["code"], "IDEMPOTENCY_CONFLICT");

    let (mut events, mut after) = (Vec::new(), json!(0));
    loop {
        let page = client.tool("stream_task", json!({"task_id": id, "after": after, "limit": 2})).await;
        events.extend(page["events"].as_array().unwrap().clone());
        after = page["next_after"].clone();
        if page["finished"] == true {
            break;
        }
    }
    let over_http = server.get(&format!("/api/v1/tasks/{id}/events")).await.json()["items"].clone();
    assert_eq!(json!(events), over_http, "the same events, whoever asks");
    let logs = client.tool("stream_task", json!({"task_id": id, "types": ["log"]})).await;
    assert_eq!(logs["events"].as_array().unwrap().len(), 1, "{logs}");

    let receipt = client.tool("get_task_receipt", json!({"task_id": id})).await;
    assert_eq!(receipt, server.get(&format!("/api/v1/tasks/{id}/receipt")).await.json());
    let list = client.tool("list_tasks", json!({"kinds": ["mock"], "states": ["completed"]})).await;
    assert_eq!(list["tasks"][0]["task_id"], id);

    let read = |part: &str| json!({"uri": format!("everloop://tasks/{id}/{part}")});
    let contents = |answer: Value| answer["result"]["contents"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(contents(client.ask("resources/read", read("log")).await), "hello\n");
    let result: Value =
        serde_json::from_str(&contents(client.ask("resources/read", read("result")).await)).unwrap();
    assert_eq!(result["result"], json!({"n": 42}));
    let proof: Value =
        serde_json::from_str(&contents(client.ask("resources/read", read("receipt")).await)).unwrap();
    assert_eq!(proof, receipt);
    let listed = client.ask("resources/list", json!({})).await;
    assert_eq!(listed["result"]["resources"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_the_code_of_the_table_and_the_remedy() {
    let server = Server::start().await;
    let client = Client::plain(&server);
    let nobody = "task_01h455vb4pex5vsknk084sn02q";
    for (tool, arguments, code, field) in [
        ("start_task", json!({"kind": "nothing"}), "UNKNOWN_ADAPTER", "kind"),
        ("start_task", json!({}), "INVALID_REQUEST", "kind"),
        ("start_task", json!({"kind": "mock", "parent": {}}), "INVALID_REQUEST", "parent"),
        (
            "start_task",
            json!({"kind": "mock", "policy": {"retry": {"max_tries": 0}}}),
            "INVALID_REQUEST",
            "policy.retry.max_tries",
        ),
        ("get_task_status", json!({"task_id": nobody}), "TASK_NOT_FOUND", ""),
        ("wait_task", json!({"task_id": "key:none"}), "TASK_NOT_FOUND", ""),
        ("stream_task", json!({"task_id": nobody}), "TASK_NOT_FOUND", ""),
        ("resume_task", json!({"task_id": nobody}), "TASK_NOT_FOUND", ""),
        ("cancel_task", json!({"task_id": nobody}), "TASK_NOT_FOUND", ""),
        ("get_task_receipt", json!({"task_id": "../etc"}), "TASK_NOT_FOUND", ""),
        ("send_input", json!({"task_id": nobody, "input": {"name": "a"}}), "TASK_NOT_FOUND", ""),
        ("list_tasks", json!({"states": ["done"]}), "INVALID_REQUEST", "states[0]"),
        ("list_tasks", json!({"limit": 1000}), "INVALID_REQUEST", "limit"),
    ] {
        let error = client.refused(tool, arguments.clone()).await;
        assert_eq!(error["code"], code, "{tool} {arguments}: {error}");
        assert_eq!(error["fields"][0]["field"].as_str().unwrap_or_default(), field, "{tool}: {error}");
    }
    let live = server.submit(json!({"hold": true})).await;
    assert_eq!(client.refused("get_task_receipt", json!({"task_id": live})).await["code"], "NOT_FINISHED");
    let both = json!({"task_id": live, "input": {"name": "a"}, "decision": {"id": "b", "decision": "c"}});
    assert_eq!(client.refused("send_input", both).await["fields"][0]["field"], "input");
    let done = server.done(json!({})).await["id"].clone();
    assert_eq!(client.refused("cancel_task", json!({"task_id": done})).await["code"], "ILLEGAL_TRANSITION");
    for (params, message) in [(json!({"name": "rm_rf", "arguments": {}}), "there is no tool")] {
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["error"]["code"], -32602);
        assert!(answer["error"]["message"].as_str().unwrap().contains(message), "{answer}");
    }
    for uri in ["everloop://tasks/x/result", &format!("everloop://tasks/{nobody}/log"), "file:///etc/passwd"]
    {
        let answer = client.ask("resources/read", json!({"uri": uri})).await;
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["data"]["uri"]),
            (&json!(-32602), &json!(uri))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tool_says_what_it_takes_gives_and_does() {
    let server = Server::start_idle().await;
    let answer = Client::plain(&server).ask("tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "cancel_task",
            "get_task_receipt",
            "get_task_status",
            "list_tasks",
            "resume_task",
            "send_input",
            "start_task",
            "stream_task",
            "wait_task"
        ]
    );
    for tool in tools {
        let name = &tool["name"];
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{name}");
            let text = tool[schema].to_string();
            for foreign in ["\"null\"", "$ref", "\"uint", "$schema"] {
                assert!(!text.contains(foreign), "{name} {schema}: {foreign} in {text}");
            }
        }
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{name}: {hint}");
        }
        assert_eq!(tool["annotations"]["destructiveHint"], *name == "cancel_task");
        assert!(tool["description"].as_str().unwrap().len() > 20);
    }
    assert!(answer["result"]["ttlMs"].is_number());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_is_the_tasks_id_and_ends_as_the_task_does() {
    let server = Server::start().await;
    let client = Client::with_tasks(&server);
    let start = |input: Value| json!({"name": "start_task", "arguments": {"kind": "mock", "input": input, "policy": {"retry": {"max_tries": 1}}}});
    let failure = |class: &str| json!({"fail": {"class": class, "code": "broken", "message": "it broke"}});
    for (input, status, state) in [
        (json!({"result": 7}), "completed", "completed"),
        (failure("validation"), "completed", "failed"),
        (failure("internal"), "failed", "failed"),
    ] {
        let made = client.ask("tools/call", start(input)).await["result"].clone();
        assert_eq!(made["resultType"], "task", "{made}");
        let id = made["taskId"].as_str().unwrap();
        server.until(id, state).await;
        let got = client.ask("tasks/get", json!({"taskId": id})).await["result"].clone();
        assert_eq!(got["status"], status, "{got}");
        match (status, state) {
            ("completed", "completed") => assert_eq!(got["result"]["structuredContent"]["result"], 7),
            ("completed", _) => {
                assert_eq!(got["result"]["isError"], true);
                assert_eq!(got["result"]["structuredContent"]["error"]["code"], "broken");
            }
            _ => assert_eq!(
                (&got["error"]["code"], &got["error"]["message"]),
                (&json!(-32603), &json!("it broke"))
            ),
        }
        if status == "completed" {
            // It is the very result that the call would have had.
            assert_eq!(got["result"]["resultType"], "complete");
        }
        // What has ended stays as it is.
        assert_eq!(
            client.ask("tasks/cancel", json!({"taskId": id})).await["result"]["resultType"],
            "complete"
        );
        assert_eq!(client.ask("tasks/get", json!({"taskId": id})).await["result"], got);
    }
    let held = server.submit(json!({"hold": true})).await;
    assert_eq!(client.ask("tasks/get", json!({"taskId": held})).await["result"]["status"], "working");
    client.ask("tasks/cancel", json!({"taskId": held})).await;
    server.until(&held, "cancelled").await;
    assert_eq!(client.ask("tasks/get", json!({"taskId": held})).await["result"]["status"], "cancelled");
    let plain = Client::plain(&server).ask("tasks/get", json!({"taskId": held})).await;
    assert_eq!(plain["error"]["code"], -32021);
    for handle in ["task_01h455vb4pex5vsknk084sn02q", "key:first", "", "../../x"] {
        let answer = client.ask("tasks/get", json!({"taskId": handle})).await;
        assert!([-32602, -32020].contains(&answer["error"]["code"].as_i64().unwrap()), "{handle}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_asked_as_forms_and_answered_once() {
    let server = Server::start().await;
    let client = Client::with_tasks(&server);
    let id = server.submit(json!({"ask": "Delete everything?"})).await;
    server.until(&id, "waiting").await;
    let got = client.ask("tasks/get", json!({"taskId": id})).await["result"].clone();
    assert_eq!(got["status"], "input_required", "{got}");
    let form = &got["inputRequests"]["ask#1"];
    assert_eq!(form["method"], "elicitation/create");
    assert_eq!(form["params"]["message"], "Delete everything?");
    assert_eq!(form["params"]["requestedSchema"]["properties"]["decision"]["enum"], json!(["yes", "no"]));
    let answer = |content: Value| json!({"taskId": id, "inputResponses": {"ask#1": {"action": "accept", "content": content}, "other": {"action": "accept"}}});
    let wrong = client.ask("tasks/update", answer(json!({"agreed": true}))).await;
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");
    let wrong = client.ask("tasks/update", answer(json!({"decision": "perhaps"}))).await;
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");
    for _ in 0..2 {
        let done = client.ask("tasks/update", answer(json!({"decision": "no"}))).await;
        assert_eq!(done["result"]["resultType"], "complete", "{done}");
    }
    assert_eq!(server.until(&id, "completed").await["result"], "no");

    // Two inputs at once: what has come is not asked for any more.
    let id = server.submit(json!({"wait_for_inputs": ["a", "b"]})).await;
    server.until(&id, "waiting").await;
    let open = |answer: &Value| -> Vec<String> {
        answer["result"]["inputRequests"].as_object().unwrap().keys().cloned().collect()
    };
    let first = client.ask("tasks/get", json!({"taskId": id})).await;
    assert_eq!(open(&first), ["input/a#1", "input/b#1"]);
    let give = |step: &str, content: Value| json!({"taskId": id, "inputResponses": {step: {"action": "accept", "content": content}}});
    client.ask("tasks/update", give("input/a#1", json!({"value": "one"}))).await;
    let second = client.ask("tasks/get", json!({"taskId": id})).await;
    assert_eq!(open(&second), ["input/b#1"]);
    client.ask("tasks/update", give("input/b#1", json!({"x": 1, "y": 2}))).await;
    assert_eq!(server.until(&id, "completed").await["result"], json!({"a": "one", "b": {"x": 1, "y": 2}}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_passes_questions_on_to_whoever_can_ask_a_person() {
    let server = Server::start().await;
    let id = server.submit(json!({"ask": "Go on?"})).await;
    let plain = Client::plain(&server).tool("wait_task", json!({"task_id": id})).await;
    assert_eq!(
        plain["questions"],
        json!([{"wants": "decision", "id": "ask#1", "prompt": "Go on?", "choices": ["yes", "no"]}])
    );
    let client = Client::with_forms(&server);
    let wait = |responses: Value| {
        let mut params = json!({"name": "wait_task", "arguments": {"task_id": id}});
        if !responses.is_null() {
            params["inputResponses"] = responses;
        }
        params
    };
    let asked = client.ask("tools/call", wait(Value::Null)).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert!(asked["result"]["inputRequests"]["ask#1"].is_object());
    let declined = client.ask("tools/call", wait(json!({"ask#1": {"action": "decline"}}))).await;
    assert_eq!(declined["result"]["structuredContent"]["state"], "waiting", "{declined}");
    let lost = client.ask("tools/call", wait(json!({"other": {"action": "accept"}}))).await;
    assert_eq!(lost["result"]["resultType"], "input_required", "{lost}");
    let yes = json!({"ask#1": {"action": "accept", "content": {"decision": "yes"}}});
    let done = client.ask("tools/call", wait(yes)).await;
    assert_eq!(done["result"]["structuredContent"]["result"], "yes", "{done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_hears_how_far_the_task_has_got() {
    let server = Server::start().await;
    let client = Client::plain(&server);
    let id = server.submit(json!({"steps": [{"name": "a"}, {"name": "b"}], "timer_ms": 3_600_000})).await;
    server.until(&id, "waiting").await;
    let params = json!({"name": "wait_task", "arguments": {"task_id": id, "timeout_s": 1}, "_meta": {"progressToken": "p"}});
    let answer = client.send("tools/call", params, &[]).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = answer.text();
    let messages: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    assert_eq!(messages[0]["method"], "notifications/progress", "{text}");
    assert_eq!(
        (&messages[0]["params"]["progressToken"], &messages[0]["params"]["progress"]),
        (&json!("p"), &json!(2.0))
    );
    assert_eq!(messages.last().unwrap()["result"]["structuredContent"]["state"], "waiting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_the_older_revision_find_their_tasks_too() {
    let server = Server::start().await;
    let hello =
        json!({"protocolVersion": OLDER, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}});
    let hello = older(&server, "initialize", hello).await;
    assert_eq!(hello["result"]["protocolVersion"], OLDER);
    assert_eq!(hello["result"]["capabilities"]["tasks"]["requests"]["tools"]["call"], json!({}));
    let tools = older(&server, "tools/list", json!({})).await;
    for tool in tools["result"]["tools"].as_array().unwrap() {
        let optional = matches!(tool["name"].as_str().unwrap(), "start_task" | "wait_task");
        assert_eq!(tool["execution"]["taskSupport"], if optional { "optional" } else { "forbidden" });
    }
    let start = |task: bool| {
        let mut params =
            json!({"name": "start_task", "arguments": {"kind": "mock", "input": {"result": [1]}}});
        if task {
            params["task"] = json!({"ttl": 60_000});
        }
        params
    };
    let plain = older(&server, "tools/call", start(false)).await;
    assert!(plain["result"]["structuredContent"]["task_id"].is_string(), "{plain}");
    assert!(plain["result"].get("resultType").is_none(), "a word of a later revision: {plain}");
    let made = older(&server, "tools/call", start(true)).await["result"]["task"].clone();
    let id = made["taskId"].as_str().unwrap();
    assert!(made["ttl"].is_null() && made["pollInterval"].is_number(), "{made}");
    let result = older(&server, "tasks/result", json!({"taskId": id})).await["result"].clone();
    assert_eq!(result["structuredContent"]["result"], json!([1]), "{result}");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
    assert_eq!(older(&server, "tasks/get", json!({"taskId": id})).await["result"]["status"], "completed");
    let list = older(&server, "tasks/list", json!({})).await;
    assert_eq!(list["result"]["tasks"][0]["taskId"], id);
    assert_eq!(older(&server, "tasks/cancel", json!({"taskId": id})).await["error"]["code"], -32602);
    let held = server.submit(json!({"hold": true})).await;
    let cancelled = older(&server, "tasks/cancel", json!({"taskId": held})).await;
    assert_eq!(cancelled["result"]["status"], "cancelled");
    let never = json!({"name": "list_tasks", "arguments": {}, "task": {}});
    assert_eq!(older(&server, "tools/call", never).await["error"]["code"], -32602);
    assert_eq!(older(&server, "tasks/get", json!({"taskId": "nothing"})).await["error"]["code"], -32602);
    // The newest revision knows neither method.
    for method in ["tasks/list", "tasks/result"] {
        let answer = Client::with_tasks(&server).ask(method, json!({"taskId": id})).await;
        assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_face_is_guarded_as_every_other_and_its_methods_are_post() {
    let server = Server::start_idle().await;
    for (name, value) in [("Host", "evil.example"), ("Origin", "https://evil.example")] {
        let client = Client::plain(&server);
        client.send("tools/list", json!({}), &[(name, value)]).await.problem(403, "forbidden");
    }
    for method in ["GET", "DELETE"] {
        let headers = [("Accept", "text/event-stream"), ("MCP-Protocol-Version", MODERN)];
        assert_eq!(server.call(method, "/mcp", &headers, b"").await.status, 405);
    }
    let nonsense =
        server.call("POST", "/mcp", &[("Accept", "application/json, text/event-stream")], b"{").await;
    assert!((400..500).contains(&nonsense.status), "{}", nonsense.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_sent_twice_with_its_idempotency_key_is_one_task() {
    let server = Server::start().await;
    let client = Client::plain(&server);
    let params = json!({"name": "start_task", "arguments": {"kind": "mock"}});
    let mut ids = Vec::new();
    for key in ["one", "one", "two"] {
        let answer = client.send("tools/call", params.clone(), &[("Idempotency-Key", key)]).await.json();
        ids.push(answer["result"]["structuredContent"]["task_id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_exposed_is_a_tool_with_its_own_schema() {
    let server = Server::start().await;
    let takes = json!({"type": "object", "properties": {"ask": {"type": "string"}, "result": {}, "fail": {}}, "additionalProperties": false});
    let offer = |kind: &str, takes: Value, expose: Value| json!({"kind": kind, "versions": [1], "about": "Counts.", "expose": expose, "input_schema": takes, "output_schema": {"type": "integer"}});
    let kinds = json!([
        offer("count", takes.clone(), json!(["mcp"])),
        offer("plain", json!({"type": "string"}), json!(["mcp"])),
        offer("hidden", takes.clone(), json!([])),
        offer("start_task", takes.clone(), json!(["mcp"])),
    ]);
    let worker = Worker::offering(&server, "counts", &kinds).await;
    let client = Client::plain(&server);
    let answer = client.ask("tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().unwrap();
    let find = |name: &str| tools.iter().filter(|tool| tool["name"] == name).collect::<Vec<_>>();
    assert_eq!((find("count").len(), find("hidden").len(), find("start_task").len()), (1, 0, 1));
    assert_eq!(find("count")[0]["inputSchema"], takes);
    assert_eq!(find("count")[0]["outputSchema"]["properties"]["result"], json!({"type": "integer"}));
    assert_eq!(find("plain")[0]["inputSchema"]["properties"]["input"], json!({"type": "string"}));
    assert!(find("start_task")[0]["inputSchema"]["properties"]["kind"].is_object());
    assert_eq!(client.refused("count", json!({"ask": 3})).await["fields"][0]["field"], "input.ask");
    let unknown = client.ask("tools/call", json!({"name": "hidden", "arguments": {}})).await;
    assert_eq!(unknown["error"]["code"], -32602);

    // The worker asks, a person answers in the second round, and the call ends as its task does.
    let forms = Client::with_forms(&server);
    let ask = json!({"name": "count", "arguments": {"ask": "how many?"}});
    let asking = async {
        let held = worker.claim(1).await["assignments"][0].clone();
        let wait = json!({"batch": 1, "for": {"input": {"id": "in#1", "name": "number"}}});
        worker.send(&held, "suspend", wait).await.expect(204);
    };
    let (asked, ()) = tokio::join!(forms.ask("tools/call", ask.clone()), asking);
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let mut again = ask;
    again["inputResponses"] = json!({"in#1": {"action": "accept", "content": {"value": "3"}}});
    again["requestState"] = asked["result"]["requestState"].clone();
    let finishing = async {
        let held = worker.claim(2).await["assignments"][0].clone();
        worker.send(&held, "finish", json!({"batch": 1, "result": 3})).await.expect(204);
    };
    let (answer, ()) = tokio::join!(forms.ask("tools/call", again), finishing);
    assert_eq!(answer["result"]["structuredContent"]["result"], 3, "{answer}");
    assert_eq!(answer["result"]["isError"], false);
    let tasks = server.get("/api/v1/tasks?kind=count").await.json();
    assert_eq!(tasks["items"].as_array().unwrap().len(), 1, "two rounds, one task");
}
