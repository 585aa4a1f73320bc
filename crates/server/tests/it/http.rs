//! A client that hides nothing: what is sent and received is bytes.

use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A problem with this status and code.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail", "class", "request_id", "timestamp"] {
            assert!(problem[member].is_string(), "{member}: {problem}");
        }
        problem
    }

    /// JSON with this status.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

/// A connection, and what was read of it and not looked at yet.
pub(crate) struct Wire {
    stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
    pub(crate) ended: bool,
}

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new(), ended: false }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads some more; false at the end.
    pub(crate) async fn fill(&mut self) -> bool {
        let mut bytes = vec![0; 16 * 1024];
        let read =
            tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("nothing came in time");
        let count = read.unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..count]);
        self.ended = count == 0;
        !self.ended
    }

    pub(crate) async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                let rest = self.buffer.split_off(at + mark.len());
                return std::mem::replace(&mut self.buffer, rest);
            }
            assert!(self.fill().await, "the connection ended: {}", String::from_utf8_lossy(&self.buffer));
        }
    }

    async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill().await, "the connection ended");
        }
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// The head of an answer.
    pub(crate) async fn head(&mut self) -> (u16, HashMap<String, String>) {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_lowercase(), v.to_owned()));
        (status, headers.collect())
    }

    /// The next chunk of a chunked body; none at its end, and none where the connection breaks.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        while !self.buffer.windows(2).any(|window| window == b"\r\n") {
            if !self.fill().await {
                return None;
            }
        }
        let size = String::from_utf8(self.until(b"\r\n").await).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = self.exactly(size + 2).await;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// A whole answer.
    pub(crate) async fn answer(&mut self, head_only: bool) -> Answer {
        let (status, headers) = self.head().await;
        let mut body = Vec::new();
        if head_only || matches!(status, 204 | 304) {
        } else if let Some(length) = headers.get("content-length") {
            body = self.exactly(length.parse().unwrap()).await;
        } else if headers.contains_key("transfer-encoding") {
            while let Some(chunk) = self.chunk().await {
                body.extend(chunk);
            }
        }
        Answer { status, headers, body }
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    if !given("host") {
        text.push_str("Host: localhost\r\n");
    }
    if !body.is_empty() {
        if !given("content-type") {
            text.push_str("Content-Type: application/json\r\n");
        }
        if !given("content-length") {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
    } else if matches!(method, "POST" | "PATCH") {
        text.push_str("Content-Length: 0\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
