//! A server that gives one answer for each connection, as written down.

use everloop_client::{Client, ClientOptions};
use everloop_testkit::system::RealClock;
use everloop_types::random::Random;
use everloop_types::retry::RetryPolicy;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Chance that never changes.
struct Same;

impl Random for Same {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// A server with its answers, and what it was asked.
pub(crate) struct Script {
    pub(crate) client: Client,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Answers one connection after the other; an empty answer closes the connection without a word.
    pub(crate) async fn new(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let length = stream.read(&mut buffer).await.unwrap();
                    request.extend_from_slice(&buffer[..length]);
                    let text = String::from_utf8_lossy(&request).to_lowercase();
                    let Some(head) = text.find("\r\n\r\n") else { continue };
                    let body = text
                        .split("content-length: ")
                        .nth(1)
                        .and_then(|rest| rest.split("\r\n").next())
                        .map_or(0, |length| length.parse().unwrap());
                    if request.len() >= head + 4 + body {
                        break;
                    }
                }
                heard.lock().unwrap().push(String::from_utf8(request).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        serving.detach_all();
        let options = ClientOptions {
            retry: RetryPolicy { initial_ms: 1, max_ms: 2, max_tries: 4 },
            ..ClientOptions::new(url, Arc::new(RealClock::default()), Arc::new(Same))
        };
        Self { client: Client::new(options).unwrap(), asked }
    }

    /// What was asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The value of a header of the nth request.
    pub(crate) fn header(&self, nth: usize, name: &str) -> Option<String> {
        let request = self.asked().get(nth)?.clone();
        let line = request.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line[name.len() + 1..].trim().to_owned())
    }
}

/// An answer with a body, after which the connection closes.
pub(crate) fn answer(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A stream that breaks off after these blocks.
pub(crate) fn stream(blocks: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{blocks}")
}

/// An event as a block.
pub(crate) fn block(seq: u64, kind: &str) -> String {
    format!("id: {seq}\nevent: {kind}\ndata: {{\"seq\":{seq},\"type\":\"{kind}\"}}\n\n")
}
