//! Which requests are repeated, and with what.

use crate::script::{Script, answer};
use everloop_api::task::TaskRequest;
use everloop_client::error::ClientError;
use everloop_types::error::Code;

const PROBLEM: &str = r#"{"type":"/api/v1/docs#x","title":"t","status":STATUS,"detail":"d","code":"CODE","class":"transient","request_id":"req_x","timestamp":"2026-01-01T00:00:00Z"}"#;

fn problem(status: &str, code: &str) -> String {
    let body = PROBLEM.replace("STATUS", &status[..3]).replace("CODE", code);
    answer(status, "application/problem+json", &body)
}

#[tokio::test]
async fn a_submit_is_repeated_under_the_same_request_key() {
    let script = Script::new(vec![
        String::new(),
        problem("503 Service Unavailable", "overloaded"),
        problem("409 Conflict", "idempotency_conflict"),
    ])
    .await;
    let error = script.client.submit(&TaskRequest::new("mock"), None).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::IdempotencyConflict));
    let keys: Vec<_> = (0..3).map(|nth| script.header(nth, "idempotency-key").unwrap()).collect();
    assert!(keys[0].starts_with("req_") && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_neither_is_what_might_act_twice() {
    let script = Script::new(vec![problem("404 Not Found", "not_found")]).await;
    assert_eq!(script.client.task("x", None).await.unwrap_err().code(), Some(Code::NotFound));
    assert_eq!(script.asked().len(), 1);
    let script = Script::new(vec![problem("503 Service Unavailable", "overloaded"), String::new()]).await;
    assert_eq!(script.client.redrive("x").await.unwrap_err().code(), Some(Code::Overloaded));
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn whoever_never_answers_is_unreachable_after_some_tries() {
    let script = Script::new(vec![String::new(); 4]).await;
    let error = script.client.about().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert_eq!(script.asked().len(), 4);
}
