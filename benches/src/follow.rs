//! How old events are when followers read them: the wall clock then, less the event's own time.

use crate::load::{Connection, block_on, request};
use crate::report::Row;
use anyhow::Context as _;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How old an event is, by the wall clock.
pub(crate) fn age(data: &str) -> anyhow::Result<Duration> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    // The envelope's members stand in order: this is cheaper than reading all of it, for a thousand at once.
    let ts = data.split("\"ts\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let ts = ts.and_then(everloop_types::time::Timestamp::parse).context("an event without ts")?;
    Ok(now.saturating_sub(Duration::from_micros(u64::try_from(ts.as_micros())?)))
}

/// Follows a task. A server that is asked by a thousand at once tells some to come again.
pub(crate) async fn open(address: &str, task: &str, types: &str) -> anyhow::Result<Connection> {
    let mut follower = Connection::open(address).await?;
    let path = format!("/api/v1/tasks/{task}/events?types={types}");
    let get = request("GET", &path, "accept: text/event-stream\r\n", "");
    loop {
        follower.stream.get_mut().write_all(&get).await?;
        match follower.head().await? {
            (200, _) => return Ok(follower),
            (503, length) => {
                follower.body.resize(length.context("no length")?, 0);
                follower.stream.read_exact(&mut follower.body).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (other, _) => anyhow::bail!("a follower was answered with {other}"),
        }
    }
}

/// So many followers of one task that writes so many events, one every five milliseconds.
pub(crate) fn follow(address: &str, followers: usize, events: usize) -> anyhow::Result<Row> {
    block_on(async {
        let mut submit = Connection::open(address).await?;
        // The first step gives followers time to come.
        let body = format!(
            r#"{{"kind":"mock","input":{{"steps":[{{"name":"wait","duration_ms":{}}},{{"name":"write","events":{events},"duration_ms":{}}}]}}}}"#,
            1000 + followers,
            events * 5
        );
        let task = submit.json("POST", "/api/v1/tasks", "", &body).await?;
        let id = task["id"].as_str().context("no id")?.to_owned();
        let start = Instant::now();
        let mut loops = Vec::new();
        for _ in 0..followers {
            let (address, id) = (address.to_owned(), id.clone());
            loops.push(tokio::spawn(async move {
                let mut follower = open(&address, &id, "custom.mock").await?;
                let mut latencies = Vec::with_capacity(events);
                let mut word = String::new();
                while latencies.len() < events {
                    let read = follower.next_line().await;
                    read.with_context(|| format!("after {} of {events} events: {word}", latencies.len()))?;
                    if follower.line.starts_with(':') {
                        word.clone_from(&follower.line);
                    }
                    let Some(data) = follower.line.strip_prefix("data:") else { continue };
                    latencies.push(age(data)?);
                }
                anyhow::Ok(latencies)
            }));
        }
        let mut latencies = Vec::new();
        for one in loops {
            latencies.extend(one.await??);
        }
        Ok(Row::new(
            "event written to event read by followers of one task (SSE)",
            followers,
            start.elapsed(),
            latencies,
        ))
    })
}
