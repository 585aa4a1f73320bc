//! A worker elsewhere.

use crate::harness::Server;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) struct Worker<'a> {
    server: &'a Server,
    id: String,
}

impl<'a> Worker<'a> {
    pub(crate) async fn register(server: &'a Server, name: &str) -> Self {
        Self::offering(server, name, &json!([{"kind": "render", "versions": [1, 2]}])).await
    }

    pub(crate) async fn offering(server: &'a Server, name: &str, kinds: &Value) -> Self {
        let spec = json!({"name": name, "protocol": 1, "kinds": kinds, "max_concurrent_tasks": 4, "capabilities": ["gpu"]});
        let worker = server.post("/api/v1/workers", &spec).await.expect(201);
        assert_eq!(
            (&worker["status"], &worker["queues"]),
            (&json!("idle"), &json!(["high", "default", "low"]))
        );
        Self { server, id: worker["id"].as_str().unwrap().to_owned() }
    }

    pub(crate) async fn claim(&self, request: u64) -> Value {
        let path = format!("/api/v1/workers/{}/claim?wait=2s", self.id);
        self.server.post(&path, &json!({"max": 1, "request": request})).await.expect(200)
    }

    pub(crate) async fn send(&self, held: &Value, what: &str, mut body: Value) -> crate::http::Answer {
        body["worker"] = json!(self.id);
        let path =
            format!("/api/v1/tasks/{}/attempts/{}/{what}", held["task"].as_str().unwrap(), held["attempt"]);
        let headers = [("Everloop-Lease", held["lease"].as_str().unwrap())];
        self.server.call("POST", &path, &headers, body.to_string().as_bytes()).await
    }
}

