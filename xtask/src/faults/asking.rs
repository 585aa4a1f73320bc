//! Single requests to a server, without the patience of the oracle: what is answered now.

use crate::crash::oracle::address;
use crate::crash::oracle::http::{self, Request};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// A client of the server of a data folder.
pub(super) struct Asking {
    data: PathBuf,
    key: String,
}

/// An answer. A status of 0 says that there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The code of a problem.
    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Asking {
    pub(super) fn new(data: &Path) -> Result<Self> {
        let key = std::fs::read_to_string(data.join("api-key")).context("there is no API key")?;
        Ok(Self { data: data.to_owned(), key: format!("Bearer {}", key.trim()) })
    }

    /// One try.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.try_ask(method, path, body)
            .unwrap_or_else(|error| Answer { status: 0, text: format!("{error:#}") })
    }

    fn try_ask(&self, method: &str, path: &str, body: Option<&str>) -> Result<Answer> {
        let headers = [("authorization", self.key.as_str())];
        let answering = http::send(address(&self.data)?, Request { method, path, headers: &headers, body })?;
        Ok(Answer { status: answering.status, text: answering.text()? })
    }

    /// Asks until the answer is as wanted.
    pub(super) fn until(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer> {
        let start = Instant::now();
        loop {
            let answer = self.ask(method, path, body);
            if wanted(&answer) {
                return Ok(answer);
            }
            if start.elapsed() > PATIENCE {
                let Answer { status, text } = answer;
                bail!("{method} {path} is answered with {status} {text} after {} s", PATIENCE.as_secs());
            }
            sleep(LOOK);
        }
    }

    /// Submits a task and gives its id.
    pub(super) fn submit(&self, body: &Value) -> Result<String> {
        let answer = self.until("POST", "/api/v1/tasks", Some(&body.to_string()), |answer| {
            matches!(answer.status, 200 | 201)
        })?;
        Ok(answer.json()["id"].as_str().context("a task has no id")?.to_owned())
    }
}
