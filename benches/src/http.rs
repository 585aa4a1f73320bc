//! Load over HTTP, from a process of its own: keep-alive connections that send one request after the other.

use crate::report::Row;
use anyhow::{Context as _, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// One keep-alive connection.
struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), line: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads the answer; gives its status.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.get_mut().write_all(request).await?;
        let (status, length) = self.head().await?;
        self.body.resize(length.context("an answer without Content-Length")?, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(status)
    }

    async fn head(&mut self) -> anyhow::Result<(u16, Option<usize>)> {
        self.next_line().await?;
        let status = self.line.split(' ').nth(1).context("no status line")?.parse()?;
        let mut length = None;
        loop {
            self.next_line().await?;
            let line = self.line.trim_end();
            if line.is_empty() {
                return Ok((status, length));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
    }

    async fn next_line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

/// Keeps so many requests under way for so long. `request` makes the n-th one.
async fn load(
    name: &str,
    address: &str,
    time: Duration,
    concurrency: usize,
    request: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
    numbers: &Arc<AtomicU64>,
) -> anyhow::Result<Row> {
    let request = Arc::new(request);
    let start = Instant::now();
    let mut loops = Vec::new();
    for _ in 0..concurrency {
        let mut connection = Connection::open(address).await?;
        let (request, numbers) = (request.clone(), numbers.clone());
        loops.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let text = request(numbers.fetch_add(1, Ordering::Relaxed));
                let begun = Instant::now();
                let status = connection.ask(&text).await?;
                if !(200..300).contains(&status) {
                    bail!("status {status}: {}", String::from_utf8_lossy(&connection.body));
                }
                latencies.push(begun.elapsed());
            }
            Ok(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for one in loops {
        latencies.extend(one.await??);
    }
    Ok(Row::new(name, concurrency, start.elapsed(), latencies))
}

/// `POST /tasks?wait=`: a keyed task of one step, answered when it is finished.
pub(crate) fn tasks(
    address: &str,
    time: Duration,
    concurrency: usize,
    numbers: &Arc<AtomicU64>,
) -> anyhow::Result<Row> {
    let host = address.to_owned();
    let request = move |n: u64| {
        let key = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let body = format!(
            r#"{{"kind":"mock","key":"order-{key:016x}","input":{{"steps":[{{"name":"work","result":{{"answer":42,"text":"some eighty bytes of result that a step would give back"}}}}]}}}}"#
        );
        format!(
            "POST /api/v1/tasks?wait=30s HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    block_on(load("POST /tasks?wait=, submit to complete", address, time, concurrency, request, numbers))
}

/// A handler that does nothing.
pub(crate) fn bare(address: &str, time: Duration, concurrency: usize) -> anyhow::Result<Row> {
    let text = format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
    let request = move |_| text.clone();
    block_on(load("bare Axum handler", address, time, concurrency, request, &Arc::default()))
}

/// How old events are when a follower reads them: the wall clock then, less the event's own time.
pub(crate) fn follow(address: &str, events: usize) -> anyhow::Result<Row> {
    block_on(async {
        let mut submit = Connection::open(address).await?;
        let body = format!(
            r#"{{"kind":"mock","input":{{"steps":[{{"events":{events},"duration_ms":{}}}]}}}}"#,
            events * 5
        );
        let request = format!(
            "POST /api/v1/tasks HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let status = submit.ask(request.as_bytes()).await?;
        let task: serde_json::Value = serde_json::from_slice(&submit.body)?;
        let id = task["id"].as_str().with_context(|| format!("status {status}: no id"))?.to_owned();
        let mut follower = Connection::open(address).await?;
        let request = format!(
            "GET /api/v1/tasks/{id}/events?types=custom.mock HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n"
        );
        follower.stream.get_mut().write_all(request.as_bytes()).await?;
        follower.head().await?;
        let start = Instant::now();
        let mut latencies = Vec::new();
        while latencies.len() < events {
            follower.next_line().await?;
            let Some(data) = follower.line.strip_prefix("data:") else { continue };
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
            let event: serde_json::Value = serde_json::from_str(data.trim())?;
            let ts = event["ts"]
                .as_str()
                .and_then(everloop_types::time::Timestamp::parse)
                .context("an event without ts")?;
            latencies.push(now.saturating_sub(Duration::from_micros(u64::try_from(ts.as_micros())?)));
        }
        Ok(Row::new("event written to event read by a follower (SSE)", 1, start.elapsed(), latencies))
    })
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
