//! A task whose events are gone but for the last one: what every face says of it.

use crate::harness::Server;
use everloop_control::testing::{EVENTS_KEPT, verify};
use serde_json::{Value, json};
use std::time::Duration;

/// A finished task, trimmed.
async fn trimmed(server: &Server) -> (String, u64) {
    let task = server.done(json!({"steps": [{"name": "a", "events": 2}, {"name": "b"}], "result": 7})).await;
    let (id, last) = (task["id"].as_str().unwrap().to_owned(), task["last_seq"].as_u64().unwrap());
    server.clock.advance(EVENTS_KEPT + Duration::from_secs(1));
    for _ in 0..4_000 {
        let page = server.get(&format!("/api/v1/tasks/{id}/events")).await.expect(200);
        if page["items"][0]["seq"] == last {
            return (id, last);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the task was never trimmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_from_below_is_told_what_is_gone_and_gets_the_rest() {
    let server = Server::start().await;
    let (id, last) = trimmed(&server).await;
    let path = format!("/api/v1/tasks/{id}/events");
    for after in [0, 3] {
        let mut stream = server.follow(&format!("{path}?after={after}"), &[]).await;
        let (seq, event, data) = stream.event().await.unwrap();
        assert_eq!((seq, event.as_str()), ((last - 1).to_string(), "stream.compacted"));
        assert_eq!((&data["first_seq"], &data["last_seq"]), (&json!(after + 1), &json!(last - 1)));
        assert_eq!(data["anchor"].as_str().unwrap().split('.').count(), 3);
        assert_eq!(stream.rest().await, [(last.to_string(), "task.completed".to_owned())]);
    }
    // Whoever knows all that is gone hears nothing of it.
    let mut stream = server.follow(&format!("{path}?after={}", last - 1), &[]).await;
    assert_eq!(stream.rest().await.len(), 1);
    assert_eq!(server.follow(&path, &[("Last-Event-ID", &last.to_string())]).await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_export_begins_with_the_anchor_and_verifies() {
    let server = Server::start().await;
    let (id, _) = trimmed(&server).await;
    let export = server.get(&format!("/api/v1/tasks/{id}/export")).await;
    let export = String::from_utf8(export.body.clone()).unwrap();
    let lines: Vec<&str> = export.lines().collect();
    assert_eq!(lines.len(), 3, "{export}");
    assert!(lines[0].starts_with("{\"anchor\":") && lines[2].starts_with("{\"receipt\":"));
    let jwks = String::from_utf8(server.get("/.well-known/jwks.json").await.body.clone()).unwrap();
    assert_eq!(verify(&export, &jwks), Ok("verified".to_owned()));
    let tampered = export.replace("task.completed", "task.cancelled");
    assert!(verify(&tampered, &jwks).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_record_and_result_are_there_and_what_needs_its_events_says_so() {
    let server = Server::start().await;
    let (id, _) = trimmed(&server).await;
    let task = server.get(&format!("/api/v1/tasks/{id}")).await.expect(200);
    assert_eq!((&task["state"], &task["result"]), (&json!("completed"), &json!(7)));
    assert_eq!(task.get("input"), None);
    assert_eq!(server.get(&format!("/api/v1/tasks/{id}/output")).await.expect(200)["result"], 7);
    for part in ["progress", "control-state", "receipt", "attempts", "children"] {
        server.get(&format!("/api/v1/tasks/{id}/{part}")).await.expect(200);
    }
    let steps = server.get(&format!("/api/v1/tasks/{id}/steps")).await.expect(200);
    assert_eq!(steps["items"], Value::Array(Vec::new()));
    let fork = server.post(&format!("/api/v1/tasks/{id}/fork"), &json!({})).await.expect(409);
    assert!(fork["detail"].as_str().unwrap().contains("not kept any more"), "{fork}");
}
