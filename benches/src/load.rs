//! Load over HTTP, from a process of its own: keep-alive connections that send one request after the other.

use crate::report::Row;
use anyhow::{Context as _, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// One keep-alive connection.
pub(crate) struct Connection {
    pub(crate) stream: BufReader<TcpStream>,
    pub(crate) line: String,
    pub(crate) body: Vec<u8>,
    /// Whether the last answer said when to come again.
    pub(crate) retry_after: bool,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), line: String::new(), body: Vec::new(), retry_after: false })
    }

    /// Sends a request with a JSON body and reads the JSON answer.
    pub(crate) async fn json(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> anyhow::Result<serde_json::Value> {
        let status = self.ask(&request(method, path, headers, body)).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: status {status}: {}", String::from_utf8_lossy(&self.body));
        }
        if self.body.is_empty() {
            Ok(serde_json::Value::Null)
        } else {
            Ok(serde_json::from_slice(&self.body)?)
        }
    }

    /// Sends a request and reads the answer; gives its status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.get_mut().write_all(request).await?;
        let (status, length) = self.head().await?;
        // An answer without a body need not say how long it is.
        self.body.resize(length.unwrap_or(0), 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(status)
    }

    pub(crate) async fn head(&mut self) -> anyhow::Result<(u16, Option<usize>)> {
        self.next_line().await?;
        let status = self.line.split(' ').nth(1).context("no status line")?.parse()?;
        let mut length = None;
        self.retry_after = false;
        loop {
            self.next_line().await?;
            let line = self.line.trim_end();
            if line.is_empty() {
                return Ok((status, length));
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            }
            self.retry_after |= name.eq_ignore_ascii_case("retry-after");
        }
    }

    pub(crate) async fn next_line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

/// Keeps so many requests under way for so long. `request` makes the n-th one.
pub(crate) async fn load(
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

/// A request as it goes over the wire.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
