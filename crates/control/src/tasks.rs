//! One task: read it, wait for it, change it, delete it.

use crate::caller::Caller;
use crate::check;
use crate::control::Control;
use crate::kinds::is_online;
use crate::submit::finish;
use everloop_engine::pipeline::op::{Op, Snapshot, Wish};
use everloop_store::error::StoreError;
use everloop_store::port::ReadStore;
use everloop_store::rows::TaskRow;
use everloop_types::error::{Code, Refusal, TaskError};
use everloop_types::event::{Event, EventBody, Head, TaskPatch};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::task::Task;
use std::sync::Arc;
use std::time::Duration;

/// How a task ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// What it gave.
    pub result: Option<Json>,
    /// How it failed.
    pub error: Option<TaskError>,
    /// Inputs that nobody took.
    pub unconsumed: Vec<String>,
}

/// A task with what its record does not hold.
#[derive(Clone, Debug)]
pub struct Shown {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Its input.
    pub input: Option<Json>,
    /// How it ended; none while it lives, or where the payload is gone.
    pub end: Option<End>,
    /// Whose data it is about.
    pub data_subject: Option<String>,
    /// Why nobody can claim it, where it is queued and nobody can.
    pub unclaimable: Option<String>,
}

impl Shown {
    pub(crate) fn of(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, input: None, end: None, data_subject: None, unclaimable: None }
    }

    pub(crate) fn row(row: TaskRow) -> Self {
        let snapshot = Arc::new(Snapshot { task: row.task.into(), head: row.head });
        Self { data_subject: row.data_subject, ..Self::of(snapshot) }
    }

    /// The record.
    pub fn task(&self) -> &Task {
        &self.snapshot.task
    }

    /// The last event of its stream.
    pub fn head(&self) -> Head {
        self.snapshot.head
    }

    /// Number of that event.
    pub fn last_seq(&self) -> u64 {
        self.snapshot.head.seq
    }

    /// What names this very state of the task, for `ETag` and `If-Match`.
    pub fn version(&self) -> String {
        everloop_journal::hex::encode(&self.snapshot.head.hash[..16])
    }
}

/// What the event that ended a task says.
pub(crate) fn ending(event: &Event) -> Option<End> {
    match event.body() {
        Ok(Some(EventBody::Completed(body))) => {
            Some(End { result: Some(body.result), error: None, unconsumed: body.unconsumed })
        }
        Ok(Some(EventBody::Failed(body))) => {
            Some(End { result: None, error: Some(body.error), unconsumed: body.unconsumed })
        }
        Ok(Some(EventBody::Cancelled(body))) => Some(End { unconsumed: body.unconsumed, ..End::default() }),
        _ => None,
    }
}

/// A task with its input and its end, from the store.
fn shown(
    store: &dyn ReadStore,
    tenant: TenantId,
    id: TaskId,
    now: Option<everloop_types::time::Timestamp>,
) -> Result<Option<Shown>, StoreError> {
    let Some(row) = store.task(tenant, id)? else { return Ok(None) };
    let mut shown = Shown::row(row);
    let stream = StreamName::Task(id);
    if let Some(first) = store.event(tenant, stream, 1)?
        && let Ok(Some(EventBody::Submitted(spec))) = first.body()
    {
        shown.input = spec.input;
    }
    let task = shown.task();
    if task.state.is_terminal() {
        match store.event(tenant, stream, shown.last_seq())? {
            Some(last) => shown.end = ending(&last),
            None => lacks(store, tenant, id, shown.last_seq())?,
        }
    } else if let (State::Queued, Some(now)) = (task.state, now) {
        shown.unclaimable = unclaimable(store, task, now)?;
    }
    Ok(Some(shown))
}

/// An event that the task's record speaks of is not there: damage, unless the task was deleted meanwhile.
pub(crate) fn lacks(store: &dyn ReadStore, tenant: TenantId, id: TaskId, seq: u64) -> Result<(), StoreError> {
    if store.task(tenant, id)?.is_some() {
        return Err(StoreError::Corrupt { what: format!("event {id}/{seq} is missing") });
    }
    Ok(())
}

