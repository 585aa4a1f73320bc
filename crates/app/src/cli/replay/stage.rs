//! The tasks of a dry run: which are left, which are being replayed, and what became of the others.

use everloop_api::problem::Problem;
use everloop_api::task::TaskView;
use everloop_api::worker::{AssignmentView, JournalItem};
use everloop_client::Client;
use everloop_client::error::ClientError;
use everloop_server::rehearsal::{Bytes, End, Script};
use everloop_types::error::{Code, Refusal};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::task::{PauseReason, TaskSpec};
use everloop_types::time::Timestamp;
use everloop_types::worker::{KindOffer, Replay};
use everloop_worker::source::JOURNAL;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The event with which a task begins: what was asked for.
const SUBMITTED: &str = "task.submitted";

/// A task that is to be replayed.
#[derive(Clone, Debug)]
pub(super) struct Todo {
    task: TaskId,
    tenant: TenantId,
    kind: String,
    version: Option<u32>,
    attempt: u32,
}

impl Todo {
    pub(super) fn of(task: &TaskView) -> Self {
        Self {
            task: task.id,
            tenant: task.tenant,
            kind: task.kind.clone(),
            version: task.kind_version,
            attempt: task.attempt,
        }
    }

    fn is_of(&self, offer: &KindOffer) -> bool {
        let version = self.version.is_none_or(|version| offer.versions.contains(&version));
        offer.kind == self.kind && version
    }
}

/// What became of a task.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) task: TaskId,
    pub(super) kind: String,
    /// Whether the code goes on with it.
    pub(super) passes: bool,
    /// How far it got, in words.
    pub(super) said: String,
    /// Where it does not follow the journal: what stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recorded: Option<Json>,
    /// And what the code does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Json>,
}

#[derive(Debug, Default)]
struct Inner {
    todo: VecDeque<Todo>,
    given: HashMap<TaskId, Todo>,
    rows: Vec<Row>,
    offers: Vec<KindOffer>,
}

/// Where a dry run stands.
#[derive(Debug)]
pub(super) struct Stage {
    client: Client,
    inner: Mutex<Inner>,
    changed: Notify,
}

/// What a pause says about a mismatch.
#[derive(Deserialize)]
struct Mismatch {
    what: Option<String>,
    step: Option<String>,
    recorded: Option<Json>,
    code: Option<Json>,
}

/// What a pause says about a replay that came to its end.
#[derive(Deserialize)]
struct Replayed {
    #[serde(default)]
    at: Vec<String>,
    #[serde(default)]
    ahead: u64,
}

/// As much of an event as a journal has.
#[derive(Deserialize)]
struct Recorded {
    seq: u64,
    r#type: String,
    data: Option<Json>,
}

