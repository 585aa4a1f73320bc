//! Receipts, exports, history.

use crate::harness::Server;
use everloop_control::testing::verify;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_verifies_with_the_published_key_and_a_changed_one_does_not() {
    let server = Server::start().await;
    let task = server.done(json!({"steps": [{"name": "a", "result": "secret"}]})).await;
    let id = task["id"].as_str().unwrap();
    let receipt = server.get(&format!("/api/v1/tasks/{id}/receipt")).await.expect(200);
    assert_eq!((&receipt["claims"]["task"], &receipt["claims"]["last_seq"]), (&json!(id), &task["last_seq"]));
    let export = server.get(&format!("/api/v1/tasks/{id}/export")).await;
    assert_eq!(export.headers["content-type"], "application/x-ndjson");
    let text = export.text();
    assert_eq!(text.lines().count() as u64, task["last_seq"].as_u64().unwrap() + 1);
    assert!(text.lines().last().unwrap().contains(receipt["receipt"].as_str().unwrap()));
    let keys = server.get("/.well-known/jwks.json").await.text();
    assert_eq!(verify(&text, &keys).as_deref(), Ok("verified"));
    let third = text.lines().nth(2).unwrap();
    let wrong = verify(&text.replace(third, &third.replace("secret", "Secret")), &keys).unwrap_err();
    assert!(wrong.contains("event 3"), "{wrong}");
    let live = server.submit(json!({"hold": true})).await;
    server.until(&live, "running").await;
    let text = server.get(&format!("/api/v1/tasks/{live}/export")).await.text();
    assert_eq!(verify(&text, &keys).as_deref(), Ok("unsigned"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_attempts_and_logs_are_told_from_the_events() {
    let server = Server::start().await;
    let task = server.done(json!({"steps": [{"name": "a", "result": 1}, {"name": "b"}], "logs": ["one", "two"], "result": 2})).await;
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    let steps = server.get(&format!("{path}/steps")).await.expect(200);
    assert_eq!(
        (&steps["items"][0]["step"], &steps["items"][0]["status"], &steps["items"][0]["result"]),
        (&json!("a#1"), &json!("completed"), &json!(1))
    );
    assert_eq!(steps["total"], 2);
    let attempts = server.get(&format!("{path}/attempts")).await.expect(200);
    let attempt = &attempts["items"][0];
    assert_eq!(
        (&attempt["status"], &attempt["steps"], &attempt["log_lines"]),
        (&json!("completed"), &json!(2), &json!(2))
    );
    let logs = server.get(&format!("{path}/attempts/1/logs?limit=1")).await.expect(200);
    assert_eq!((&logs["items"][0]["text"], &logs["items"][0]["offset"]), (&json!("one\n"), &json!(0)));
    let next = logs["next_cursor"].as_str().unwrap();
    let rest = server.get(&format!("{path}/attempts/1/logs?cursor={next}")).await.expect(200);
    assert_eq!(
        (&rest["items"][0]["text"], &rest["items"][0]["offset"], rest.get("next_cursor")),
        (&json!("two\n"), &json!(4), None)
    );
    assert_eq!(
        server.get(&format!("{path}/attempts/1/logs?level=error")).await.expect(200)["items"],
        json!([])
    );
    server.get(&format!("{path}/attempts/2/logs")).await.problem(404, "not_found");
    server.get(&format!("{path}/attempts/1/logs?level=loud")).await.problem(400, "invalid_request");
    let progress = server.get(&format!("{path}/progress")).await.expect(200);
    assert_eq!((&progress["percent"], &progress["state"]), (&json!(100), &json!("completed")));
    let output = server.get(&format!("{path}/output")).await.expect(200);
    assert_eq!((&output["result"], &output["state"]), (&json!(2), &json!("completed")));
}
