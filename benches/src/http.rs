//! Tasks over HTTP: one by one, in batches, and by a worker elsewhere.

use crate::load::{Connection, block_on, load, request};
use crate::report::Row;
use crate::scale::submit_many;
use anyhow::Context as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A keyed task of one step, its key in no order.
fn task(n: u64) -> String {
    let key = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        r#"{{"kind":"mock","key":"order-{key:016x}","input":{{"steps":[{{"name":"work","result":{{"answer":42,"text":"some eighty bytes of result that a step would give back"}}}}]}}}}"#
    )
}

/// `POST /tasks?wait=`: answered when the task is finished.
pub(crate) fn tasks(
    name: &str,
    address: &str,
    time: Duration,
    concurrency: usize,
    numbers: &Arc<AtomicU64>,
) -> anyhow::Result<Row> {
    let post = move |n: u64| request("POST", "/api/v1/tasks?wait=30s", "", &task(n));
    block_on(load(name, address, time, concurrency, post, numbers))
}

/// The same without a key: nothing has to be looked up, and no page of a large index be written, for a task.
pub(crate) fn keyless(address: &str, time: Duration, concurrency: usize) -> anyhow::Result<Row> {
    let body = task(0).replace("\"key\":\"order-0000000000000000\",", "");
    anyhow::ensure!(!body.contains("key"), "{body}");
    let post = move |_| request("POST", "/api/v1/tasks?wait=30s", "", &body);
    let name = "the same without a key";
    block_on(load(name, address, time, concurrency, post, &Arc::default()))
}

/// `POST /tasks/batch` with a hundred tasks that nobody runs; counted are tasks.
pub(crate) fn batches(address: &str, time: Duration, numbers: &Arc<AtomicU64>) -> anyhow::Result<Row> {
    const TASKS: u64 = 100;
    let post = move |n: u64| {
        let tasks: Vec<String> = (0..TASKS)
            .map(|i| task(n * TASKS + i + 1_000_000_000).replace("\"mock\"", "\"mock\",\"queue\":\"nobody\""))
            .collect();
        request("POST", "/api/v1/tasks/batch", "", &format!("{{\"tasks\":[{}]}}", tasks.join(",")))
    };
    let row = block_on(load("tasks submitted in batches of 100", address, time, 4, post, numbers))?;
    Ok(Row { per_second: row.per_second * TASKS as f64, ..row })
}

/// A handler that does nothing.
pub(crate) fn bare(address: &str, time: Duration, concurrency: usize) -> anyhow::Result<Row> {
    let get = move |_| request("GET", "/", "", "");
    block_on(load("bare Axum handler", address, time, concurrency, get, &Arc::default()))
}

/// Registers a worker of a kind.
pub(crate) async fn register(connection: &mut Connection, kind: &str) -> anyhow::Result<String> {
    let spec = format!(
        r#"{{"name":"bench","protocol":1,"kinds":[{{"kind":"{kind}","versions":[1]}}],"max_concurrent_tasks":1000}}"#
    );
    let worker = connection.json("POST", "/api/v1/workers", "", &spec).await?;
    Ok(worker["id"].as_str().context("no id")?.to_owned())
}

/// A worker elsewhere that claims what waits, 32 at a time, and finishes each with a step and a result.
pub(crate) fn remote(address: &str, time: Duration) -> anyhow::Result<Row> {
    const KIND: &str = "bench.remote";
    const LOOPS: usize = 32;
    block_on(async {
        let mut connection = Connection::open(address).await?;
        let worker = register(&mut connection, KIND).await?;
        // Enough for the whole time.
        let waiting = 400 * usize::try_from(time.as_secs().max(1))? * 10;
        submit_many(&mut connection, KIND, waiting).await?;
        let start = Instant::now();
        let (queue, work) = async_queue();
        let finished = Arc::new(AtomicU64::new(0));
        let mut loops = Vec::new();
        for _ in 0..LOOPS {
            let (work, worker, finished) = (work.clone(), worker.clone(), finished.clone());
            let mut connection = Connection::open(address).await?;
            loops.push(tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let next = work.lock().await.recv().await;
                    let Some((task, lease)): Option<(String, String)> = next else { return anyhow::Ok(latencies) };
                    let begun = Instant::now();
                    let body = format!(
                        r#"{{"worker":"{worker}","batch":1,"result":42,"events":[{{"type":"step.completed","data":{{"attempt":1,"intent":"{}","kind":"step","result":42,"started_at":"2026-01-01T00:00:00Z","step":"work#1"}}}}]}}"#,
                        "0".repeat(64)
                    );
                    let path = format!("/api/v1/tasks/{task}/attempts/1/finish");
                    let lease = format!("everloop-lease: {lease}\r\n");
                    connection.json("POST", &path, &lease, &body).await?;
                    finished.fetch_add(1, Ordering::Relaxed);
                    latencies.push(begun.elapsed());
                }
            }));
        }
        let path = format!("/api/v1/workers/{worker}/claim?wait=1s");
        let mut number = 0;
        while start.elapsed() < time {
            number += 1;
            let body = format!("{{\"max\":32,\"request\":{number}}}");
            let claimed = connection.json("POST", &path, "", &body).await?;
            let assignments = claimed["assignments"].as_array().context("no assignments")?;
            if assignments.is_empty() {
                break;
            }
            for assignment in assignments {
                let text = |name: &str| assignment[name].as_str().unwrap_or_default().to_owned();
                queue.send((text("task"), text("lease"))).await?;
            }
        }
        drop(queue);
        let mut latencies = Vec::new();
        for one in loops {
            latencies.extend(one.await??);
        }
        Ok(Row::new("claim and finish by a worker over HTTP", LOOPS, start.elapsed(), latencies))
    })
}

type Claimed = (String, String);

fn async_queue()
-> (tokio::sync::mpsc::Sender<Claimed>, Arc<tokio::sync::Mutex<tokio::sync::mpsc::Receiver<Claimed>>>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    (sender, Arc::new(tokio::sync::Mutex::new(receiver)))
}

/// Tasks of many steps, so many at once; counted are steps.
pub(crate) fn steps(address: &str, tasks: usize, steps: usize) -> anyhow::Result<Row> {
    block_on(async {
        let all = vec![r#"{"name":"s","result":{"n":1}}"#; steps].join(",");
        let body = format!(r#"{{"kind":"mock","input":{{"steps":[{all}]}}}}"#);
        let start = Instant::now();
        let mut loops = Vec::new();
        for _ in 0..tasks {
            let (body, mut connection) = (body.clone(), Connection::open(address).await?);
            loops.push(tokio::spawn(async move {
                let begun = Instant::now();
                let task = connection.json("POST", "/api/v1/tasks?wait=60s", "", &body).await?;
                anyhow::ensure!(task["state"] == "completed", "{task}");
                anyhow::Ok(begun.elapsed())
            }));
        }
        let mut latencies = Vec::new();
        for one in loops {
            latencies.push(one.await??);
        }
        let name = format!("journaled steps, tasks of {steps} (ms: a whole task)");
        let row = Row::new(&name, tasks, start.elapsed(), latencies);
        Ok(Row { per_second: row.per_second * steps as f64, ..row })
    })
}
