//! A server's life: how soon it is there, what it takes, and how soon it is there again.

use crate::http::register;
use crate::load::{Connection, block_on};
use crate::process::{Running, server};
use crate::report::Figure;
use crate::scale::submit_many;
use std::path::Path;
use std::time::Instant;

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

/// With a hundred thousand tasks in the queue: from SIGKILL to the first answer of the next server, and to its first claim.
pub(crate) fn restart(figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    const QUEUED: usize = 100_000;
    let (mut answers, mut claims) = (Vec::new(), Vec::new());
    let folder = tempfile::tempdir_in(".")?;
    let (mut running, mut address) = server(folder.path(), &["--workers", "0"])?;
    let worker = block_on(async {
        let mut connection = Connection::open(&address).await?;
        let worker = register(&mut connection, "bench.queued").await?;
        submit_many(&mut connection, "bench.queued", QUEUED).await?;
        Ok(worker)
    })?;
    for request in 1..=5 {
        let begun = Instant::now();
        drop(running);
        (running, address) = server(folder.path(), &["--workers", "0"])?;
        block_on(async {
            let mut connection = Connection::open(&address).await?;
            connection.json("GET", "/health/ready", "", "").await?;
            answers.push(begun.elapsed());
            let path = format!("/api/v1/workers/{worker}/claim?wait=5s");
            let claimed =
                connection.json("POST", &path, "", &format!(r#"{{"max":1,"request":{request}}}"#)).await?;
            anyhow::ensure!(claimed["assignments"][0]["task"].is_string(), "nothing was claimed: {claimed}");
            claims.push(begun.elapsed());
            Ok(())
        })?;
    }
    for (name, mut times, aim) in [
        ("SIGKILL to the first answer, 100,000 queued, server restarted at once", answers, "< 500"),
        ("SIGKILL to the first task claimed, 100,000 queued", claims, "< 1000"),
    ] {
        times.sort_unstable();
        figures.push(Figure::new(name, times[2].as_secs_f64() * 1e3, "ms", aim));
    }
    let rss = running.rss_kib()? as f64 / 1024.0;
    figures.push(Figure::new("memory while 100,000 are queued (RSS)", rss, "MiB", ""));
    Ok(())
}
