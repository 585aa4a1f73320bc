//! Submitting tasks.

use crate::harness::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_done_and_answered_with_its_result() {
    let server = Server::start().await;
    let body = json!({"kind": "mock", "key": "digest-1", "title": "A title", "labels": {"team": "docs"},
        "input": {"steps": [{"name": "a", "result": 1}], "result": {"b": [1, null]}}, "metadata": null});
    let answer = server.post("/api/v1/tasks?wait=20s", &body).await;
    let task = answer.expect(201);
    assert_eq!(task["state"], "completed");
    assert_eq!(task["result"], json!({"b": [1, null]}));
    assert_eq!(task["input"], body["input"]);
    assert_eq!(
        (&task["title"], &task["labels"], &task["key"]),
        (&body["title"], &body["labels"], &body["key"])
    );
    assert_eq!(task["last_seq"], 4);
    let id = task["id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/api/v1/tasks/{id}"));
    assert_eq!(task["links"]["stream_url"], format!("/api/v1/tasks/{id}/events"));
    assert_eq!(task["links"]["receipt"], format!("/api/v1/tasks/{id}/receipt"));
    let read = server.get(&format!("/api/v1/tasks/{id}")).await.expect(200);
    assert_eq!(read, task, "what was answered from memory is what is stored");
    assert_eq!(server.get("/api/v1/tasks/key:digest-1").await.expect(200), task);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_is_the_same_task_and_another_request_is_refused() {
    let server = Server::start().await;
    let body = json!({"kind": "mock", "key": "k", "input": {"result": 7}});
    let first = server.post("/api/v1/tasks?wait=20s", &body).await.expect(201);
    // Another way to write the same request.
    let again = server
        .call("POST", "/api/v1/tasks", &[], br#"{ "input": {"result": 7.0}, "key":"k","kind":"mock" }"#)
        .await;
    assert_eq!(again.expect(200), first, "with its result, though nobody waited");
    let other = server.post("/api/v1/tasks", &json!({"kind": "mock", "key": "k"})).await;
    other.problem(409, "idempotency_conflict");
    // The header is a namespace of its own.
    let headers = [("Idempotency-Key", "k")];
    let one = server.call("POST", "/api/v1/tasks", &headers, br#"{"kind":"mock"}"#).await.expect(201);
    let two =
        server.call("POST", "/api/v1/tasks?wait=20s", &headers, br#"{"kind":"mock"}"#).await.expect(200);
    assert_eq!(one["id"], two["id"]);
    assert_ne!(one["id"], first["id"]);
    server
        .call("POST", "/api/v1/tasks", &headers, br#"{"kind":"mock","title":"x"}"#)
        .await
        .problem(409, "idempotency_conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_with_the_task_as_it_stands() {
    let server = Server::start().await;
    let task = server
        .post("/api/v1/tasks?wait=50ms", &json!({"kind": "mock", "input": {"hold": true}}))
        .await
        .expect(201);
    assert_eq!(task["state"], "running");
    let id = task["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/v1/tasks/{id}?wait=20ms")).await.expect(200)["state"], "running");
    let path = format!("/api/v1/tasks/{id}?wait=20s");
    let (waited, _) = tokio::join!(server.get(&path), async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        server.post(&format!("/api/v1/tasks/{id}/cancel"), &json!({"reason": "enough"})).await.expect(200)
    });
    assert_eq!(waited.expect(200)["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_takes_or_refuses_each_by_itself() {
    let server = Server::start().await;
    let body = json!({"tasks": [{"kind": "mock", "key": "a"}, {"kind": "none"}, {"kind": "mock", "key": "a"},
        {"kind": "mock", "queue": "No Queue", "policy": {"priority": 101}}]});
    let headers = [("Idempotency-Key", "batch-1")];
    let answer =
        server.call("POST", "/api/v1/tasks/batch", &headers, body.to_string().as_bytes()).await.expect(200);
    assert_eq!(
        (&answer["created"], &answer["existing"], &answer["refused"]),
        (&json!(1), &json!(1), &json!(2))
    );
    let outcomes = answer["outcomes"].as_array().unwrap();
    assert!(outcomes[0]["created"]["id"].is_string());
    assert_eq!(outcomes[1]["refused"]["code"], "unknown_kind");
    assert_eq!(outcomes[1]["refused"]["errors"][0]["field"], "tasks[1].kind");
    assert_eq!(outcomes[2]["existing"]["id"], outcomes[0]["created"]["id"]);
    let fields: Vec<_> =
        outcomes[3]["refused"]["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert_eq!(fields, ["tasks[3].queue", "tasks[3].policy.priority"]);
    let again =
        server.call("POST", "/api/v1/tasks/batch", &headers, body.to_string().as_bytes()).await.expect(200);
    assert_eq!((&again["created"], &again["existing"]), (&json!(0), &json!(2)));
    server.post("/api/v1/tasks/batch", &json!({"tasks": []})).await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_go_in_at_once() {
    let server = Server::start().await;
    let tasks: Vec<_> = (0..1_000).map(|i| json!({"kind": "mock", "key": format!("k{i}")})).collect();
    let answer = server.post("/api/v1/tasks/batch", &json!({"tasks": tasks})).await.expect(200);
    assert_eq!(answer["created"], 1_000);
    let twice = [tasks.clone(), tasks].concat();
    server.post("/api/v1/tasks/batch", &json!({"tasks": twice})).await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitting_and_following_is_one_request() {
    let server = Server::start().await;
    let mut wire = crate::http::Wire::open(server.address).await;
    wire.send(&crate::http::request("POST", "/api/v1/tasks?stream=true", &[], br#"{"kind":"mock"}"#)).await;
    let mut stream = crate::harness::Sse::open(wire).await;
    assert_eq!(stream.status, 201);
    assert!(stream.headers["location"].starts_with("/api/v1/tasks/task_"));
    let types: Vec<_> = stream.rest().await.into_iter().map(|(_, event)| event).collect();
    assert_eq!(types, ["task.submitted", "task.started", "task.completed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_stands_for_a_large_input() {
    let server = Server::start().await;
    let bytes = vec![0x80_u8; 300 * 1024];
    let headers = [("Content-Type", "application/x-test")];
    let put = server.call("POST", "/api/v1/blobs", &headers, &bytes).await;
    let blob = put.expect(201);
    let again = server.call("POST", "/api/v1/blobs", &headers, &bytes).await.expect(201);
    assert_eq!(blob, again, "equal bytes are kept once");
    let got = server.get(&put.headers["location"]).await;
    assert_eq!((got.status, got.body == bytes), (200, true));
    assert_eq!(got.headers["content-type"], "application/x-test");
    assert_eq!(got.headers["content-disposition"], "attachment");
    server.post("/api/v1/tasks", &json!({"kind": "mock", "input": blob})).await.expect(201);
    let nested = server.post("/api/v1/tasks", &json!({"kind": "mock", "input": {"file": blob}})).await;
    assert_eq!(nested.problem(400, "invalid_request")["errors"][0]["field"], "input");
    let mut wrong = blob.clone();
    wrong["$blob"]["size"] = json!(1);
    server
        .post("/api/v1/tasks", &json!({"kind": "mock", "input": wrong}))
        .await
        .problem(400, "invalid_request");
    server.get("/api/v1/blobs/nothing").await.problem(404, "not_found");
}
