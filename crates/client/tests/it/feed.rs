//! Following many streams across lost connections.

use crate::script::{Script, answer, stream};
use everloop_client::error::ClientError;
use everloop_client::feed::{FeedEvent, FollowMany, From};
use futures_util::StreamExt;

fn event(cursor: &str, kind: &str) -> String {
    format!("id: {cursor}\nevent: {kind}\ndata: {{\"type\":\"{kind}\"}}\n\n")
}

async fn cursors(script: &Script, follow: FollowMany, count: usize) -> Vec<String> {
    let events = script.client.follow_many(follow).take(count).collect::<Vec<_>>().await;
    events.into_iter().map(|event: Result<FeedEvent, ClientError>| event.unwrap().cursor).collect()
}

#[tokio::test]
async fn a_lost_feed_goes_on_behind_the_last_cursor() {
    let script = Script::new(vec![
        // Cut in the middle of a block.
        stream(&format!("retry: 1000\n\n{}id: p2\nevent: log\nda", event("p1", "task.submitted"))),
        answer("503 Service Unavailable", "text/plain", ""),
        // Nothing matches for a while.
        stream("retry: 1000\n\n: hb\nid: p9\n\n"),
        stream(&event("p12", "task.completed")),
    ])
    .await;
    let follow = FollowMany {
        from: From::After("p0".to_owned()),
        kinds: vec!["mock".to_owned(), "http".to_owned()],
        labels: [("team".to_owned(), "docs".to_owned())].into(),
        types: vec!["task.*".to_owned()],
        ..FollowMany::default()
    };
    assert_eq!(cursors(&script, follow, 2).await, ["p1", "p12"]);
    let asked: Vec<_> = (0..4).map(|nth| script.header(nth, "last-event-id").unwrap()).collect();
    assert_eq!(asked, ["p0", "p1", "p1", "p9"]);
    let line = script.asked()[0].lines().next().unwrap().to_owned();
    assert_eq!(line, "GET /api/v1/events?kind=mock%2Chttp&types=task.*&label=team%3Adocs HTTP/1.1");
}

#[tokio::test]
async fn from_now_means_one_point_however_often_the_connection_is_lost() {
    let page = answer("200 OK", "application/json", r#"{"items":[],"next_cursor":"p5","more":false}"#);
    let script = Script::new(vec![page, stream(""), stream(&event("p6", "log"))]).await;
    let follow = FollowMany { from: From::Now, ..FollowMany::default() };
    assert_eq!(cursors(&script, follow, 1).await, ["p6"]);
    assert!(script.asked()[0].starts_with("GET /api/v1/events?after=now&limit=1 "), "{:?}", script.asked());
    assert_eq!(script.header(1, "last-event-id").as_deref(), Some("p5"));
    assert_eq!(script.header(2, "last-event-id").as_deref(), Some("p5"));
}
