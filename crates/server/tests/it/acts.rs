//! What is wanted of tasks.

use crate::harness::Server;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_paused_resumed_and_cancelled() {
    let server = Server::start().await;
    let id = server.submit(json!({"hold": true})).await;
    let path = format!("/api/v1/tasks/{id}");
    server.until(&id, "running").await;
    let pausing = server.post(&format!("{path}/pause"), &json!({"reason": "lunch"})).await.expect(200);
    assert!(["pausing", "paused"].contains(&pausing["state"].as_str().unwrap()), "{pausing}");
    server.until(&id, "paused").await;
    let course = server.get(&format!("{path}/control-state")).await.expect(200);
    assert_eq!(course["state"], "paused");
    assert_eq!(course["last_change"]["type"], "task.paused");
    assert_eq!(course["allowed"], json!(["resume", "cancel", "input", "fork"]));
    server.post(&format!("{path}/pause"), &json!({})).await.expect(200);
    server.call("POST", &format!("{path}/resume"), &[], b"").await.expect(200);
    server.until(&id, "running").await;
    server.post(&format!("{path}/resume"), &json!({})).await.problem(409, "illegal_transition");
    server.post(&format!("{path}/cancel"), &json!({"reason": "enough"})).await.expect(200);
    server.until(&id, "cancelled").await;
    server.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    server.post(&format!("{path}/pause"), &json!({})).await.problem(409, "illegal_transition");
    server.post(&format!("{path}/cancel"), &json!({"why": 1})).await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_and_decisions_reach_the_task_and_stand_in_the_inbox_before() {
    let server = Server::start().await;
    let asking = server.submit(json!({"wait_for_input": "answer"})).await;
    let deciding = server.submit(json!({"ask": "Shall I?"})).await;
    server.until(&asking, "waiting").await;
    server.until(&deciding, "waiting").await;
    let inbox = server.get("/api/v1/inbox").await.expect(200);
    let items = inbox["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{inbox}");
    assert_eq!((&items[0]["wants"], &items[0]["id"]), (&json!("input"), &json!("answer")));
    assert_eq!(
        (&items[1]["wants"], &items[1]["prompt"], &items[1]["choices"]),
        (&json!("decision"), &json!("Shall I?"), &json!(["yes", "no"]))
    );

    let path = format!("/api/v1/tasks/{asking}/input");
    let sent =
        server.post(&path, &json!({"name": "answer", "data": {"x": [1]}, "id": "mine"})).await.expect(200);
    assert_eq!(sent["id"], "mine");
    let done = server.until(&asking, "completed").await;
    assert_eq!(done["result"], json!({"x": [1]}));
    // Sent again it is the same input, taken or not; under its id nothing else is.
    let again = json!({"name": "answer", "data": {"x": [1.0]}, "id": "mine"});
    assert_eq!(server.post(&path, &again).await.expect(200)["id"], "mine");
    for other in [
        json!({"name": "answer", "data": 2, "id": "mine"}),
        json!({"name": "else", "data": {"x": [1]}, "id": "mine"}),
    ] {
        let problem = server.post(&path, &other).await.problem(409, "idempotency_conflict");
        assert!(problem["detail"].as_str().unwrap().contains("mine"), "{problem}");
    }
    server.post(&path, &json!({"name": "answer"})).await.problem(409, "illegal_transition");
    server.post(&path, &json!({"data": 1})).await.problem(400, "invalid_request");

    let url = items[1]["answer_url"].as_str().unwrap();
    server.post(url, &json!({"id": "no#1", "decision": "yes"})).await.problem(404, "not_found");
    let wrong = server.post(url, &json!({"id": items[1]["id"], "decision": "maybe"})).await;
    let wrong = wrong.problem(400, "invalid_request");
    assert_eq!(wrong["errors"][0], json!({"field": "decision", "message": "must be one of: yes, no"}));
    let path = format!("/api/v1/tasks/{deciding}/input");
    let early = |data: u8| json!({"name": "later", "data": data, "id": "early"});
    for _ in 0..2 {
        server.post(&path, &early(1)).await.expect(200);
    }
    server.post(&path, &early(2)).await.problem(409, "idempotency_conflict");
    // What goes into a blob is held against what is in it.
    let large = |letter: &str| json!({"name": "later", "data": letter.repeat(300_000), "id": "large"});
    for _ in 0..2 {
        server.post(&path, &large("a")).await.expect(200);
    }
    server.post(&path, &large("b")).await.problem(409, "idempotency_conflict");
    server.post(url, &json!({"id": items[1]["id"], "decision": "yes", "note": "why not"})).await.expect(200);
    let done = server.until(&deciding, "completed").await;
    assert_eq!(done["result"], "yes");
    let late = server
        .post(url, &json!({"id": items[1]["id"], "decision": "no"}))
        .await
        .problem(409, "already_decided");
    assert!(late["detail"].as_str().unwrap().contains("yes"), "{late}");
    assert_eq!(server.get("/api/v1/inbox").await.expect(200)["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_changed_under_its_version_and_deleted_once_it_has_ended() {
    let server = Server::start().await;
    let id = server.submit(json!({"hold": true})).await;
    let path = format!("/api/v1/tasks/{id}");
    server.until(&id, "running").await;
    let answer = server.get(&path).await;
    let tag = answer.headers["etag"].clone();
    assert_eq!(server.call("GET", &path, &[("If-None-Match", &tag)], b"").await.status, 304);
    let patch = br#"{"title":"Better","labels":{"a":"b"},"policy":{"priority":5}}"#;
    let changed = server.call("PATCH", &path, &[("If-Match", &tag)], patch).await.expect(200);
    assert_eq!((&changed["title"], &changed["policy"]["priority"]), (&json!("Better"), &json!(5)));
    server.call("PATCH", &path, &[("If-Match", &tag)], patch).await.problem(412, "precondition_failed");
    assert_eq!(server.call("GET", &path, &[("If-None-Match", &tag)], b"").await.status, 200);
    server.call("PATCH", &path, &[], br#"{"kind":"other"}"#).await.problem(400, "invalid_request");
    server.call("PATCH", &path, &[], br#"{"policy":{"priority":500}}"#).await.problem(400, "invalid_request");
    server.call("DELETE", &path, &[], b"").await.problem(409, "illegal_transition");
    server.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    server.until(&id, "cancelled").await;
    server.call("PATCH", &path, &[], br#"{"title":"x"}"#).await.problem(409, "illegal_transition");
    server.call("DELETE", &path, &[], b"").await.expect(204);
    server.get(&path).await.problem(404, "not_found");
    server.call("DELETE", &path, &[], b"").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_deleted_task_says_so() {
    let server = Server::start().await;
    server.post("/api/v1/tasks?wait=20s", &json!({"kind": "mock", "key": "gone"})).await.expect(201);
    server.call("DELETE", "/api/v1/tasks/key:gone", &[], b"").await.expect(204);
    server.get("/api/v1/tasks/key:gone").await.problem(410, "task_deleted");
    server.post("/api/v1/tasks", &json!({"kind": "mock", "key": "gone"})).await.problem(410, "task_deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_task_is_a_dead_letter_and_is_redriven_by_a_fork() {
    let server = Server::start().await;
    let error = json!({"class": "validation", "code": "bad_input", "message": "no"});
    let input = json!({"steps": [{"name": "a", "result": 1}, {"name": "b", "result": 2}], "fail": error});
    let failed = server.done(input).await;
    assert_eq!((&failed["state"], &failed["error"]), (&json!("failed"), &error));
    let id = failed["id"].as_str().unwrap();
    let dead = server.get("/api/v1/dead-letters").await.expect(200);
    assert_eq!((&dead["total"], &dead["items"][0]["id"]), (&json!(1), &failed["id"]));
    let headers = [("Idempotency-Key", "again")];
    let path = format!("/api/v1/dead-letters/{id}/redrive");
    let fork = server.call("POST", &path, &headers, b"").await.expect(201);
    assert_eq!(fork["forked_from"]["task"], failed["id"]);
    assert_eq!(server.call("POST", &path, &headers, b"").await.expect(200)["id"], fork["id"]);
    let steps =
        server.get(&format!("/api/v1/tasks/{}/steps", fork["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(steps["items"][0]["step"], "a#1", "{steps}");

    let from_step = server
        .post(
            &format!("/api/v1/tasks/{id}/fork"),
            &json!({"from_step": "b#1", "key": "f", "input": {"result": 3}}),
        )
        .await
        .expect(201);
    let forked = server.until(from_step["id"].as_str().unwrap(), "completed").await;
    assert_eq!((&forked["result"], &forked["key"]), (&json!(3), &json!("f")));
    let steps =
        server.get(&format!("/api/v1/tasks/{}/steps", from_step["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(steps["items"].as_array().unwrap().len(), 1, "what came before b: {steps}");
    let wrong = server.post(&format!("/api/v1/tasks/{id}/fork"), &json!({"from_step": "z#1"})).await;
    assert!(wrong.problem(400, "invalid_request")["detail"].as_str().unwrap().contains("a#1"));
    server
        .post(&format!("/api/v1/tasks/{id}/fork"), &json!({"upto_seq": 1000}))
        .await
        .problem(400, "invalid_request");
    redriven_tasks_do_the_same_work_again(&server).await;
    let good = server.done(json!({})).await;
    server
        .post(&format!("/api/v1/dead-letters/{}/redrive", good["id"].as_str().unwrap()), &json!({}))
        .await
        .problem(409, "illegal_transition");
}

/// Under the key of the first, which is then no longer the first one's; a repeated request is the same redrive.
async fn redriven_tasks_do_the_same_work_again(server: &Server) {
    let error = json!({"class": "validation", "code": "bad_input", "message": "no"});
    let body = json!({"kind": "mock", "key": "work", "input": {"fail": error}});
    let first = server.post("/api/v1/tasks?wait=20s", &body).await.expect(201);
    let redrive = |id: &serde_json::Value| format!("/api/v1/dead-letters/{}/redrive", id.as_str().unwrap());
    let second = server.call("POST", &redrive(&first["id"]), &[], b"").await.expect(201);
    assert_eq!((&second["key"], &second["forked_from"]["keys_of"]), (&json!("work"), &first["id"]));
    assert_eq!(server.call("POST", &redrive(&first["id"]), &[], b"").await.expect(200)["id"], second["id"]);
    // Whoever asks for the work under its key is given the task that does it now.
    assert_eq!(server.post("/api/v1/tasks", &body).await.expect(200)["id"], second["id"]);
    let other = json!({"kind": "mock", "key": "work"});
    server.post("/api/v1/tasks", &other).await.problem(409, "idempotency_conflict");
    server.until(second["id"].as_str().unwrap(), "failed").await;
    let third = server.call("POST", &redrive(&second["id"]), &[], b"").await.expect(201);
    assert_eq!(third["forked_from"]["keys_of"], first["id"]);
    assert_eq!(server.get("/api/v1/tasks/key:work").await.expect(200)["id"], third["id"]);
    server.call("POST", &redrive(&first["id"]), &[], b"").await.problem(409, "idempotency_conflict");
    assert_eq!(server.post("/api/v1/tasks", &body).await.expect(200)["id"], third["id"]);
    let mine = json!({"key": "work"});
    let path = |id: &serde_json::Value| format!("/api/v1/tasks/{}/fork", id.as_str().unwrap());
    server.post(&path(&first["id"]), &mine).await.problem(409, "idempotency_conflict");
    server.until(third["id"].as_str().unwrap(), "failed").await;
    let fork = server.post(&path(&third["id"]), &mine).await.expect(201);
    assert_eq!((&fork["key"], fork["forked_from"].get("keys_of")), (&json!("work"), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_acts_are_counted_before_they_are_done() {
    let server = Server::start_idle().await;
    for i in 0..5 {
        let body = json!({"kind": "mock", "labels": {"team": if i < 3 { "a" } else { "b" }}});
        server.post("/api/v1/tasks", &body).await.expect(201);
    }
    let act = |act: &str, expect: Value| {
        let mut body = json!({"act": act, "filter": {"labels": {"team": "a"}}});
        if !expect.is_null() {
            body["expect"] = expect;
        }
        body
    };
    let counted = server.post("/api/v1/tasks/bulk", &act("pause", Value::Null)).await.expect(200);
    assert_eq!((&counted["matched"], &counted["done"]), (&json!(3), &json!(0)));
    server.post("/api/v1/tasks/bulk", &act("pause", json!(2))).await.problem(412, "precondition_failed");
    let done = server.post("/api/v1/tasks/bulk", &act("pause", json!(3))).await.expect(200);
    assert_eq!((&done["matched"], &done["done"]), (&json!(3), &json!(3)));
    assert_eq!(server.get("/api/v1/tasks?state=paused").await.expect(200)["total"], 3);
    assert_eq!(server.post("/api/v1/tasks/bulk", &act("resume", json!(3))).await.expect(200)["done"], 3);
    assert_eq!(server.post("/api/v1/tasks/bulk", &act("cancel", json!(3))).await.expect(200)["done"], 3);
    server
        .post("/api/v1/tasks/bulk", &json!({"act": "eat", "filter": {}}))
        .await
        .problem(400, "invalid_request");
    let wrong = json!({"act": "resume", "filter": {"state": ["completed"]}});
    server.post("/api/v1/tasks/bulk", &wrong).await.problem(400, "invalid_request");
}
