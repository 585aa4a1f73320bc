//! Messages between standard input and output and a server's `/mcp`, line by line, as they are.
//!
//! Nothing is kept here but the revision that was agreed upon: when the server goes away, a message waits for the next one, be
//! it started by somebody else or by this process, and is sent again under its own key, which makes it one message.

use super::super::ground::Ground;
use crate::failure::Failure;
use crate::output;
use everloop_client::embedded::{Embedded, StartOptions};
use everloop_client::error::ClientError;
use everloop_client::mcp::Seen;
use everloop_client::{Client, ClientOptions};
use everloop_types::retry::RetryPolicy;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::{AbortHandle, JoinSet};

/// How long a message waits for a server, in looks.
const LOOKS: u32 = 60;
/// Time between two of them.
const LOOK: Duration = Duration::from_millis(500);
/// Looks that others have to bring their server back before one is started here.
const OTHERS: u32 = 6;

/// The server that messages go to.
struct Link {
    client: Client,
    /// The one that this process started.
    own: Option<Embedded>,
}

/// What the messages share.
struct Relay {
    link: AsyncMutex<Link>,
    /// The revision that `initialize` agreed upon.
    agreed: Mutex<Option<String>>,
}

/// Where a server that is started here keeps its files: hosts start programs in any folder.
fn folder(ground: &Ground) -> PathBuf {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = || {
        let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("everloop"))
    };
    ground.settings.path("data_dir").or_else(own).unwrap_or_else(|| ground.data_dir())
}

/// One try for each message: waiting for a server is done here.
fn once(options: ClientOptions) -> ClientOptions {
    ClientOptions { retry: RetryPolicy { max_tries: 1, ..options.retry }, ..options }
}

/// The server that runs, or one for as long as this process.
async fn connect(ground: &Ground, may_start: bool) -> Result<Option<Link>, Failure> {
    let found = ground.found()?;
    let options = once(ground.options(&found));
    if found.listens {
        return Ok(Some(Link { client: Client::new(options)?, own: None }));
    }
    if !may_start {
        return Ok(None);
    }
    let folder = folder(ground);
    let program = std::env::current_exe()
        .map_err(|error| Failure::refused("this program does not know where it lies").cause(error))?;
    let mut arguments = vec!["dev".into(), "--quiet".into()];
    if let Some(file) = ground.settings.file() {
        arguments.extend(["--config".into(), file.into()]);
    }
    let start = StartOptions { program, arguments, log: folder.join("embedded.log"), folder, apart: None };
    let own = Embedded::start(&start, options).await.map_err(|error| {
        Failure::refused("no server is running, and none could be started")
            .cause(error)
            .hint("start one yourself: everloop dev\nor choose another folder for its files with --data-dir")
    })?;
    ground.talk(format!("started a server with its files in {}", start.folder.display()));
    Ok(Some(Link { client: own.client().clone(), own: Some(own) }))
}

/// The first server. One of a host that has just ended may still have the folder, and is about to let it go.
async fn first(ground: &Ground) -> Result<Option<Link>, Failure> {
    for _ in 0..OTHERS {
        if let Ok(link) = connect(ground, true).await {
            return Ok(link);
        }
        tokio::time::sleep(LOOK).await;
    }
    connect(ground, true).await
}

/// The lines of standard input, read beside everything else.
fn lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if send.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// An answer that comes from here, since there is no server to give one.
fn failed(id: &Value, code: i32, message: impl ToString, data: Value) {
    let error = json!({"code": code, "message": message.to_string(), "data": data});
    output::line(json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string());
}

