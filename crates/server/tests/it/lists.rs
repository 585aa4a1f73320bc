//! Lists: filters, order, pages.

use crate::harness::{Server, options as options_of_server};
use everloop_control::Options as ControlOptions;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn all(server: &Server, query: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/api/v1/tasks?{query}{cursor}")).await.expect(200);
        ids.extend(
            page["items"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_together_are_the_whole_list_once() {
    let server = Server::start_idle().await;
    let tasks: Vec<Value> = (0..250).map(|i| json!({"kind": "mock", "key": format!("k{i}"), "queue": if i % 5 == 0 { "low" } else { "default" },
        "policy": {"priority": i % 3}, "title": format!("Task number {i}")})).collect();
    server.post("/api/v1/tasks/batch", &json!({"tasks": tasks})).await.expect(200);
    let newest = all(&server, "limit=30").await;
    let oldest = all(&server, "limit=77&order=oldest").await;
    assert_eq!((newest.len(), newest.iter().collect::<BTreeSet<_>>().len()), (250, 250));
    assert_eq!(newest.iter().rev().collect::<Vec<_>>(), oldest.iter().collect::<Vec<_>>());
    for (query, count) in [
        ("queue=low", 50),
        ("priority=2", 83),
        ("state=queued", 250),
        ("state=running,completed", 0),
        ("kind=mock,http", 250),
        ("key_prefix=k24", 11),
        ("q=NUMBER%2011", 11),
        ("queue=low&priority=0", 17),
        ("label=a:b", 0),
        ("created_by=usr_00000000000000000000000000", 250),
    ] {
        let page = server.get(&format!("/api/v1/tasks?{query}&limit=1")).await.expect(200);
        assert_eq!(page["total"], count, "{query}");
        assert_eq!(all(&server, &format!("{query}&limit=50")).await.len(), count, "{query}");
    }
    let page = server.get("/api/v1/tasks?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert!(page["items"][0].get("input").is_none());
    let other = server.get(&format!("/api/v1/tasks?limit=1&queue=low&cursor={cursor}")).await;
    assert_eq!(other.problem(400, "invalid_request")["errors"][0]["field"], "cursor");
}

/// However many tasks have ended, a page takes bounded time: it stops where enough were looked at, and says where to go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_ends_where_enough_tasks_were_looked_at() {
    let options = ControlOptions { looked_at: 20, ..ControlOptions::default() };
    let server = Server::start_with(options_of_server(), options, false).await;
    let tasks: Vec<Value> =
        (0..50).map(|i| json!({"kind": "mock", "key": format!("k{i}"), "title": format!("T{i}")})).collect();
    server.post("/api/v1/tasks/batch", &json!({"tasks": tasks})).await.expect(200);
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/api/v1/tasks?q=t7&order=oldest{cursor}")).await.expect(200);
        assert!(page.get("total").is_none(), "{page}");
        pages.push(page["items"].as_array().unwrap().len());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, [1, 0, 0]);
    for query in
        ["key_prefix=k4", "key_prefix=k4&order=oldest", "key_prefix=k4&limit=3", "key_prefix=k4&limit=11"]
    {
        let found = all(&server, query).await;
        assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (11, 11), "{query}");
    }
    // Live tasks, and what one index answers, are listed without such an end.
    for (query, total) in [("state=queued&q=t4", 11), ("kind=mock", 50), ("", 50), ("priority=3", 0)] {
        let page = server.get(&format!("/api/v1/tasks?{query}&limit=100")).await.expect(200);
        assert_eq!((&page["total"], page.get("next_cursor")), (&json!(total), None), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_and_dependents_are_found() {
    let server = Server::start().await;
    let parent = server.submit(json!({"hold": true})).await;
    for i in 0..3 {
        let body = json!({"kind": "mock", "key": format!("c{i}"), "parent": {"task": parent}});
        server.post("/api/v1/tasks?wait=20s", &body).await.expect(201);
    }
    let children = server.get(&format!("/api/v1/tasks/{parent}/children?limit=2")).await.expect(200);
    assert_eq!((&children["total"], &children["items"][0]["key"]), (&json!(3), &json!("c0")));
    assert_eq!(all(&server, &format!("parent={parent}")).await.len(), 3);
    let waiting = server
        .post("/api/v1/tasks", &json!({"kind": "mock", "depends_on": [{"task": parent, "on": "ended"}]}))
        .await
        .expect(201);
    assert_eq!(waiting["state"], "pending");
    server.post(&format!("/api/v1/tasks/{parent}/cancel"), &json!({})).await.expect(200);
    server.until(waiting["id"].as_str().unwrap(), "completed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_claim_says_why() {
    let server = Server::start_idle().await;
    for (body, part) in [
        (json!({"kind": "mock", "queue": "special"}), "no worker serves the queue"),
        (json!({"kind": "mock", "kind_version": 9}), "in version 9"),
        (json!({"kind": "mock", "requires": ["gpu"]}), "gpu"),
    ] {
        let task = server.post("/api/v1/tasks", &body).await.expect(201);
        let read = server.get(&format!("/api/v1/tasks/{}", task["id"].as_str().unwrap())).await.expect(200);
        assert!(read["unclaimable"].as_str().unwrap().contains(part), "{read}");
    }
    let id = server.submit(json!({})).await;
    assert!(server.get(&format!("/api/v1/tasks/{id}")).await.expect(200).get("unclaimable").is_none());
    server.post("/api/v1/queues/default/pause", &json!({})).await.expect(200);
    let read = server.get(&format!("/api/v1/tasks/{id}")).await.expect(200);
    assert!(read["unclaimable"].as_str().unwrap().contains("paused"), "{read}");
}
