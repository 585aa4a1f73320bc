//! Following tasks: exactly what happened, once, from anywhere.

use crate::harness::{Server, options};
use everloop_control::Options as ControlOptions;
use everloop_server::Options;
use serde_json::{Value, json};
use std::time::Duration;

fn numbers(upto: u64) -> Vec<String> {
    (1..=upto).map(|seq| seq.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_streams_give_the_same_bytes() {
    let server = Server::start().await;
    let task = server.done(json!({"steps": [{"name": "a", "events": 3}], "logs": ["one"]})).await;
    let (id, last) = (task["id"].as_str().unwrap(), task["last_seq"].as_u64().unwrap());
    let path = format!("/api/v1/tasks/{id}/events");
    let page = server.get(&path).await.expect(200);
    assert_eq!(
        (&page["last_seq"], &page["next_after"], &page["finished"]),
        (&json!(last), &json!(last), &json!(true))
    );
    let mut stream = server.follow(&path, &[]).await;
    assert_eq!((stream.status, stream.headers["content-type"].as_str()), (200, "text/event-stream"));
    let mut got = Vec::new();
    while let Some((id, event, data)) = stream.event().await {
        assert_eq!((id, event.as_str()), (data["seq"].to_string(), data["type"].as_str().unwrap()));
        got.push(data);
    }
    assert_eq!(Value::Array(got), page["items"]);
    // Page by page, from any point.
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = server.get(&format!("{path}?after={after}&limit=2")).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|event| event["seq"].to_string()));
        after = page["next_after"].as_u64().unwrap();
        if after == page["last_seq"].as_u64().unwrap() {
            break;
        }
    }
    assert_eq!(seen, numbers(last));
    server.get(&format!("{path}?limit=1001")).await.problem(400, "invalid_request");
    server.get(&format!("{path}?after=-1")).await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_goes_on_where_it_was_and_the_header_wins() {
    let server = Server::start().await;
    let task = server.done(json!({"steps": [{"name": "a", "events": 2}]})).await;
    let (id, last) = (task["id"].as_str().unwrap(), task["last_seq"].as_u64().unwrap());
    let path = format!("/api/v1/tasks/{id}/events");
    for after in 0..last {
        let ids: Vec<_> = server
            .follow(&format!("{path}?after={after}"), &[])
            .await
            .rest()
            .await
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(ids, numbers(last)[usize::try_from(after).unwrap()..]);
        let header = after.to_string();
        let headers = [("Last-Event-ID", header.as_str())];
        let again: Vec<_> = server
            .follow(&format!("{path}?after=0"), &headers)
            .await
            .rest()
            .await
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(again, ids);
    }
    let end = last.to_string();
    assert_eq!(server.follow(&path, &[("Last-Event-ID", &end)]).await.status, 204);
    assert_eq!(server.follow(&path, &[("Last-Event-ID", "x")]).await.status, 400);
    // A client that has seen more than there is: the database was restored.
    let mut stream = server.follow(&format!("{path}?after={}", last + 5), &[]).await;
    let (id, event, data) = stream.event().await.unwrap();
    assert_eq!((id, event.as_str(), &data["last_seq"]), (end, "stream.reset", &json!(last)));
    assert_eq!(stream.event().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filtered_stream_has_exactly_what_matches_and_the_last_number() {
    let server = Server::start().await;
    let task = server.done(json!({"steps": [{"name": "a", "events": 2}, {"name": "b"}]})).await;
    let (id, last) = (task["id"].as_str().unwrap(), task["last_seq"].as_u64().unwrap());
    let path = format!("/api/v1/tasks/{id}/events");
    let mut stream = server.follow(&format!("{path}?types=step.*,WORKFLOW_STARTED"), &[]).await;
    let mut blocks = Vec::new();
    while let Some(block) = stream.next().await {
        blocks.push(block);
    }
    let events: Vec<_> = blocks.iter().filter_map(|block| block.event.as_deref()).collect();
    assert_eq!(events, ["task.started", "step.completed", "step.completed"]);
    let end = blocks.last().unwrap();
    assert_eq!((end.id.clone(), &end.event, &end.data), (Some(last.to_string()), &None, &None));
    let page = server.get(&format!("{path}?types=step.completed")).await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert_eq!(page["next_after"], last);
    // A page that is full before the stream ends is no sign of missing events, and the next one goes on behind it.
    let first = server.get(&format!("{path}?types=step.completed&limit=1")).await.expect(200);
    let after = first["items"][0]["seq"].as_u64().unwrap();
    assert_eq!((&first["next_after"], after < last), (&json!(after), true));
    let second = server.get(&format!("{path}?types=step.completed&limit=1&after={after}")).await.expect(200);
    assert_eq!(second["items"][0], page["items"][1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_followers_miss_nothing_however_they_race() {
    let server = Server::start().await;
    let id = server.submit(json!({"wait_for_input": "go"})).await;
    let path = format!("/api/v1/tasks/{id}/events");
    let mut streams = Vec::new();
    for i in 0..8 {
        if i == 4 {
            let sent = json!({"name": "other", "data": {"i": i}});
            server.post(&format!("/api/v1/tasks/{id}/input"), &sent).await.expect(200);
        }
        streams.push(server.follow(&path, &[]).await);
    }
    server.post(&format!("/api/v1/tasks/{id}/input"), &json!({"name": "go", "data": 1})).await.expect(200);
    let task = server.until(&id, "completed").await;
    for stream in &mut streams {
        let ids: Vec<_> = stream.rest().await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, numbers(task["last_seq"].as_u64().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_beats_and_tells_its_position() {
    let options = Options { heartbeat: Duration::from_millis(20), ..options() };
    let server = Server::start_with(options, ControlOptions::default(), true).await;
    let id = server.submit(json!({"hold": true})).await;
    server.until(&id, "running").await;
    let mut stream = server.follow(&format!("/api/v1/tasks/{id}/events?types=custom.*"), &[]).await;
    assert_eq!(stream.next().await.unwrap().retry.as_deref(), Some("1000"));
    let mut beat = stream.next().await.unwrap();
    while beat.id.as_deref() != Some("2") {
        beat = stream.next().await.unwrap();
    }
    assert_eq!((beat.comment.as_deref(), beat.event, beat.data), (Some("hb"), None, None));
    let mut feed = server.follow("/api/v1/events?after=now", &[]).await;
    feed.next().await.unwrap();
    assert_eq!(feed.next().await.unwrap().comment.as_deref(), Some("hb"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_reach_only_those_who_ask_and_have_no_number() {
    let server = Server::start_idle().await;
    let worker = server.get("/api/v1/workers").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let id = server.submit(json!(null)).await;
    let claim = server
        .post(&format!("/api/v1/workers/{worker}/claim?wait=5s"), &json!({"max": 1, "request": 1}))
        .await
        .expect(200);
    let lease = claim["assignments"][0]["lease"].as_str().unwrap();
    let mut asked = server.follow(&format!("/api/v1/tasks/{id}/events?frames=1&after=2"), &[]).await;
    let mut not = server.follow(&format!("/api/v1/tasks/{id}/events?after=2"), &[]).await;
    asked.next().await.unwrap();
    not.next().await.unwrap();
    let frames = json!({"worker": worker, "frames": [{"type": "token", "data": "Hel"}], "batch": 1, "events": [{"type": "custom.x", "data": {"a": 1}}]});
    let headers = [("Everloop-Lease", lease)];
    let path = format!("/api/v1/tasks/{id}/attempts/1/events");
    // A frame may come before the follower has its place: it is sent until one arrives.
    let block = loop {
        server.call("POST", &path, &headers, frames.to_string().as_bytes()).await.expect(204);
        let block = asked.next().await.unwrap();
        if block.event.as_deref() == Some("frame") {
            break block;
        }
    };
    assert_eq!((block.id, block.data.as_deref()), (None, Some(r#"{"type":"token","data":"Hel"}"#)));
    let (seq, event, _) = not.event().await.unwrap();
    assert_eq!((seq.as_str(), event.as_str()), ("3", "custom.x"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_follows_many_tasks() {
    let server = Server::start().await;
    let mut feed = server.follow("/api/v1/events?types=task.completed&label=team:docs", &[]).await;
    let mut ids = Vec::new();
    for i in 0..4 {
        let team = if i % 2 == 0 { "docs" } else { "else" };
        let body = json!({"kind": "mock", "labels": {"team": team}, "input": {"result": i}});
        let task = server.post("/api/v1/tasks?wait=20s", &body).await.expect(201);
        if team == "docs" {
            ids.push(task["id"].clone());
        }
    }
    let mut cursors = Vec::new();
    for id in &ids {
        let (cursor, event, data) = feed.event().await.unwrap();
        assert_eq!((event.as_str(), &data["stream"]), ("task.completed", id));
        cursors.push(cursor);
    }
    let mut again = server
        .follow("/api/v1/events?types=task.completed&label=team:docs", &[("Last-Event-ID", &cursors[0])])
        .await;
    assert_eq!(again.event().await.unwrap().2["stream"], ids[1]);
    // As pages.
    let mut types = Vec::new();
    let mut cursor = String::new();
    loop {
        let after = if cursor.is_empty() { String::new() } else { format!("&after={cursor}") };
        let page = server
            .get(&format!("/api/v1/events?task={}&limit=2{after}", ids[0].as_str().unwrap()))
            .await
            .expect(200);
        types.extend(
            page["items"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()),
        );
        cursor = page["next_cursor"].as_str().unwrap().to_owned();
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(types, ["task.submitted", "task.started", "task.completed"]);
    let now = server.get("/api/v1/events?after=now").await.expect(200);
    assert_eq!(now["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_that_go_away_leave_no_place_taken() {
    let server = Server::start().await;
    let id = server.submit(json!({"hold": true})).await;
    let path = format!("/api/v1/tasks/{id}/events");
    for _ in 0..10 {
        let mut streams = Vec::new();
        for _ in 0..100 {
            streams.push(server.follow(&path, &[]).await);
        }
        drop(streams);
    }
    for _ in 0..500 {
        let metrics = server.get("/metrics").await.text();
        if metrics.contains("\neverloop_streams 0\n") && metrics.contains("\neverloop_followers 0\n") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", server.get("/metrics").await.text());
}