/// Passes messages on until standard input ends.
pub(super) async fn run(ground: &Ground) -> Result<(), Failure> {
    let Some(link) = first(ground).await? else { return Ok(()) };
    ground.talk(format!("passing messages on to {}/mcp", link.client.url()));
    let relay = Arc::new(Relay { link: AsyncMutex::new(link), agreed: Mutex::default() });
    let mut lines = lines();
    let mut running: HashMap<String, AbortHandle> = HashMap::new();
    let mut messages = JoinSet::new();
    let (lost, mut reports) = mpsc::channel::<()>(1);
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            Some(()) = reports.recv() => {
                again(ground, &relay).await?;
                continue;
            }
            Some(ended) = messages.join_next(), if !messages.is_empty() => {
                if let Ok(id) = ended {
                    running.remove::<String>(&id);
                }
                continue;
            }
        };
        let Some(line) = line else { break };
        if line.trim().is_empty() {
            continue;
        }
        let seen = match Seen::of(&line) {
            Ok(seen) => seen,
            Err(error) => {
                failed(&Value::Null, -32700, format!("this is no message: {error}"), Value::Null);
                continue;
            }
        };
        if let Some(task) = seen.cancels().and_then(|id| running.remove(&id.to_string())) {
            // Closing the connection is how the server learns of it.
            task.abort();
            continue;
        }
        let id = seen.id.as_ref().map(Value::to_string).unwrap_or_default();
        let (relay, lost, key) = (relay.clone(), lost.clone(), id.clone());
        let passing = async move {
            pass(&relay, &line, &seen, lost).await;
            key
        };
        let handle = messages.spawn(passing);
        if !id.is_empty() {
            running.insert(id, handle);
        }
    }
    // Whoever closed the pipe reads no answers: what was sent goes on without this process.
    messages.shutdown().await;
    let link = &mut *relay.link.lock().await;
    if let Some(own) = link.own.take()
        && let Err(error) = own.stop().await
    {
        ground.talk(format!("the embedded server did not stop well: {error}"));
    }
    Ok(())
}

/// Finds the server again, or another one, or starts one.
async fn again(ground: &Ground, relay: &Relay) -> Result<(), Failure> {
    let link = &mut *relay.link.lock().await;
    for look in 0..LOOKS {
        if link.client.about().await.is_ok() {
            return Ok(());
        }
        let may_start = link.own.is_some() || look >= OTHERS;
        if may_start {
            // Two servers can't have one folder.
            drop(link.own.take());
        }
        match connect(ground, may_start).await {
            Ok(Some(found)) => {
                let works = found.client.about().await.is_ok();
                *link = found;
                if works {
                    return Ok(());
                }
            }
            Ok(None) => {}
            Err(error) if look + 1 == LOOKS => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Passes one message on, and what is said to it back.
async fn pass(relay: &Relay, line: &str, seen: &Seen, lost: mpsc::Sender<()>) {
    let mut key = None;
    let mut tries = 0;
    let error = loop {
        let client = relay.link.lock().await.client.clone();
        let key = key.get_or_insert_with(|| client.request_key());
        match told(relay, &client, line, seen, key).await {
            Ok(()) => return,
            Err(error @ (ClientError::Unreachable { .. } | ClientError::Protocol { .. }))
                if tries < LOOKS =>
            {
                tries += 1;
                tracing::debug!(%error, "the server went away");
                // One report is enough for all that wait.
                let _ = lost.try_send(());
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => break error,
        }
    };
    let Some(id) = &seen.id else { return };
    match error {
        ClientError::Refused(problem) => failed(id, -32600, &problem.detail, json!(problem)),
        other => failed(id, -32603, other, Value::Null),
    }
}

async fn told(relay: &Relay, client: &Client, line: &str, seen: &Seen, key: &str) -> Result<(), ClientError> {
    let agreed = relay.agreed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut said = pin!(client.mcp(line, seen, key, agreed.as_deref()).await?);
    let mut has_answer = seen.id.is_none();
    while let Some(message) = said.next().await.transpose()? {
        let is_answer =
            serde_json::from_str::<Value>(&message).is_ok_and(|value| value.get("method").is_none());
        has_answer |= is_answer;
        if seen.method.as_deref() == Some("initialize") && is_answer {
            let value: Value = serde_json::from_str(&message).unwrap_or_default();
            let revision = value["result"]["protocolVersion"].as_str().map(str::to_owned);
            *relay.agreed.lock().unwrap_or_else(PoisonError::into_inner) = revision;
        }
        if seen.id.is_some() {
            output::line(message);
        }
    }
    if has_answer {
        return Ok(());
    }
    Err(ClientError::Protocol { url: client.url().to_owned(), reason: "it gave no answer".to_owned() })
}