pub(crate) async fn submit(server: &Server, input: Value) -> String {
    let body = json!({"kind": "render", "input": input, "requires": ["gpu"]});
    server.post("/api/v1/tasks", &body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_claims_writes_and_finishes() {
    let server = Server::start_idle().await;
    server.post("/api/v1/tasks", &json!({"kind": "render"})).await.problem(400, "unknown_kind");
    let worker = Worker::register(&server, "one").await;
    let id = submit(&server, json!({"a": 1})).await;
    let claim = worker.claim(1).await;
    let held = claim["assignments"][0].clone();
    assert_eq!(
        (&held["task"], &held["attempt"], &held["spec"]["input"]),
        (&json!(id), &json!(1), &json!({"a": 1}))
    );
    assert_eq!(held["lease_ttl_ms"], 90_000);
    assert_eq!(worker.claim(1).await, claim, "the answer may have been lost");
    let seen = server.get(&format!("/api/v1/workers/{}", worker.id)).await.expect(200);
    assert_eq!((&seen["status"], &seen["tasks"]), (&json!("busy"), &json!([id])));

    let intent = "0".repeat(64);
    let step = json!({"type": "step.completed", "data": {"attempt": 1, "intent": intent, "kind": "mock", "result": 5, "started_at": "2026-01-01T00:00:00Z", "step": "a#1"}});
    let batch =
        json!({"batch": 1, "events": [{"type": "task.progress", "data": {"done": 1, "total": 4}}, step]});
    worker.send(&held, "events", batch.clone()).await.expect(204);
    worker.send(&held, "events", batch).await.expect(204);
    let progress = server.get(&format!("/api/v1/tasks/{id}/progress")).await.expect(200);
    assert_eq!((&progress["percent"], &progress["steps"]), (&json!(25), &json!(1)));
    server.get(&format!("/api/v1/tasks/{id}/output")).await.problem(409, "not_finished");
    server.get(&format!("/api/v1/tasks/{id}/receipt")).await.problem(409, "not_finished");

    let journal = server
        .call(
            "GET",
            &format!("/api/v1/tasks/{id}/attempts/1/journal"),
            &[("Everloop-Lease", held["lease"].as_str().unwrap())],
            b"",
        )
        .await
        .expect(200);
    assert_eq!(
        (&journal["items"][0]["type"], &journal["items"][0]["data"]["result"]),
        (&json!("step.completed"), &json!(5))
    );
    let renewed = server
        .post(
            &format!("/api/v1/workers/{}/renew", worker.id),
            &json!({"leases": [{"task": id, "lease": held["lease"]}]}),
        )
        .await
        .expect(200);
    assert_eq!(renewed["lost"], json!([]));
    worker.send(&held, "finish", json!({"batch": 2, "result": {"ok": true}})).await.expect(204);
    let output = server.get(&format!("/api/v1/tasks/{id}/output")).await.expect(200);
    assert_eq!((&output["state"], &output["result"]), (&json!("completed"), &json!({"ok": true})));
    worker
        .send(&held, "events", json!({"batch": 3, "events": [{"type": "custom.late"}]}))
        .await
        .problem(409, "lease_lost");
    let renewed = server
        .post(
            &format!("/api/v1/workers/{}/renew", worker.id),
            &json!({"leases": [{"task": id, "lease": held["lease"]}]}),
        )
        .await
        .expect(200);
    assert_eq!(renewed["lost"], json!([id]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_end_in_every_way() {
    let server = Server::start_idle().await;
    let worker = Worker::register(&server, "one").await;
    let id = submit(&server, json!(null)).await;
    let held = worker.claim(1).await["assignments"][0].clone();
    worker
        .send(&held, "suspend", json!({"batch": 1, "for": {"input": {"id": "in#1", "name": "go"}}}))
        .await
        .expect(204);
    server.until(&id, "waiting").await;
    server.post(&format!("/api/v1/tasks/{id}/input"), &json!({"name": "go", "data": 1})).await.expect(200);
    let held = worker.claim(2).await["assignments"][0].clone();
    assert_eq!(held["attempt"], 2);
    assert_eq!(held["journal"][1]["type"], "task.input", "{held}");
    worker.send(&held, "release", json!({"batch": 1})).await.expect(204);
    let held = worker.claim(3).await["assignments"][0].clone();
    let error = json!({"class": "validation", "code": "bad", "message": "no"});
    worker.send(&held, "fail", json!({"batch": 1, "error": error})).await.expect(204);
    let task = server.until(&id, "failed").await;
    assert_eq!((&task["error"], &task["tries"]), (&error, &json!(1)));
    let attempts = server.get(&format!("/api/v1/tasks/{id}/attempts")).await.expect(200);
    let ends: Vec<_> = attempts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["status"].as_str().unwrap())
        .collect();
    assert_eq!(ends, ["waiting", "handed_back", "failed"]);

    let id = submit(&server, json!(null)).await;
    let held = worker.claim(4).await["assignments"][0].clone();
    let (signals, cancel) =
        (format!("/api/v1/workers/{}/signals?wait=5s", worker.id), format!("/api/v1/tasks/{id}/cancel"));
    let (told, cancelled) = tokio::join!(server.get(&signals), server.call("POST", &cancel, &[], b""));
    assert_eq!(cancelled.expect(200)["state"], "cancelling");
    let mut told = told.expect(200);
    // Words about attempts that are over may come first.
    while !told["signals"].as_array().unwrap().iter().any(|signal| signal["task"] == id) {
        told = server.get(&signals).await.expect(200);
    }
    let word = told["signals"].as_array().unwrap().iter().find(|signal| signal["task"] == id).unwrap();
    assert_eq!(
        (&word["signal"], &word["grace_ms"], &word["attempt"]),
        (&json!("cancel"), &json!(10_000), &json!(1))
    );
    worker.send(&held, "finish", json!({"batch": 1, "cancelled": true})).await.expect(204);
    server.until(&id, "cancelled").await;

    let id = submit(&server, json!(null)).await;
    let held = worker.claim(5).await["assignments"][0].clone();
    worker.send(&held, "finish", json!({"batch": 1, "continue_as": {"n": 2}})).await.expect(204);
    let task = server.until(&id, "completed").await;
    let next =
        server.get(&format!("/api/v1/tasks/{}", task["continued_as"].as_str().unwrap())).await.expect(200);
    assert_eq!((&next["input"], &next["continues"]), (&json!({"n": 2}), &json!(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_passes_on_to_the_task_that_goes_on_and_so_does_waiting_by_it() {
    let server = Server::start_idle().await;
    let worker = Worker::register(&server, "one").await;
    let body =
        json!({"kind": "render", "requires": ["gpu"], "key": "long", "input": 1, "data_subject": "ann"});
    let first = server.post("/api/v1/tasks", &body).await.expect(201);
    let work = async {
        let held = worker.claim(1).await["assignments"][0].clone();
        worker.send(&held, "finish", json!({"batch": 1, "continue_as": 2})).await.expect(204);
        let held = worker.claim(2).await["assignments"][0].clone();
        worker.send(&held, "finish", json!({"batch": 1, "result": "end"})).await.expect(204);
    };
    let (by_id, by_key) = (
        format!("/api/v1/tasks/{}?wait=20s", first["id"].as_str().unwrap()),
        "/api/v1/tasks/key:long?wait=20s",
    );
    let submit = "/api/v1/tasks?wait=20s";
    let (by_id, by_key, again, ()) =
        tokio::join!(server.get(&by_id), server.get(by_key), server.post(submit, &body), work);
    assert_eq!(by_id.expect(200)["id"], first["id"]);
    let by_key = by_key.expect(200);
    assert_eq!((&by_key["result"], &by_key["continues"]), (&json!("end"), &first["id"]));
    assert_eq!((&by_key["key"], &by_key["data_subject"]), (&json!("long"), &json!("ann")));
    assert_eq!(again.expect(200)["id"], by_key["id"]);
    assert_eq!(server.post(submit, &body).await.expect(200)["id"], by_key["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_gets_wrong_is_refused() {
    let server = Server::start_idle().await;
    for (spec, field) in [
        (
            json!({"name": "x", "protocol": 2, "kinds": [{"kind": "a", "versions": [1]}], "max_concurrent_tasks": 1}),
            "protocol",
        ),
        (json!({"name": "x", "protocol": 1, "kinds": [], "max_concurrent_tasks": 1}), "kinds"),
        (
            json!({"name": "x", "protocol": 1, "kinds": [{"kind": "A", "versions": []}], "max_concurrent_tasks": 0}),
            "max_concurrent_tasks",
        ),
        (
            json!({"name": "x", "protocol": 1, "kinds": [{"kind": "a", "versions": [1], "x": 1}], "max_concurrent_tasks": 1}),
            "kinds[0].x",
        ),
    ] {
        let problem = server.post("/api/v1/workers", &spec).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let worker = Worker::register(&server, "one").await;
    let id = submit(&server, json!(null)).await;
    let held = worker.claim(1).await["assignments"][0].clone();
    for (what, body, code) in [
        ("events", json!({"events": [{"type": "custom.x"}]}), "invalid_request"),
        ("events", json!({"batch": 0, "events": []}), "invalid_request"),
        ("events", json!({"batch": 2, "events": [{"type": "custom.x"}]}), "invalid_request"),
        (
            "events",
            json!({"batch": 1, "events": [{"type": "task.completed", "data": {"result": 1}}]}),
            "invalid_request",
        ),
        (
            "events",
            json!({"batch": 1, "events": [{"type": "task.progress", "data": {"dune": 1}}]}),
            "invalid_request",
        ),
        ("events", json!({"batch": 1, "events": [{"type": "custom.Bad Name"}]}), "invalid_request"),
        ("events", json!({"batch": 1, "events": [{"type": "nonsense"}]}), "invalid_request"),
        ("finish", json!({"batch": 1}), "invalid_request"),
        ("finish", json!({"batch": 1, "result": 1, "cancelled": true}), "invalid_request"),
        ("suspend", json!({"batch": 1}), "invalid_request"),
        (
            "fail",
            json!({"batch": 1, "error": {"class": "odd", "code": "x", "message": "y"}}),
            "invalid_request",
        ),
    ] {
        let answer = worker.send(&held, what, body.clone()).await;
        assert_eq!(answer.status, 400, "{what} {body}: {}", answer.text());
        answer.problem(400, code);
    }
    let path = format!("/api/v1/tasks/{id}/attempts/1/finish");
    let body = json!({"worker": worker.id, "batch": 1, "result": 1}).to_string();
    server.call("POST", &path, &[], body.as_bytes()).await.problem(400, "invalid_request");
    server
        .call("POST", &path, &[("Everloop-Lease", "nonsense")], body.as_bytes())
        .await
        .problem(400, "invalid_request");
    let stale = "0.1.0000000000000001";
    server
        .call("POST", &path, &[("Everloop-Lease", stale)], body.as_bytes())
        .await
        .problem(409, "lease_lost");
    let other = format!("/api/v1/tasks/{id}/attempts/2/finish");
    server
        .call("POST", &other, &[("Everloop-Lease", held["lease"].as_str().unwrap())], body.as_bytes())
        .await
        .problem(409, "lease_lost");
    let nobody = "wkr_01h2xcejqtf2nbrexx3vqjhp41";
    server.post(&format!("/api/v1/workers/{nobody}/heartbeat"), &json!({})).await.problem(404, "not_found");
    server
        .post(&format!("/api/v1/workers/{nobody}/claim"), &json!({"max": 1, "request": 1}))
        .await
        .problem(404, "not_found");
    server.get(&format!("/api/v1/workers/{nobody}/signals")).await.problem(404, "not_found");
    server
        .post(&format!("/api/v1/workers/{}/claim", worker.id), &json!({"max": 0, "request": 1}))
        .await
        .problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_removed_hands_back_what_it_held() {
    let server = Server::start_idle().await;
    let worker = Worker::register(&server, "one").await;
    server
        .post(&format!("/api/v1/workers/{}/heartbeat", worker.id), &json!({"trouble": "hot"}))
        .await
        .expect(204);
    let seen = server.get(&format!("/api/v1/workers/{}", worker.id)).await.expect(200);
    assert_eq!((&seen["status"], &seen["trouble"]), (&json!("error"), &json!("hot")));
    let id = submit(&server, json!(null)).await;
    assert_eq!(worker.claim(1).await["assignments"][0]["task"], id);
    server.call("DELETE", &format!("/api/v1/workers/{}", worker.id), &[], b"").await.expect(204);
    server.until(&id, "queued").await;
    server.get(&format!("/api/v1/workers/{}", worker.id)).await.problem(404, "not_found");
    let kept = server.get("/api/v1/kinds/render").await;
    kept.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_claim_is_seen_with_its_times_and_its_heartbeat() {
    let server = Server::start_idle().await;
    let worker = Worker::register(&server, "one").await;
    let path = format!("/api/v1/workers/{}", worker.id);
    let body = json!({"kind": "render", "input": {"a": 1}, "policy": {"retry": {"max_tries": 2, "initial_ms": 1}, "timeout_ms": 60_000}});
    let task = server.post("/api/v1/tasks", &body).await.expect(201);
    let (id, at) =
        (task["id"].as_str().unwrap(), |seconds: u32| format!("2026-01-01T00:00:{seconds:02}.000000Z"));
    let queue = server.get("/api/v1/queues/default").await.expect(200);
    assert_eq!(
        (&queue["queued"], &queue["in_flight"], &queue["oldest_since"]),
        (&json!(1), &json!(0), &json!(at(0)))
    );
    server.clock.advance(Duration::from_secs(5));
    let held = worker.claim(1).await["assignments"][0].clone();
    let queue = server.get("/api/v1/queues/default").await.expect(200);
    assert_eq!((&queue["queued"], &queue["in_flight"]), (&json!(0), &json!(1)));
    let attempts =
        async || server.get(&format!("/api/v1/tasks/{id}/attempts")).await.expect(200)["items"].clone();
    let first = attempts().await[0].clone();
    assert_eq!(
        (
            &first["worker"],
            &first["status"],
            &first["queued_at"],
            &first["started_at"],
            &first["heartbeat_age_ms"]
        ),
        (&json!(worker.id), &json!("running"), &json!(at(0)), &json!(at(5)), &json!(0))
    );
    // What is heard from the worker is seen at its tasks.
    server.clock.advance(Duration::from_secs(20));
    assert_eq!(attempts().await[0]["heartbeat_age_ms"], 20_000);
    assert!(server.get("/metrics").await.text().contains("\neverloop_worker_heartbeat_age_seconds_max 25\n"));
    server.post(&format!("{path}/heartbeat"), &json!({})).await.expect(204);
    assert_eq!(attempts().await[0]["heartbeat_age_ms"], 0);
    let error = json!({"class": "transient", "code": "flaky", "message": "again"});
    worker.send(&held, "fail", json!({"batch": 1, "error": error})).await.expect(204);
    server.clock.advance(Duration::from_secs(1));
    server.until(id, "queued").await;
    let queued = server.get(&format!("/api/v1/tasks/{id}/events?types=task.ready")).await.expect(200)["items"][0]["ts"].clone();
    server.clock.advance(Duration::from_secs(4));
    let held = worker.claim(2).await["assignments"][0].clone();
    worker.send(&held, "finish", json!({"batch": 1, "result": 7})).await.expect(204);
    let both = attempts().await;
    assert_eq!(
        (&both[0]["status"], &both[0]["ended_at"], &both[0]["error"], both[0].get("heartbeat_age_ms")),
        (&json!("retrying"), &json!(at(25)), &error, None)
    );
    assert_eq!(
        (&both[1]["status"], &both[1]["queued_at"], &both[1]["started_at"], &both[1]["ended_at"]),
        (&json!("completed"), &queued, &json!(at(30)), &json!(at(30)))
    );
    let task = server.get(&format!("/api/v1/tasks/{id}")).await.expect(200);
    assert_eq!(
        (
            &task["queue"],
            &task["state"],
            &task["result"],
            &task["tries"],
            &task["created_at"],
            &task["finished_at"]
        ),
        (&json!("default"), &json!("completed"), &json!(7), &json!(1), &json!(at(0)), &json!(at(30)))
    );
    assert_eq!(
        (&task["policy"]["retry"]["max_tries"], &task["policy"]["timeout_ms"]),
        (&json!(2), &json!(60_000))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_assigned_once_to_one_worker() {
    let server = Server::start_idle().await;
    let (one, other) = (Worker::register(&server, "one").await, Worker::register(&server, "other").await);
    let id = submit(&server, json!(null)).await;
    let asked = async |worker: &Worker<'_>, request: u64| {
        let path = format!("/api/v1/workers/{}/claim?wait=0s", worker.id);
        let answer = server.post(&path, &json!({"max": 4, "request": request})).await;
        answer.expect(200)["assignments"].clone()
    };
    let held = one.claim(1).await["assignments"][0].clone();
    assert_eq!(held["task"], id);
    // Neither its holder nor anybody else gets it again.
    assert_eq!((asked(&one, 2).await, asked(&other, 1).await), (json!([]), json!([])));
    // Nor does showing its lease under another name make it theirs.
    let renewed = json!({"leases": [{"task": id, "lease": held["lease"]}]});
    let lost = server.post(&format!("/api/v1/workers/{}/renew", other.id), &renewed).await.expect(200);
    assert_eq!(lost["lost"], json!([id]));
    let attempts = server.get(&format!("/api/v1/tasks/{id}/attempts")).await.expect(200);
    assert_eq!((&attempts["total"], &attempts["items"][0]["worker"]), (&json!(1), &json!(one.id)));
    let holds = server.get(&format!("/api/v1/workers/{}", other.id)).await.expect(200)["tasks"].clone();
    assert_eq!(holds, json!([]));
}
