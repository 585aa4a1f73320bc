//! Everything that a request can get wrong.

use crate::harness::Server;
use serde_json::{Value, json};

fn fields(problem: &Value) -> Vec<&str> {
    problem["errors"]
        .as_array()
        .map(|all| all.iter().filter_map(|error| error["field"].as_str()).collect())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bodies_are_refused_with_the_field_and_the_remedy() {
    let server = Server::start_idle().await;
    let deep = format!("{{\"kind\":\"mock\",\"input\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let large = format!("{{\"kind\":\"mock\",\"metadata\":\"{}\"}}", "x".repeat(257 * 1024));
    let long_key = format!("{{\"kind\":\"mock\",\"key\":\"{}\"}}", "k".repeat(201));
    let cases: Vec<(&[u8], u16, &str, &str)> = vec![
        (b"{", 400, "not_canonical", "$"),
        (b"nonsense", 400, "not_canonical", "$"),
        (b"{} {}", 400, "not_canonical", "$"),
        (b"{\"kind\":\"mock\",\"kind\":\"mock\"}", 400, "not_canonical", "$.kind"),
        (b"{\"kind\":\"mock\",\"input\":{\"a\":1,\"a\":2}}", 400, "not_canonical", "$.input.a"),
        (b"{\"kind\":\"\xff\"}", 400, "not_canonical", "$"),
        (br#"{"kind":"mock","input":"\ud800"}"#, 400, "not_canonical", "$.input"),
        (br#"{"kind":"mock","input":1e999}"#, 400, "not_canonical", "$.input"),
        (br#"{"kind":"mock","input":18446744073709551617}"#, 400, "not_canonical", "$.input"),
        (deep.as_bytes(), 400, "not_canonical", ""),
        (b"[]", 400, "invalid_request", "$"),
        (b"null", 400, "invalid_request", "$"),
        (b"{}", 400, "invalid_request", "kind"),
        (br#"{"kidn":"mock"}"#, 400, "invalid_request", "kidn"),
        (br#"{"kind":"mock","policy":{"retries":3}}"#, 400, "invalid_request", "policy.retries"),
        (br#"{"kind":"mock","policy":{"retry":[1]}}"#, 400, "invalid_request", "policy.retry"),
        (br#"{"kind":7}"#, 400, "invalid_request", "kind"),
        (br#"{"kind":"mock","not_before":"soon"}"#, 400, "invalid_request", "not_before"),
        (
            br#"{"kind":"mock","depends_on":[{"task":"task_1"}]}"#,
            400,
            "invalid_request",
            "depends_on[0].task",
        ),
        (br#"{"kind":"mock","labels":{"a b":"c"}}"#, 400, "invalid_request", "labels.a b"),
        (br#"{"kind":"mock","title":"a\u0000b"}"#, 400, "invalid_request", "title"),
        (br#"{"kind":"mock","key":"a\u0000b"}"#, 400, "invalid_request", "key"),
        (br#"{"kind":"mock","key":""}"#, 400, "invalid_request", "key"),
        (long_key.as_bytes(), 400, "invalid_request", "key"),
        (br#"{"kind":"No Kind"}"#, 400, "invalid_request", "kind"),
        (br#"{"kind":"mock","queue":"-x"}"#, 400, "invalid_request", "queue"),
        (br#"{"kind":"mock","policy":{"priority":101}}"#, 400, "invalid_request", "policy.priority"),
        (br#"{"kind":"mock","policy":{"priority":99999999999}}"#, 400, "invalid_request", "policy.priority"),
        (
            br#"{"kind":"mock","policy":{"retry":{"max_tries":0}}}"#,
            400,
            "invalid_request",
            "policy.retry.max_tries",
        ),
        (
            br#"{"kind":"mock","policy":{"concurrency":{"key":"a","limit":0}}}"#,
            400,
            "invalid_request",
            "policy.concurrency.limit",
        ),
        (
            br#"{"kind":"mock","parent":{"task":"task_01h2xcejqtf2nbrexx3vqjhp41"}}"#,
            400,
            "invalid_request",
            "parent.task",
        ),
        (
            br#"{"kind":"mock","depends_on":[{"task":"task_01h2xcejqtf2nbrexx3vqjhp41"}]}"#,
            400,
            "invalid_request",
            "depends_on[0].task",
        ),
        (br#"{"kind":"mokc"}"#, 400, "unknown_kind", "kind"),
        (large.as_bytes(), 413, "too_large", "metadata"),
    ];
    for (body, status, code, field) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]);
        let answer = server.call("POST", "/api/v1/tasks", &[], body).await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        let problem = answer.problem(status, code);
        if !field.is_empty() {
            assert_eq!(fields(&problem), [field], "{shown}: {problem}");
        }
    }
    let problem = server.post("/api/v1/tasks", &json!({"kind": "mokc"})).await.problem(400, "unknown_kind");
    assert!(problem["hint"].as_str().unwrap().contains("did you mean \"mock\"?"), "{problem}");
    assert_eq!(server.get("/api/v1/tasks").await.json()["total"], 0, "nothing of it left a trace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_field_is_named_at_once() {
    let server = Server::start_idle().await;
    let body = json!({"kind": "mock", "queue": "A", "title": "a\nb", "policy": {"priority": -101, "lease_ms": 1}, "requires": ["x", "Y"]});
    let problem = server.post("/api/v1/tasks", &body).await.problem(400, "invalid_request");
    assert_eq!(fields(&problem), ["queue", "title", "requires[1]", "policy.priority", "policy.lease_ms"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_large_or_of_another_type_are_refused() {
    let server = Server::start_idle().await;
    let headers = [("Content-Length", "17000000")];
    let mut wire = crate::http::Wire::open(server.address).await;
    wire.send(&crate::http::request("POST", "/api/v1/tasks", &headers, b"{")).await;
    wire.answer(false).await.problem(413, "too_large");
    // Without a length, the limit is met on the way.
    let mut wire = crate::http::Wire::open(server.address).await;
    wire.send(b"POST /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let (mut chunk, piece) = (b"100000\r\n".to_vec(), vec![b' '; 0x10_0000]);
    chunk.extend(piece);
    chunk.extend(b"\r\n");
    for _ in 0..17 {
        // The server may have heard enough before the end.
        if wire.try_send(&chunk).await.is_err() {
            break;
        }
    }
    wire.answer(false).await.problem(413, "too_large");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    server.call("POST", "/api/v1/tasks", &form, b"kind=mock").await.problem(415, "unsupported_media_type");
    server.call("POST", "/api/v1/tasks", &[], b"").await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_paths_methods_and_parameters_are_problems_too() {
    let server = Server::start_idle().await;
    for path in [
        "/nothing",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v1/tasks/",
        "/api/v2/tasks",
        "/api/v1/tasks/task_01h2xcejqtf2nbrexx3vqjhp41",
        "/api/v1/tasks/nonsense",
        "/api/v1/tasks/key:absent",
        "/api/v1/tasks/key:",
        "/api/v1/kinds/none",
        "/api/v1/workers/x",
        "/api/v1/tasks/task_01h2xcejqtf2nbrexx3vqjhp41/events",
        "/api/v1/tasks/task_01h2xcejqtf2nbrexx3vqjhp41/steps",
        "/api/v1/tasks/task_01h2xcejqtf2nbrexx3vqjhp41/receipt",
        "/api/v1/tasks/task_01h2xcejqtf2nbrexx3vqjhp41/export",
        "/api/v1/tasks/task_01h2xcejqtf2nbrexx3vqjhp41/children",
        "/api/v1/tasks/task_01h2xcejqtf2nbrexx3vqjhp41/attempts/1/logs",
    ] {
        server.get(path).await.problem(404, "not_found");
    }
    for (method, path, allow) in [
        ("PUT", "/api/v1/tasks", "GET,HEAD,POST"),
        ("DELETE", "/health", "GET,HEAD"),
        ("GET", "/api/v1/tasks/x/pause", "POST"),
    ] {
        let answer = server.call(method, path, &[], b"").await;
        answer.problem(405, "method_not_allowed");
        let mut allowed: Vec<_> = answer.headers["allow"].split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{path}");
    }
    for (path, wrong) in [
        ("/api/v1/tasks?limt=1", vec!["limt"]),
        ("/api/v1/tasks?limit=0", vec!["limit"]),
        ("/api/v1/tasks?limit=201", vec!["limit"]),
        (
            "/api/v1/tasks?limit=x&state=done,queued&label=x&priority=high",
            vec!["priority", "label", "state", "limit"],
        ),
        ("/api/v1/tasks?limit=1&limit=2", vec!["limit"]),
        ("/api/v1/tasks?cursor=zzz", vec!["cursor"]),
        ("/api/v1/tasks?order=random", vec!["order"]),
        ("/api/v1/tasks?q=%ff", vec!["?"]),
        ("/api/v1/events?after=zzz", vec!["after"]),
        ("/api/v1/events?types=Nope", vec!["types"]),
        ("/api/v1/stats?verbose=1", vec!["verbose"]),
        ("/api/v1/queues/No", vec!["queue"]),
    ] {
        let problem = server.get(path).await.problem(400, "invalid_request");
        let mut found = fields(&problem);
        found.sort_unstable();
        let mut wrong = wrong;
        wrong.sort_unstable();
        assert_eq!(found, wrong, "{path}: {problem}");
    }
    let types = server.get("/api/v1/events?types=step.*,TOOL_X").await.problem(400, "invalid_request");
    assert!(types["detail"].as_str().unwrap().contains("TOOL_X"), "{types}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fails_is_a_503_that_may_be_tried_again() {
    let server = Server::start_idle().await;
    server.store.fail_next(everloop_control::testing::Fault::Full);
    let answer = server.post("/api/v1/tasks", &json!({"kind": "mock"})).await;
    answer.problem(503, "storage_full");
    assert!(answer.headers.contains_key("retry-after"));
    server.post("/api/v1/tasks", &json!({"kind": "mock"})).await.expect(201);
    server.store.set_available(false);
    server.get("/api/v1/tasks").await.problem(503, "storage_unavailable");
    assert_eq!(server.get("/health").await.expect(503)["status"], "degraded");
    server.get("/health/live").await.expect(200);
    server.get("/health/ready").await.expect(503);
    server.store.set_available(true);
    server.get("/api/v1/tasks").await.expect(200);
}
