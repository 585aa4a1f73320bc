//! Where effects happen: an HTTP server outside of the server under test, which writes every request down before it answers.

use super::http::line;
use super::ledger::{Entry, Ledger};
use anyhow::{Context, Result};
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A client of ours that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(10);

/// Starts it; gives its port. It runs as long as the process.
pub(crate) fn serve(ledger: &Ledger) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let ledger = ledger.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ledger = ledger.clone();
            // A connection that breaks is the server's death, and what was recorded of it counts.
            std::thread::spawn(move || answer(stream, &ledger));
        }
    });
    Ok(port)
}

/// Takes one request: `/effect/<number of the task>/<milliseconds until the answer>`.
fn answer(stream: TcpStream, ledger: &Ledger) -> Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut out = stream.try_clone()?;
    let mut stream = BufReader::new(stream);
    let first = line(&mut stream)?;
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let header = line(&mut stream)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or((&header, ""));
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => value.trim().clone_into(&mut key),
            "content-length" => length = value.trim().parse()?,
            _ => {}
        }
    }
    stream.take(length).read_to_end(&mut Vec::new())?;
    let mut path = first.split(' ').nth(1).context("a request without a path")?.split('/').skip(2);
    let mut number = || path.next().and_then(|word| word.parse().ok()).context("a path without a number");
    let (n, delay) = (number()?, number()?);
    ledger.record(&[Entry::Effect { n, key, at: now() }])?;
    // Between an effect and its record in the journal: here a kill leaves a step in doubt.
    sleep(Duration::from_millis(delay));
    out.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\ndone")?;
    Ok(())
}

/// Microseconds since the epoch, as in the events.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
