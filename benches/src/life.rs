//! A server's life: how soon it is there, what it takes, and how soon it is there again.

use crate::load::{Connection, block_on};
use crate::process::{Running, server};
use crate::report::Figure;
use anyhow::Context as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Starting on a new folder, and what an idle server takes.
pub(crate) fn start(figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let mut times = Vec::new();
    let mut rss = 0;
    for _ in 0..5 {
        let folder = tempfile::tempdir_in(".")?;
        let begun = Instant::now();
        let (running, address) = server(folder.path(), &[])?;
        block_on(async { Connection::open(&address).await?.json("GET", "/health/ready", "", "").await })?;
        times.push(begun.elapsed());
        rss = running.rss_kib()?;
    }
    times.sort_unstable();
    figures.push(Figure::new(
        "start on a new folder to the first answer",
        times[2].as_secs_f64() * 1e3,
        "ms",
        "< 200",
    ));
    figures.push(Figure::new("memory of an idle server (RSS)", rss as f64 / 1024.0, "MiB", "< 40"));
    Ok(())
}

/// Files of a database that a server has closed.
fn bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("everloop.db") && name != "everloop.db.reserve" {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Bytes on the disk for each finished task of one step, and for each of its events. The server is stopped for it.
pub(crate) fn disk(running: Running, folder: &Path, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    running.stop()?;
    let database = rusqlite::Connection::open(folder.join("everloop.db"))?;
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (tasks, events) = (count("SELECT count(*) FROM task")?, count("SELECT count(*) FROM event")?);
    drop(database);
    let bytes = bytes(folder)? as f64;
    figures.push(Figure::new(
        "bytes on the disk, all divided by tasks",
        bytes / tasks as f64,
        "bytes",
        "<= 2000",
    ));
    figures.push(Figure::new("bytes on the disk, all divided by events", bytes / events as f64, "bytes", ""));
    Ok(())
}

/// With a hundred thousand tasks in the queue: from the start to the first claim, and the gap in answers after SIGKILL.
pub(crate) fn restart(figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    const QUEUED: usize = 100_000;
    let folder = tempfile::tempdir_in(".")?;
    let (running, address) = server(folder.path(), &["--workers", "0"])?;
    block_on(async {
        let mut connection = Connection::open(&address).await?;
        for _ in 0..QUEUED / 1000 {
            let tasks = vec![r#"{"kind":"mock","input":{"steps":[{"name":"a"}]}}"#; 1000].join(",");
            connection.json("POST", "/api/v1/tasks/batch", "", &format!("{{\"tasks\":[{tasks}]}}")).await?;
        }
        Ok(())
    })?;
    drop(running);
    let begun = Instant::now();
    let (running, address) = server(folder.path(), &[])?;
    let claimed = block_on(async {
        let mut connection = Connection::open(&address).await?;
        loop {
            let page = connection
                .json("GET", "/api/v1/tasks?state=running,completed&order=oldest&limit=1", "", "")
                .await?;
            if !page["items"].as_array().context("no items")?.is_empty() {
                return Ok(begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })?;
    figures.push(Figure::new(
        "SIGKILL to the first claim seen, 100,000 queued",
        claimed.as_secs_f64() * 1e3,
        "ms",
        "< 1000",
    ));
    figures.push(Figure::new(
        "memory while 100,000 are queued (RSS)",
        running.rss_kib()? as f64 / 1024.0,
        "MiB",
        "",
    ));
    Ok(())
}

/// What so many followers of a thousand streams take.
pub(crate) fn streams(figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    const STREAMS: usize = 1_000;
    const FOLLOWERS: usize = 10_000;
    let folder = tempfile::tempdir_in(".")?;
    let (running, address) = server(folder.path(), &["--workers", "0"])?;
    block_on(async {
        let mut connection = Connection::open(&address).await?;
        let mut ids = Vec::new();
        for _ in 0..STREAMS {
            let task = connection.json("POST", "/api/v1/tasks", "", r#"{"kind":"mock"}"#).await?;
            ids.push(task["id"].as_str().context("no id")?.to_owned());
        }
        let before = running.rss_kib()?;
        let mut open = Vec::with_capacity(FOLLOWERS);
        for n in 0..FOLLOWERS {
            let mut follower = Connection::open(&address).await?;
            let path = format!("/api/v1/tasks/{}/events", ids[n % STREAMS]);
            let get = crate::load::request("GET", &path, "accept: text/event-stream\r\n", "");
            tokio::io::AsyncWriteExt::write_all(follower.stream.get_mut(), &get).await?;
            follower.head().await?;
            open.push(follower);
        }
        // Every one of them has had what there was.
        for follower in &mut open {
            while !follower.line.starts_with("data:") {
                follower.next_line().await?;
            }
        }
        let after = running.rss_kib()?;
        figures.push(Figure::new(
            "memory for 10,000 followers of 1,000 tasks",
            (after - before) as f64 / 1024.0,
            "MiB",
            "",
        ));
        Ok(())
    })
}
