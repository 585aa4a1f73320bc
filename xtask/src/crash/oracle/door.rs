//! The way to a server that may be dead, be starting, or have moved to another port.

use super::effects;
use super::http::{self, Answering, Request};
use super::ledger::{Entry, Ledger};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long after a break the server is looked for again.
const AGAIN: Duration = Duration::from_millis(10);

/// The server, wherever it is.
pub(crate) struct Door {
    folder: PathBuf,
    key: String,
    ledger: Ledger,
    /// Where effects happen.
    pub(crate) effects_port: u16,
    /// Whoever retries gives up.
    pub(crate) gave_up: AtomicBool,
    /// When that is at the latest, once it is known.
    pub(crate) latest: OnceLock<Instant>,
    /// No new task is begun.
    pub(crate) finishing: AtomicBool,
    /// Requests that got no answer, or one that asked to come again.
    pub(crate) retries: AtomicU64,
    /// Connections of followers that ended before their stream.
    pub(crate) reconnects: AtomicU64,
}

/// An answer that was read as a whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The body, as what it should be.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.text).with_context(|| format!("{} {}", self.status, self.text))
    }
}

#[derive(Deserialize)]
struct Where {
    url: String,
}

/// Where the server of a data folder is.
pub(crate) fn address(folder: &Path) -> Result<SocketAddr> {
    let found: Where = serde_json::from_str(&std::fs::read_to_string(folder.join("server.json"))?)?;
    let address = found.url.strip_prefix("http://").context("the server's URL is not http")?;
    Ok(address.trim_end_matches('/').parse()?)
}

impl Door {
    /// To the server of a data folder.
    pub(crate) fn new(folder: &Path, ledger: Ledger) -> Result<Self> {
        let key = std::fs::read_to_string(folder.join("api-key")).context("there is no API key")?;
        Ok(Self {
            folder: folder.to_owned(),
            key: format!("Bearer {}", key.trim()),
            effects_port: effects::serve(&ledger)?,
            ledger,
            gave_up: AtomicBool::new(false),
            latest: OnceLock::new(),
            finishing: AtomicBool::new(false),
            retries: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        })
    }

    pub(crate) fn record(&self, entries: &[Entry]) -> Result<()> {
        self.ledger.record(entries)
    }

    /// One try, answered with the head of the answer.
    pub(crate) fn open(&self, path: &str, accept: &str, last: Option<&str>) -> Result<Answering> {
        let headers: Vec<_> = [("authorization", self.key.as_str()), ("accept", accept)]
            .into_iter()
            .chain(last.map(|last| ("last-event-id", last)))
            .collect();
        http::send(address(&self.folder)?, Request { method: "GET", path, headers: &headers, body: None })
    }

    fn once(&self, method: &str, path: &str, body: Option<&str>) -> Result<Answer> {
        let headers = [("authorization", self.key.as_str())];
        let answering =
            http::send(address(&self.folder)?, Request { method, path, headers: &headers, body })?;
        Ok(Answer { status: answering.status, text: answering.text()? })
    }

    /// Tries until there is an answer that isn't about the server's own trouble. None when everybody gives up.
    pub(crate) fn insist(&self, method: &str, path: &str, body: Option<&str>) -> Option<Answer> {
        let over = || self.latest.get().is_some_and(|latest| Instant::now() > *latest);
        while !self.gave_up.load(Ordering::Relaxed) && !over() {
            match self.once(method, path, body) {
                Ok(answer) if answer.status != 503 => return Some(answer),
                Ok(_) | Err(_) => self.pause_before_retry(),
            }
        }
        None
    }

    /// A server that is dead or starting is not asked in a tight loop.
    pub(crate) fn pause_before_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        sleep(AGAIN);
    }

    /// Records an answer that should not have come.
    pub(crate) fn refused(&self, request: &str, answer: &Answer) -> Result<()> {
        self.record(&[Entry::Refused {
            request: request.to_owned(),
            status: answer.status,
            answer: answer.text.clone(),
        }])
    }
}
