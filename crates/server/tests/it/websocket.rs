//! The same events over a WebSocket.

use crate::harness::Server;
use crate::http::{Wire, request};
use serde_json::{Value, json};

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A frame of the server: opcode and payload.
async fn frame(wire: &mut Wire) -> (u8, Vec<u8>) {
    loop {
        let bytes = &wire.buffer;
        if bytes.len() >= 2 {
            let (opcode, short) = (bytes[0] & 0x0f, usize::from(bytes[1]));
            assert!(bytes[0] & 0x80 != 0 && short < 128, "whole and unmasked");
            let (start, length) = match short {
                126 if bytes.len() >= 4 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
                126 => (usize::MAX, 0),
                127 => panic!("no event is so large"),
                short => (2, short),
            };
            if start != usize::MAX && bytes.len() >= start + length {
                let payload = bytes[start..start + length].to_vec();
                wire.buffer.drain(..start + length);
                return (opcode, payload);
            }
        }
        assert!(wire.fill().await, "the connection ended");
    }
}

async fn open(server: &Server, path: &str) -> Wire {
    let mut wire = Wire::open(server.address).await;
    wire.send(&request("GET", path, &UPGRADE, b"")).await;
    let (status, headers) = wire.head().await;
    assert_eq!(status, 101);
    assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    wire
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_gives_what_the_pages_give_and_closes_at_the_end() {
    let server = Server::start().await;
    let id = server.submit(json!({"wait_for_input": "go"})).await;
    let path = format!("/api/v1/tasks/{id}/events");
    let mut wire = open(&server, &format!("{path}/ws")).await;
    let mut filtered = open(&server, &format!("{path}/ws?after=1&types=task.started")).await;
    server.post(&format!("/api/v1/tasks/{id}/input"), &json!({"name": "go", "data": 1})).await.expect(200);
    server.until(&id, "completed").await;
    let page = server.get(&path).await.expect(200);
    let mut got = Vec::new();
    loop {
        match frame(&mut wire).await {
            (1, text) => got.push(serde_json::from_slice::<Value>(&text).unwrap()),
            (8, close) => {
                assert_eq!(u16::from_be_bytes([close[0], close[1]]), 1000);
                break;
            }
            (opcode, _) => panic!("{opcode}"),
        }
    }
    assert_eq!(Value::Array(got), page["items"]);
    let mut started = 0;
    while let (1, text) = frame(&mut filtered).await {
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap()["type"], "task.started");
        started += 1;
    }
    assert_eq!(started, 2);
    // From past the end: closed at once.
    let mut late = open(&server, &format!("{path}/ws?after={}", page["last_seq"])).await;
    assert_eq!(frame(&mut late).await.0, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_websocket_is_refused_before() {
    let server = Server::start_idle().await;
    let id = server.submit(json!(null)).await;
    server.get(&format!("/api/v1/tasks/{id}/events/ws")).await.problem(400, "invalid_request");
    let missing = "/api/v1/tasks/task_01h2xcejqtf2nbrexx3vqjhp41/events/ws";
    server.call("GET", missing, &UPGRADE, b"").await.problem(404, "not_found");
    let mut foreign = UPGRADE.to_vec();
    foreign.push(("Origin", "https://evil.example"));
    server
        .call("GET", &format!("/api/v1/tasks/{id}/events/ws"), &foreign, b"")
        .await
        .problem(403, "forbidden");
}
