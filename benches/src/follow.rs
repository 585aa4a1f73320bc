//! How old events are when followers read them: the wall clock then, less the event's own time.

use crate::load::{Connection, block_on, request};
use crate::report::Row;
use anyhow::Context as _;
use std::time::{Duration, Instant, SystemTime};

/// How old an event is, by the wall clock.
pub(crate) fn age(data: &str) -> anyhow::Result<Duration> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    // The envelope's members stand in order: this is cheaper than reading all of it, for a thousand at once.
    let ts = data.split("\"ts\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let ts = ts.and_then(everloop_types::time::Timestamp::parse).context("an event without ts")?;
    Ok(now.saturating_sub(Duration::from_micros(u64::try_from(ts.as_micros())?)))
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
            let mut follower = Connection::open(address).await?;
            let path = format!("/api/v1/tasks/{id}/events?types=custom.mock");
            let get = request("GET", &path, "accept: text/event-stream\r\n", "");
            tokio::io::AsyncWriteExt::write_all(follower.stream.get_mut(), &get).await?;
            loops.push(tokio::spawn(async move {
                follower.head().await?;
                let mut latencies = Vec::with_capacity(events);
                while latencies.len() < events {
                    follower.next_line().await?;
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
