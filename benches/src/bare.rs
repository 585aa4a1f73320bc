//! What the disk and the libraries give at most.

use crate::report::Row;
use rusqlite::{Connection, params};
use std::time::{Duration, Instant};

/// Bare SQLite with our settings: four rows of 400 bytes and one index a task, 64 tasks a transaction.
pub(crate) fn sqlite(time: Duration) -> anyhow::Result<Row> {
    let folder = tempfile::tempdir_in(".")?;
    let db = Connection::open(folder.path().join("bare.db"))?;
    db.execute_batch(
        "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;
         CREATE TABLE event (pos INTEGER PRIMARY KEY, stream BLOB, seq INTEGER, data BLOB) STRICT;
         CREATE UNIQUE INDEX event_seq ON event (stream, seq);",
    )?;
    let data = vec![b'x'; 400];
    let mut latencies = Vec::new();
    let start = Instant::now();
    let mut n: i64 = 0;
    while start.elapsed() < time {
        let begun = Instant::now();
        db.execute_batch("BEGIN IMMEDIATE")?;
        {
            let mut insert =
                db.prepare_cached("INSERT INTO event (pos, stream, seq, data) VALUES (?1, ?2, ?3, ?4)")?;
            for task in 0..64_i64 {
                let stream = (n + task).to_be_bytes().repeat(2);
                for seq in 0..4_i64 {
                    insert.execute(params![(n + task) * 4 + seq, stream, seq, data])?;
                }
            }
        }
        db.execute_batch("COMMIT")?;
        n += 64;
        latencies.extend(std::iter::repeat_n(begun.elapsed(), 64));
    }
    Ok(Row::new("bare SQLite, 4 rows a task, 64 tasks a transaction", 64, start.elapsed(), latencies))
}

/// One write of 8 KiB at the end of a file, and its fsync.
pub(crate) fn fsync(time: Duration) -> anyhow::Result<Row> {
    use std::io::Write as _;
    let folder = tempfile::tempdir_in(".")?;
    let mut file = std::fs::File::create(folder.path().join("file"))?;
    let page = vec![7; 8192];
    let mut latencies = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let begun = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        latencies.push(begun.elapsed());
    }
    Ok(Row::new("8 KiB appended to a file, and fsynced", 1, start.elapsed(), latencies))
}
