//! What a worker says of its kinds when it registers, and what tasks of them get and are held to.

use crate::harness::Server;
use serde_json::{Value, json};

fn worker(offer: &Value) -> Value {
    json!({"name": "digests", "protocol": 1, "kinds": [offer], "max_concurrent_tasks": 1})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_held_to_the_schema_of_their_kind_and_get_its_defaults() {
    let server = Server::start_idle().await;
    let schema = json!({"type": "object", "required": ["urls"],
        "properties": {"urls": {"type": "array", "items": {"type": "string", "pattern": "^https?:"}}}});
    let offer = json!({"kind": "digest", "versions": [1], "about": "counts", "expose": ["mcp"], "input_schema": schema,
        "output_schema": {"type": "integer"},
        "defaults": {"queue": "slow", "policy": {"timeout_ms": 5000, "priority": 7, "retry": {"max_tries": 9}}}});
    server.post("/api/v1/workers", &worker(&offer)).await.expect(201);
    let kind = server.get("/api/v1/kinds/digest").await.expect(200);
    for member in ["about", "expose", "input_schema", "output_schema"] {
        assert_eq!(kind[member], offer[member], "{kind}");
    }
    assert_eq!(kind["defaults"]["queue"], "slow");

    let good = json!({"kind": "digest", "input": {"urls": ["https://a"]}, "policy": {"priority": 3}});
    let task = server.post("/api/v1/tasks", &good).await.expect(201);
    let policy = &task["policy"];
    assert_eq!(
        (&task["queue"], &policy["timeout_ms"], &policy["priority"], &policy["retry"]["max_tries"]),
        (&json!("slow"), &json!(5000), &json!(3), &json!(9)),
        "{task}"
    );
    let own = json!({"kind": "digest", "input": {"urls": []}, "queue": "high"});
    assert_eq!(server.post("/api/v1/tasks", &own).await.expect(201)["queue"], "high");

    for (input, field) in [
        (json!({"urls": ["https://a", "secret://"]}), "input.urls[1]"),
        (json!({"urls": [3]}), "input.urls[0]"),
        (json!({}), "input"),
        (json!(null), "input"),
    ] {
        let answer = server.post("/api/v1/tasks", &json!({"kind": "digest", "input": input})).await;
        let problem = answer.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
    let none = server.post("/api/v1/tasks", &json!({"kind": "digest"})).await;
    assert_eq!(none.problem(400, "invalid_request")["errors"][0]["field"], "input");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_word_about_a_kind_counts_at_once() {
    let server = Server::start_idle().await;
    let of = |versions: Value, kind: &str| json!({"kind": "digest", "versions": versions, "input_schema": {"type": kind}});
    let takes = async |input: Value| {
        server.post("/api/v1/tasks", &json!({"kind": "digest", "input": input})).await.status == 201
    };
    server.post("/api/v1/workers", &worker(&of(json!([1]), "string"))).await.expect(201);
    assert_eq!((takes(json!("a")).await, takes(json!(1)).await), (true, false));
    server.clock.advance(std::time::Duration::from_millis(1));
    server.post("/api/v1/workers", &worker(&of(json!([1, 2]), "integer"))).await.expect(201);
    assert_eq!((takes(json!("a")).await, takes(json!(1)).await), (false, true));
    // Who comes back with the old version only, in the middle of a deploy, changes nothing.
    server.clock.advance(std::time::Duration::from_millis(1));
    server.post("/api/v1/workers", &worker(&of(json!([1]), "string"))).await.expect(201);
    assert_eq!((takes(json!("a")).await, takes(json!(1)).await), (false, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_offer_is_said() {
    let server = Server::start_idle().await;
    for (member, value, field) in [
        ("input_schema", json!({"type": "text"}), "kinds[0].input_schema"),
        ("output_schema", json!({"$ref": "https://example.org/schema"}), "kinds[0].output_schema"),
        ("about", json!("two\nlines"), "kinds[0].about"),
        ("expose", json!(["fax"]), "kinds[0].expose[0]"),
        ("defaults", json!({"queue": "No Queue"}), "kinds[0].defaults.queue"),
        ("defaults", json!({"policy": {"priority": 1000}}), "kinds[0].defaults.policy.priority"),
        ("defaults", json!({"color": 1}), "kinds[0].defaults.color"),
    ] {
        let mut offer = json!({"kind": "digest", "versions": [1]});
        offer[member] = value;
        let problem = server.post("/api/v1/workers", &worker(&offer)).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}
