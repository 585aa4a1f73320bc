//! Many of everything: followers, workers that wait, and a file with a million tasks.

use crate::http::{register, tasks};
use crate::load::{Connection, block_on, request};
use crate::process::{Running, server};
use crate::report::{Figure, Row};
use crate::tell;
use anyhow::{Context as _, ensure};
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

const MIB: f64 = 1024.0;

fn mib(running: &Running) -> anyhow::Result<f64> {
    Ok(running.rss_kib()? as f64 / MIB)
}

/// Submits so many tasks of a kind, a thousand at a time. Any refusal ends it.
pub(crate) async fn submit_many(connection: &mut Connection, kind: &str, count: usize) -> anyhow::Result<()> {
    for _ in 0..count / 1000 {
        let tasks = vec![format!(r#"{{"kind":"{kind}","input":1}}"#); 1000].join(",");
        let body = format!("{{\"tasks\":[{tasks}]}}");
        let answer = connection.json("POST", "/api/v1/tasks/batch", "", &body).await?;
        ensure!(answer["created"] == 1000, "a batch was refused: {}", answer["outcomes"][0]);
    }
    Ok(())
}

/// Ten thousand followers of a thousand tasks, of which every one writes an event a second.
pub(crate) fn followers(rows: &mut Vec<Row>, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    const STREAMS: usize = 1_000;
    const FOLLOWERS: usize = 10_000;
    const EVENTS: usize = 10;
    let folder = tempfile::tempdir_in(".")?;
    let (running, address) = server(folder.path(), &["--workers", "0"])?;
    let row = block_on(async {
        let mut connection = Connection::open(&address).await?;
        let worker = register(&mut connection, "bench.stream").await?;
        submit_many(&mut connection, "bench.stream", STREAMS).await?;
        let path = format!("/api/v1/workers/{worker}/claim?wait=5s");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut held: Vec<(String, String)> = Vec::with_capacity(STREAMS);
        // A commit gives some of them.
        for request in 1..=STREAMS / 100 {
            let body = format!(r#"{{"max":{},"request":{request}}}"#, STREAMS - held.len());
            let claimed = connection.json("POST", &path, "", &body).await?;
            let assignments = claimed["assignments"].as_array().context("no assignments")?;
            held.extend(assignments.iter().map(|one| (text(&one["task"]), text(&one["lease"]))));
            if held.len() == STREAMS {
                break;
            }
        }
        ensure!(held.len() == STREAMS, "{} tasks were claimed", held.len());
        let before = mib(&running)?;
        let mut open = Vec::with_capacity(FOLLOWERS);
        for n in 0..FOLLOWERS {
            open.push(crate::follow::open(&address, &held[n % STREAMS].0, "custom.bench").await?);
        }
        figures.push(Figure::new(
            "memory for 10,000 followers of 1,000 tasks",
            mib(&running)? - before,
            "MiB",
            "",
        ));
        let start = Instant::now();
        let reading: Vec<_> = open
            .into_iter()
            .map(|mut follower| {
                tokio::spawn(async move {
                    let mut latencies = Vec::with_capacity(EVENTS);
                    while latencies.len() < EVENTS {
                        follower.next_line().await?;
                        if let Some(data) = follower.line.strip_prefix("data:") {
                            latencies.push(crate::follow::age(data)?);
                        }
                    }
                    anyhow::Ok(latencies)
                })
            })
            .collect();
        for event in 0..EVENTS {
            for (n, (task, lease)) in held.iter().enumerate() {
                let due = Duration::from_millis((event * STREAMS + n) as u64);
                tokio::time::sleep_until((start + due).into()).await;
                let body = format!(
                    r#"{{"worker":"{worker}","batch":{},"events":[{{"type":"custom.bench","data":{{"n":{n}}}}}]}}"#,
                    event + 1
                );
                let path = format!("/api/v1/tasks/{task}/attempts/1/events");
                connection.json("POST", &path, &format!("everloop-lease: {lease}\r\n"), &body).await?;
            }
        }
        let mut latencies = Vec::new();
        for one in reading {
            latencies.extend(one.await??);
        }
        figures.push(Figure::new("memory of that server afterwards (RSS)", mib(&running)?, "MiB", ""));
        Ok(Row::new(
            "event to follower, 1,000 tasks, an event a second each",
            FOLLOWERS,
            start.elapsed(),
            latencies,
        ))
    })?;
    tell(rows, row);
    Ok(())
}

/// A thousand workers wait for tasks, and two hundred tasks a second come.
pub(crate) fn pollers(rows: &mut Vec<Row>, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    const WORKERS: usize = 1_000;
    const TASKS: usize = 2_000;
    let folder = tempfile::tempdir_in(".")?;
    let (running, address) = server(folder.path(), &["--workers", "0"])?;
    let row = block_on(async {
        let mut connection = Connection::open(&address).await?;
        let before = mib(&running)?;
        let sent: Arc<Vec<Mutex<Option<Instant>>>> = Arc::new((0..TASKS).map(|_| Mutex::default()).collect());
        let latencies = Arc::new(Mutex::new(Vec::with_capacity(TASKS)));
        let polls = Arc::new(AtomicU64::new(0));
        for _ in 0..WORKERS {
            let mut own = Connection::open(&address).await?;
            let worker = register(&mut own, "bench.poll").await?;
            let (sent, latencies, polls) = (sent.clone(), latencies.clone(), polls.clone());
            tokio::spawn(async move {
                let path = format!("/api/v1/workers/{worker}/claim?wait=30s");
                for number in 1.. {
                    polls.fetch_add(1, Ordering::Relaxed);
                    let body = format!("{{\"max\":1,\"request\":{number}}}");
                    let claimed = own.json("POST", &path, "", &body).await?;
                    let now = Instant::now();
                    for one in claimed["assignments"].as_array().into_iter().flatten() {
                        let n = one["spec"]["input"].as_u64().context("no input")?;
                        let begun = sent[usize::try_from(n)?].lock().ok().and_then(|at| *at);
                        if let (Some(begun), Ok(mut latencies)) = (begun, latencies.lock()) {
                            latencies.push(now - begun);
                        }
                        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
                        let finish = format!("/api/v1/tasks/{}/attempts/1/finish", text("task"));
                        let body = format!(r#"{{"worker":"{worker}","batch":1,"result":1}}"#);
                        own.json("POST", &finish, &format!("everloop-lease: {}\r\n", text("lease")), &body)
                            .await?;
                    }
                }
                anyhow::Ok(())
            });
        }
        // Every one of them waits.
        while polls.load(Ordering::Relaxed) < WORKERS as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        figures.push(Figure::new("memory for 1,000 workers that wait", mib(&running)? - before, "MiB", ""));
        let start = Instant::now();
        for n in 0..TASKS {
            tokio::time::sleep_until((start + Duration::from_millis(5 * n as u64)).into()).await;
            if let Ok(mut at) = sent[n].lock() {
                *at = Some(Instant::now());
            }
            let body = format!(r#"{{"kind":"bench.poll","input":{n}}}"#);
            connection.json("POST", "/api/v1/tasks", "", &body).await?;
        }
        let all = || latencies.lock().map_or(0, |latencies| latencies.len());
        while all() < TASKS {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let elapsed = start.elapsed();
        let latencies = latencies.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
        Ok(Row::new("submit to claimed, 200 tasks a second, workers waiting", WORKERS, elapsed, latencies))
    })?;
    tell(rows, row);
    Ok(())
}

/// Four thousand callers who send as fast as they can, whatever they are told; and what is left of it a second later.
pub(crate) fn overload(rows: &mut Vec<Row>, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    const CALLERS: usize = 4_000;
    let folder = tempfile::tempdir_in(".")?;
    let (running, address) = server(folder.path(), &[])?;
    let (numbers, time) = (Arc::default(), Duration::from_secs(3));
    let idle = tasks("POST /tasks?wait=, idle before the overload", &address, time, 1, &numbers)?;
    let (taken, refused, ready, elapsed) = block_on(async {
        register(&mut Connection::open(&address).await?, "bench.overload").await?;
        let body = r#"{"kind":"bench.overload","input":1}"#;
        let mut open = Vec::with_capacity(CALLERS);
        for _ in 0..CALLERS {
            open.push(Connection::open(&address).await?);
        }
        let mut health = Connection::open(&address).await?;
        let start = Instant::now();
        let mut callers = Vec::with_capacity(CALLERS);
        for mut own in open {
            callers.push(tokio::spawn(async move {
                let submit = request("POST", "/api/v1/tasks", "", body);
                let (mut taken, mut refused) = (Vec::new(), 0_u64);
                while start.elapsed() < Duration::from_secs(8) {
                    let begun = Instant::now();
                    match own.ask(&submit).await? {
                        201 => taken.push(begun.elapsed()),
                        429 | 503 if own.retry_after => refused += 1,
                        other => anyhow::bail!("{other}: {}", String::from_utf8_lossy(&own.body)),
                    }
                }
                Ok((taken, refused))
            }));
        }
        let ready = request("GET", "/health/ready", "", "");
        let mut answers = std::collections::BTreeMap::<u16, u32>::new();
        while start.elapsed() < Duration::from_secs(8) {
            *answers.entry(health.ask(&ready).await?).or_default() += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (mut taken, mut refused) = (Vec::new(), 0);
        for caller in callers {
            let (its, no) = caller.await??;
            taken.extend(its);
            refused += no;
        }
        Ok((taken, refused, answers, start.elapsed()))
    })?;
    eprintln!("/health/ready answered {ready:?} times");
    let share =
        100.0 * f64::from(ready.get(&503).copied().unwrap_or(0)) / f64::from(ready.values().sum::<u32>());
    tell(
        rows,
        Row::new("submits taken while 4,000 callers send as fast as they can", CALLERS, elapsed, taken),
    );
    figures.push(Figure::new("submits refused in that time with Retry-After", refused as f64, "", ""));
    figures.push(Figure::new("answers 503 of /health/ready in that time", share, "%", ""));
    std::thread::sleep(Duration::from_secs(1));
    let after = tasks("POST /tasks?wait=, a second after the overload", &address, time, 1, &numbers)?;
    figures.push(Figure::new("p99 after it, by p99 before it", after.p99_ms / idle.p99_ms, "times", "<= 2"));
    figures.push(Figure::new("memory after it (RSS)", mib(&running)?, "MiB", ""));
    tell(rows, idle);
    tell(rows, after);
    Ok(())
}

/// A request, again and again; the median.
async fn median(connection: &mut Connection, path: &str) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        connection.json("GET", path, "", "").await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[10].as_secs_f64() * 1e3)
}

/// Lists and figures, as a dashboard asks for them.
const LISTS: &[&str] = &[
    "tasks",
    "tasks?order=oldest",
    "tasks?state=failed",
    "tasks?state=completed&limit=200",
    "tasks?state=running,waiting,paused",
    "tasks?state=queued",
    "tasks?kind=bench.none",
    "tasks?queue=none",
    "tasks?label=a:b",
    "tasks?key_prefix=none",
    "dead-letters",
    "inbox",
    "queues",
    "stats",
];

/// What a file with so many finished and queued tasks is like to use.
pub(crate) fn file(finished: usize, rows: &mut Vec<Row>, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    const QUEUED: usize = 100_000;
    let folder = tempfile::tempdir_in(".")?;
    let named = |what: &str, finished: usize| format!("{what}, {finished} finished tasks in the file");
    let (running, address) = server(folder.path(), &[])?;
    let numbers = Arc::new(AtomicU64::new(0));
    let time = Duration::from_secs(5);
    tell(rows, tasks(&named("POST /tasks?wait=", 0), &address, time, 64, &numbers)?);
    block_on(async { lists(&address, "50,000", figures).await })?;
    let begun = Instant::now();
    while numbers.load(Ordering::Relaxed) < finished as u64 {
        let fill = tasks("filling the file", &address, Duration::from_secs(10), 256, &numbers)?;
        eprintln!("{} of {finished} tasks: {:.0}/s", numbers.load(Ordering::Relaxed), fill.per_second);
    }
    eprintln!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    let worker = block_on(async {
        let mut connection = Connection::open(&address).await?;
        let worker = register(&mut connection, "bench.queued").await?;
        submit_many(&mut connection, "bench.queued", QUEUED).await?;
        Ok(worker)
    })?;
    tell(rows, tasks(&named("POST /tasks?wait=", finished), &address, time, 64, &numbers)?);
    tell(rows, tasks(&named("POST /tasks?wait=", finished), &address, time, 1, &numbers)?);
    block_on(async { lists(&address, "1,000,000", figures).await })?;
    tell(rows, block_on(claims(&address, &worker, 1, 500))?);
    figures.push(Figure::new("memory with that file (RSS)", mib(&running)?, "MiB", ""));
    let size = |name: &str| std::fs::metadata(folder.path().join(name)).map_or(0, |data| data.len()) as f64;
    figures.push(Figure::new("size of that file", size("everloop.db") / MIB / MIB, "MiB", ""));

    drop(running);
    let begun = Instant::now();
    let (running, address) = server(folder.path(), &["--workers", "0"])?;
    let first = block_on(claims(&address, &worker, 1_000, 1))?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    figures.push(Figure::new("SIGKILL to the first task claimed, with that file", took, "ms", "< 1000"));
    tell(rows, Row { name: "the first claim after it".to_owned(), ..first });
    running.stop()?;
    retention(folder.path(), figures)
}

async fn lists(address: &str, words: &str, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    for list in LISTS {
        let took = median(&mut connection, &format!("/api/v1/{list}")).await?;
        figures.push(Figure::new(&format!("GET /{list}, {words} tasks"), took, "ms", ""));
    }
    Ok(())
}

/// Claims one after the other.
async fn claims(address: &str, worker: &str, from: u64, count: u64) -> anyhow::Result<Row> {
    let mut connection = Connection::open(address).await?;
    let (start, mut latencies) = (Instant::now(), Vec::new());
    for request in from..from + count {
        let begun = Instant::now();
        let path = format!("/api/v1/workers/{worker}/claim?wait=1s");
        let claimed =
            connection.json("POST", &path, "", &format!(r#"{{"max":1,"request":{request}}}"#)).await?;
        ensure!(claimed["assignments"][0]["task"].is_string(), "nothing was claimed: {claimed}");
        latencies.push(begun.elapsed());
    }
    Ok(Row::new("claim of one task, 100,000 queued", 1, start.elapsed(), latencies))
}

/// Every finished task goes: how long it takes, what others notice of it, and what the file is then.
fn retention(folder: &Path, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let file = folder.join("everloop.db");
    // The next round is due at once.
    rusqlite::Connection::open(&file)?.execute("DELETE FROM job", [])?;
    let before = std::fs::metadata(&file)?.len() as f64;
    let (running, address) = server(folder, &["--workers", "1", "--retention-days", "0"])?;
    let begun = Instant::now();
    let worst = block_on(async {
        let mut connection = Connection::open(&address).await?;
        let mut worst = Duration::ZERO;
        let mut n = 0_u64;
        loop {
            // What somebody notices who wants something meanwhile.
            let asked = Instant::now();
            let body = format!(r#"{{"kind":"mock","key":"meanwhile-{n}"}}"#);
            connection.json("POST", "/api/v1/tasks?wait=30s", "", &body).await?;
            worst = worst.max(asked.elapsed());
            n += 1;
            let stats = connection.json("GET", "/api/v1/stats", "", "").await?;
            if stats["tasks"]["completed"].as_u64().context("no count")? <= n {
                return Ok(worst);
            }
            ensure!(begun.elapsed() < Duration::from_secs(3600), "retention has not come to an end: {stats}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })?;
    figures.push(Figure::new(
        "all finished tasks dropped by retention",
        begun.elapsed().as_secs_f64(),
        "s",
        "",
    ));
    figures.push(Figure::new(
        "the longest of the tasks that ran meanwhile",
        worst.as_secs_f64() * 1e3,
        "ms",
        "",
    ));
    // Pages are given back while nothing else is to do.
    let (mut size, mut since) = (std::fs::metadata(&file)?.len(), SystemTime::now());
    while since.elapsed()? < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(200));
        let now = std::fs::metadata(&file)?.len();
        if now != size {
            (size, since) = (now, SystemTime::now());
        }
    }
    let name = "size of the file after it, in percent of before";
    figures.push(Figure::new(name, 100.0 * size as f64 / before, "%", ""));
    running.stop()
}
