//! Following across lost connections.

use crate::script::{Script, answer, block, stream};
use everloop_client::error::ClientError;
use everloop_client::follow::{Follow, Item, collect};

fn seqs(items: &[Item]) -> Vec<u64> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Event { seq, .. } => Some(*seq),
            Item::Frame { .. } | Item::Notice { .. } => None,
        })
        .collect()
}

#[tokio::test]
async fn a_lost_connection_goes_on_where_it_broke_off_and_every_number_comes_once() {
    let script = Script::new(vec![
        // Cut in the middle of a block.
        stream(&format!("{}{}id: 3\nevent: lo", block(1, "task.submitted"), block(2, "task.started"))),
        String::new(),
        answer("503 Service Unavailable", "text/plain", ""),
        // The server sends one again: it is passed over.
        stream(&format!("{}{}: hb\n\n", block(2, "task.started"), block(3, "log"))),
        stream(&block(4, "task.completed")),
    ])
    .await;
    let items = collect(script.client.follow("task_x", Follow::default())).await.unwrap();
    assert_eq!(seqs(&items), [1, 2, 3, 4]);
    let positions: Vec<_> = (0..5).map(|nth| script.header(nth, "last-event-id").unwrap()).collect();
    assert_eq!(positions, ["0", "2", "2", "2", "3"]);
}

#[tokio::test]
async fn a_gap_in_an_unfiltered_stream_is_an_error_and_in_a_filtered_one_is_not() {
    let gap = format!("{}{}", block(1, "task.submitted"), block(3, "task.completed"));
    let script = Script::new(vec![stream(&gap)]).await;
    let error = collect(script.client.follow("task_x", Follow::default())).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Protocol { reason, .. } if reason.contains("event 2 is missing")),
        "{error}"
    );

    let script = Script::new(vec![stream(&gap)]).await;
    let follow = Follow { types: vec!["task.*".to_owned()], ..Follow::default() };
    assert_eq!(seqs(&collect(script.client.follow("task_x", follow)).await.unwrap()), [1, 3]);
    assert!(
        script.asked()[0].starts_with("GET /api/v1/tasks/task_x/events?types=task.*"),
        "{:?}",
        script.asked()
    );
}

#[tokio::test]
async fn a_heartbeat_moves_the_position_and_204_is_the_end() {
    let script = Script::new(vec![
        stream(&format!("{}: hb\n\nid: 9\n\n", block(2, "step.completed"))),
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
    ])
    .await;
    let follow = Follow { types: vec!["step.*".to_owned()], ..Follow::default() };
    assert_eq!(seqs(&collect(script.client.follow("task_x", follow)).await.unwrap()), [2]);
    assert_eq!(script.header(1, "last-event-id").as_deref(), Some("9"));
}

#[tokio::test]
async fn notices_and_frames_are_no_events() {
    let notice = "id: 4\nevent: stream.compacted\ndata: {\"from\":1,\"to\":4}\n\n";
    let frame = "event: frame\ndata: {\"type\":\"token\",\"data\":{\"text\":\"a\"}}\n\n";
    let script =
        Script::new(vec![stream(&format!("{notice}{}{frame}{}", block(5, "log"), block(6, "task.failed")))])
            .await;
    let items =
        collect(script.client.follow("task_x", Follow { frames: true, ..Follow::default() })).await.unwrap();
    assert_eq!(seqs(&items), [5, 6]);
    assert!(matches!(&items[0], Item::Notice { kind, .. } if kind == "stream.compacted"));
    assert!(matches!(&items[2], Item::Frame { kind, .. } if kind == "token"));
}