impl Stage {
    pub(super) fn new(client: Client, todo: VecDeque<Todo>) -> Self {
        let inner = Mutex::new(Inner { todo, ..Inner::default() });
        Self { client, inner, changed: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of the tasks, by kind and age.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = self.inner().rows.clone();
        rows.sort_by(|a, b| (&a.kind, a.task).cmp(&(&b.kind, b.task)));
        rows
    }

    /// Tasks of which nothing was heard.
    pub(super) fn left(&self) -> usize {
        let inner = self.inner();
        inner.todo.len() + inner.given.len()
    }

    pub(super) fn not_offered(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for todo in &self.inner().todo {
            *kinds.entry(todo.kind.clone()).or_default() += 1;
        }
        kinds
    }

    /// Whether nothing is left that a worker which is there could replay.
    pub(super) fn is_done(&self) -> bool {
        let inner = self.inner();
        let offered = inner.todo.iter().any(|todo| inner.offers.iter().any(|offer| todo.is_of(offer)));
        let heard = !inner.offers.is_empty() || inner.todo.is_empty();
        heard && inner.given.is_empty() && !offered
    }

    /// Waits until everything was replayed. What a worker is silent about for `patience` is given up.
    pub(super) async fn done(&self, patience: Duration) {
        while !self.is_done() {
            let changed = tokio::time::timeout(patience, self.changed.notified()).await;
            if changed.is_err() {
                let silent: Vec<Todo> = self.inner().given.drain().map(|(_, todo)| todo).collect();
                for todo in silent {
                    let said = format!("did not come to an end in {} s", patience.as_secs());
                    self.keep(&todo, false, said, None);
                }
                return;
            }
        }
    }

    fn keep(&self, todo: &Todo, passes: bool, said: String, mismatch: Option<Mismatch>) {
        let (recorded, code) = mismatch.map_or((None, None), |of| (of.recorded, of.code));
        let row = Row { task: todo.task, kind: todo.kind.clone(), passes, said, recorded, code };
        self.inner().rows.push(row);
        self.changed.notify_one();
    }

    async fn assignment(&self, todo: &Todo) -> Result<AssignmentView, String> {
        let types: Vec<String> = JOURNAL.iter().chain([&SUBMITTED]).map(|name| (*name).to_owned()).collect();
        let (mut spec, mut journal, mut after) = (None, Vec::new(), 0);
        loop {
            let page = self.client.events(&todo.task.to_string(), after, &types).await;
            let page = page.map_err(|error| error.to_string())?;
            for event in &page.items {
                let event: Recorded = event.parse().map_err(|error| error.to_string())?;
                let data = event.data.ok_or_else(|| format!("the payload of event {} is gone", event.seq))?;
                if event.r#type == SUBMITTED {
                    spec = Some(data.parse::<TaskSpec>().map_err(|error| error.to_string())?);
                } else {
                    journal.push(JournalItem { seq: event.seq, r#type: event.r#type, data });
                }
            }
            if page.next_after >= page.last_seq || page.next_after <= after {
                break;
            }
            after = page.next_after;
        }
        Ok(AssignmentView {
            task: todo.task,
            tenant: todo.tenant,
            // It is nobody's lease, and nobody asks for it.
            lease: LeaseToken { epoch: 0, attempt: todo.attempt + 1, nonce: 0 },
            lease_ttl_ms: None,
            attempt: todo.attempt + 1,
            tries: 0,
            kind_version: todo.version,
            spec: spec.ok_or("its first event is gone")?,
            journal,
            journal_after: None,
            replay: Some(Replay::Only),
        })
    }
}

impl Script for Stage {
    fn registered(&self, kinds: &[KindOffer]) {
        self.inner().offers.extend_from_slice(kinds);
        self.changed.notify_one();
    }

    fn next(&self, kinds: Vec<KindOffer>) -> BoxFuture<'_, Option<AssignmentView>> {
        Box::pin(async move {
            loop {
                let todo = {
                    let mut inner = self.inner();
                    let found =
                        inner.todo.iter().position(|todo| kinds.iter().any(|offer| todo.is_of(offer)))?;
                    let todo = inner.todo.remove(found)?;
                    inner.given.insert(todo.task, todo.clone());
                    todo
                };
                match self.assignment(&todo).await {
                    Ok(assignment) => return Some(assignment),
                    Err(why) => {
                        self.inner().given.remove(&todo.task);
                        self.keep(&todo, false, format!("can't be read: {why}"), None);
                    }
                }
            }
        })
    }

    fn read(&self, path: String) -> BoxFuture<'_, Result<Bytes, Problem>> {
        Box::pin(async move {
            self.client.get(&path).await.map_err(|error| match error {
                ClientError::Refused(problem) => *problem,
                other => {
                    let refusal = Refusal::new(Code::StorageUnavailable, other.to_string());
                    Problem::new(refusal, "", Timestamp::from_micros(0))
                }
            })
        })
    }

    fn ended(&self, task: TaskId, end: End) {
        let Some(todo) = self.inner().given.remove(&task) else { return };
        let (passes, said, mismatch) = judged(end);
        self.keep(&todo, passes, said, mismatch);
    }
}

/// Whether that is the end of a task that would go on, and in words.
fn judged(end: End) -> (bool, String, Option<Mismatch>) {
    match end {
        End::Finished(finish) if finish.cancelled => {
            (false, "gives up as if it were cancelled".to_owned(), None)
        }
        End::Finished(_) => (true, "comes to its end".to_owned(), None),
        End::Failed(fail) => {
            (false, format!("would fail: {}: {}", fail.error.code, fail.error.message), None)
        }
        End::Released => (false, "was given back".to_owned(), None),
        End::Suspended(suspend) => match suspend.paused {
            None => (true, "waits for what it waits for".to_owned(), None),
            Some(reason) => paused(reason),
        },
    }
}

fn paused(reason: PauseReason) -> (bool, String, Option<Mismatch>) {
    let details = reason.details.unwrap_or_default();
    if reason.reason == "replayed"
        && let Ok(replayed) = details.parse::<Replayed>()
    {
        let mut said = format!("goes on at {}", replayed.at.join(", "));
        if replayed.ahead > 0 {
            said.push_str(&format!(", which is new before {} recorded steps", replayed.ahead));
        }
        return (true, said, None);
    }
    let mismatch = details.parse::<Mismatch>().ok();
    let said = mismatch.as_ref().and_then(|mismatch| mismatch.what.clone().or_else(|| mismatch.step.clone()));
    (false, said.unwrap_or_else(|| format!("would stand still: {}", reason.reason)), mismatch)
}
