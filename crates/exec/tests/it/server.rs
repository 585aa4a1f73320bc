//! A tiny HTTP server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A request that was received.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Serves until it is dropped.
pub(crate) struct Server {
    pub(crate) host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _task: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        let kept = seen.clone();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, kept.clone()));
            }
        });
        Self { host, seen, _task: task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, kept: Arc<Mutex<Vec<Seen>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read(&mut stream).await {
        let earlier = kept.lock().unwrap().iter().filter(|other| other.path == seen.path).count();
        kept.lock().unwrap().push(seen.clone());
        if answer(&mut stream, &seen, earlier).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok().filter(|many| *many > 0)?;
    let mut words = first.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { method, path, headers, body: String::from_utf8(body).unwrap() })
}

async fn answer(stream: &mut BufReader<TcpStream>, seen: &Seen, earlier: usize) -> std::io::Result<()> {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let plain = |status: &str, headers: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
    };
    let text = match path {
        "/json" => plain(
            "200 OK",
            "Content-Type: application/json\r\nSet-Cookie: a=b\r\n",
            "{\"b\": 1, \"a\": [true]}",
        ),
        "/bytes" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x01").await?;
            return stream.flush().await;
        }
        "/status" => plain(&query.replace('_', " "), "Retry-After: 7\r\n", "no"),
        // Two answers of an overloaded server, then a good one.
        "/flaky" if earlier < 2 => plain("503 Service Unavailable", "", ""),
        "/flaky" => plain("200 OK", "", "at last"),
        "/to" => plain("302 Found", &format!("Location: {query}\r\n"), ""),
        "/moved" => plain("307 Temporary Redirect", &format!("Location: {query}\r\n"), ""),
        "/hang" => {
            sleep(Duration::from_secs(3600)).await;
            return Ok(());
        }
        "/drop" => return Err(std::io::ErrorKind::Other.into()),
        "/slow" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n").await?;
            for n in 0..4 {
                stream.write_all(format!("{n}{n}\n").as_bytes()).await?;
                stream.flush().await?;
                sleep(Duration::from_millis(250)).await;
            }
            return Ok(());
        }
        "/huge" => {
            let many: usize = query.parse().unwrap();
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {many}\r\n\r\n").as_bytes()).await?;
            let block = vec![b'x'; 64 * 1024];
            let mut left = many;
            while left > 0 {
                let now = left.min(block.len());
                stream.write_all(&block[..now]).await?;
                left -= now;
            }
            return stream.flush().await;
        }
        _ => plain("200 OK", "", "fine"),
    };
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}
