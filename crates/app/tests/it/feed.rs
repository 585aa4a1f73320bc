//! The client's feed against a real server that is killed and started again.

use crate::harness::Place;
use everloop_api::task::TaskRequest;
use everloop_client::feed::{FeedEvent, FollowMany, From};
use everloop_client::{Client, ClientOptions};
use everloop_testkit::random::Seeded;
use everloop_testkit::system::RealClock;
use everloop_types::retry::RetryPolicy;
use futures_util::StreamExt;
use std::sync::Arc;

fn stream_of(event: &FeedEvent) -> String {
    let event: serde_json::Value = serde_json::from_str(event.event.as_str()).unwrap();
    event["stream"].as_str().unwrap().to_owned()
}

async fn done(client: &Client, team: &str) -> String {
    let labels = [("team".to_owned(), team.to_owned())].into();
    let task = client.submit(&TaskRequest { labels, ..TaskRequest::new("mock") }, None).await.unwrap();
    let id = task.task.id.to_string();
    client.finished(&id).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_feed_tells_of_every_task_once_across_a_crash_of_the_server() {
    let place = Place::new();
    let server = place.server(&[]);
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let options = ClientOptions {
        // For as long as a server may take to start.
        retry: RetryPolicy { initial_ms: 50, max_ms: 200, max_tries: 300 },
        ..ClientOptions::new(&server.url, Arc::new(RealClock::default()), Arc::new(Seeded::new(1)))
    };
    let client = Client::new(options).unwrap();
    done(&client, "docs").await;
    let now = client.feed(&FollowMany::default(), Some("now"), 1).await.unwrap();
    assert!(now.items.is_empty());
    let follow = FollowMany {
        from: From::After(now.next_cursor),
        labels: [("team".to_owned(), "docs".to_owned())].into(),
        types: vec!["task.completed".to_owned()],
        ..FollowMany::default()
    };
    let mut feed = Box::pin(client.follow_many(follow));
    let mut ids = Vec::new();
    let mut seen = Vec::new();
    for team in ["docs", "else", "docs"] {
        let id = done(&client, team).await;
        if team == "docs" {
            ids.push(id);
        }
    }
    // The connection is there, and has more to give, when the server goes.
    seen.push(stream_of(&feed.next().await.unwrap().unwrap()));
    server.kill();
    let _server = place.server(&["--listen", &address]);
    for _ in 0..2 {
        ids.push(done(&client, "docs").await);
    }
    while seen.len() < ids.len() {
        seen.push(stream_of(&feed.next().await.unwrap().unwrap()));
    }
    assert_eq!(seen, ids);
}