/// Why no worker can claim a queued task.
fn unclaimable(
    store: &dyn ReadStore,
    task: &Task,
    now: everloop_types::time::Timestamp,
) -> Result<Option<String>, StoreError> {
    let spec = &task.spec;
    if store.paused_queues()?.contains(&spec.queue) {
        return Ok(Some(format!("the queue {:?} is paused", spec.queue)));
    }
    let workers = store.workers()?;
    let mut left: Vec<_> = workers.iter().filter(|worker| is_online(worker, now)).collect();
    if left.is_empty() {
        return Ok(Some("no worker is running".to_owned()));
    }
    left.retain(|worker| worker.spec.queues.contains(&spec.queue));
    if left.is_empty() {
        return Ok(Some(format!("no worker serves the queue {:?}", spec.queue)));
    }
    left.retain(|worker| {
        worker.spec.kinds.iter().any(|offer| {
            offer.kind == spec.kind
                && spec.kind_version.is_none_or(|version| offer.versions.contains(&version))
        })
    });
    if left.is_empty() {
        let version = spec.kind_version.map(|version| format!(" in version {version}")).unwrap_or_default();
        return Ok(Some(format!("no worker of its queue runs the kind {:?}{version}", spec.kind)));
    }
    left.retain(|worker| {
        spec.requires.iter().all(|capability| worker.spec.capabilities.contains(capability))
    });
    Ok(left.is_empty().then(|| format!("no worker has all of: {}", spec.requires.join(", "))))
}

impl Control {
    /// A task as it stands.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get(&self, caller: &Caller, id: TaskId) -> Result<Shown, Refusal> {
        let (tenant, now) = (caller.tenant, self.now());
        let found = self.engine().read(move |store| shown(store, tenant, id, Some(now))).await?;
        found.ok_or_else(|| no_task(id))
    }

    /// A task when it has ended, or as it stands when the time is over.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn wait(&self, caller: &Caller, id: TaskId, wait: Duration) -> Result<Shown, Refusal> {
        if wait.is_zero() {
            return self.get(caller, id).await;
        }
        let mut subscription = self.engine().subscribe(id);
        let mut shown = self.get(caller, id).await?;
        if !shown.task().state.is_terminal() {
            shown.unclaimable = None;
            finish(&mut shown, &mut subscription, wait).await;
            if shown.task().state.is_terminal() && shown.end.is_none() {
                return self.get(caller, id).await;
            }
        }
        Ok(shown)
    }

    /// Waits for the end of what an id or a key names, at most so long. A key may pass on to a task that goes on for the one
    /// it stood for: then that one is waited for.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn wait_for(&self, caller: &Caller, name: &str, wait: Duration) -> Result<Shown, Refusal> {
        let until = self.monotonic() + wait;
        let id = self.resolve(caller.tenant, name).await?;
        let shown = self.wait(caller, id, wait).await?;
        match name.strip_prefix("key:") {
            Some(key) => self.wait_on(caller, shown, key, until).await,
            None => Ok(shown),
        }
    }

    /// Waits on by key, as long as the task that has ended has passed it on.
    pub(crate) async fn wait_on(
        &self,
        caller: &Caller,
        mut shown: Shown,
        key: &str,
        until: Duration,
    ) -> Result<Shown, Refusal> {
        while let Some(next) = shown.task().continued_as {
            if self.resolve(caller.tenant, &format!("key:{key}")).await? == shown.task().id {
                break;
            }
            shown = self.wait(caller, next, until.saturating_sub(self.monotonic())).await?;
        }
        Ok(shown)
    }

    /// The record alone.
    pub(crate) async fn row(&self, caller: &Caller, id: TaskId) -> Result<TaskRow, Refusal> {
        let tenant = caller.tenant;
        self.engine().read(move |store| store.task(tenant, id)).await?.ok_or_else(|| no_task(id))
    }

    /// Changes a live task. With `expected`, only if that is its version.
    ///
    /// # Errors
    /// `precondition_failed`, `illegal_transition` once it has ended.
    pub async fn patch(
        &self,
        caller: &Caller,
        id: TaskId,
        patch: TaskPatch,
        expected: Option<&str>,
    ) -> Result<Shown, Refusal> {
        check::patch(&patch)?;
        if let Some(expected) = expected {
            // Between this look and the write another change may come first: If-Match is a courtesy, not a lock.
            let version = Shown::row(self.row(caller, id).await?).version();
            if version != expected {
                let detail = format!("task {id} is at version {version}, not {expected}");
                return Err(Refusal::new(Code::PreconditionFailed, detail)
                    .hint("get the task again and decide again"));
            }
        }
        self.wish(caller, id, Wish::Update(Box::new(patch))).await
    }

    pub(crate) async fn wish(&self, caller: &Caller, id: TaskId, wish: Wish) -> Result<Shown, Refusal> {
        self.engine().wish(caller.tenant, id, &caller.actor, wish).await.map(Shown::of)
    }

    /// Removes a finished task and its events for good.
    ///
    /// # Errors
    /// `illegal_transition` while it lives.
    pub async fn delete(&self, caller: &Caller, id: TaskId) -> Result<(), Refusal> {
        let op =
            Op::Delete { tenant: caller.tenant, task: id, actor: caller.actor.clone(), reason: "requested" };
        self.engine().ask(op).await.map(|_| ())
    }
}

pub(crate) fn no_task(id: TaskId) -> Refusal {
    Refusal::not_found(format!("task {id}"))
}
