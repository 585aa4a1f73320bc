//! Work over HTTP: what a worker far from its server gets its tasks from, and sends its events to.

use crate::error::ClientError;
use crate::http::{Call, Client};
use everloop_api::event::Body;
use everloop_api::task::TaskRequest;
use everloop_api::worker::{
    AssignmentView, ClaimAnswer, ClaimRequest, EventsRequest, FailRequest, FinishRequest, HeartbeatRequest,
    HeldLease, JournalItem, JournalPage, RegisterRequest, ReleaseRequest, RenewAnswer, RenewRequest,
    SignalWord, SignalsAnswer, SuspendRequest,
};
use everloop_api::{BASE, IDEMPOTENCY_HEADER, LEASE_HEADER};
use everloop_types::blob::BlobName;
use everloop_types::error::{Class, Code, Refusal, TaskError};
use everloop_types::event::EventBody;
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::state::State;
use everloop_types::task::TaskSpec;
use everloop_types::worker::WorkerSpec;
use everloop_worker::source::{
    Assignment, AttemptEnd, Frame, JournalEntry, Output, Signal, SourceError, Sourced, TaskSignal, Tasks,
    WorkSource, is_journal,
};
use std::time::Duration;
use tokio::sync::watch;

/// The worker protocol, spoken by a client.
pub struct HttpSource {
    client: Client,
    /// Who registered last: frames don't say it.
    worker: watch::Sender<Option<WorkerId>>,
    on_registered: Option<Box<dyn Fn(WorkerId) + Send + Sync>>,
}

/// What is needed of an answer: who was made.
#[derive(serde::Deserialize)]
struct Made<T> {
    id: T,
}

/// What is needed of an answer: how a task ended.
#[derive(serde::Deserialize)]
struct Ended {
    state: State,
    // `null` is a value of the user, and not an absence.
    #[serde(default, deserialize_with = "present")]
    result: Option<Json>,
    error: Option<TaskError>,
    continued_as: Option<TaskId>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(Some)
}

impl From<ClientError> for SourceError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) if problem.class == Class::Transient => {
                Self::Unavailable(problem.detail)
            }
            ClientError::Refused(problem) => Self::Refused(problem.into_refusal(None)),
            ClientError::Unreachable { .. } | ClientError::Protocol { .. } => {
                Self::Unavailable(error.to_string())
            }
            ClientError::Invalid(why) => Self::Refused(Refusal::new(Code::Internal, why)),
        }
    }
}

impl HttpSource {
    /// Work from the server of this client.
    pub fn new(client: Client) -> Self {
        Self { client, worker: watch::Sender::new(None), on_registered: None }
    }

    /// Calls this whenever a worker has registered, before it asks for tasks.
    #[must_use]
    pub fn on_registered(mut self, call: impl Fn(WorkerId) + Send + Sync + 'static) -> Self {
        self.on_registered = Some(Box::new(call));
        self
    }

    /// The worker that was registered last, and whoever comes after it.
    pub fn registered(&self) -> watch::Receiver<Option<WorkerId>> {
        self.worker.subscribe()
    }

    async fn assignment(&self, view: AssignmentView) -> Result<Assignment, SourceError> {
        let mut items = view.journal;
        let mut after = view.journal_after;
        while let Some(from) = after {
            let path = format!("{BASE}/tasks/{}/attempts/{}/journal", view.task, view.attempt);
            let call = Call::get(path).query("after", from).header(LEASE_HEADER, &view.lease.to_string())?;
            let page: JournalPage = self.client.read(call).await?;
            items.extend(page.items);
            after = page.next_after.filter(|next| *next > from);
        }
        Ok(Assignment {
            task: view.task,
            tenant: view.tenant,
            lease: view.lease,
            lease_ttl: view.lease_ttl_ms.map(Duration::from_millis),
            attempt: view.attempt,
            tries: view.tries,
            spec: view.spec,
            kind_version: view.kind_version,
            // A later version may send more than is known here.
            journal: items
                .into_iter()
                .filter(|item| is_journal(&item.r#type))
                .map(entry)
                .collect::<Result<_, _>>()?,
            replay: view.replay,
        })
    }

    /// A message about an attempt.
    fn attempt(task: TaskId, lease: LeaseToken, act: &str) -> Result<Call, ClientError> {
        Call::post(format!("{BASE}/tasks/{task}/attempts/{}/{act}", lease.attempt))
            .header(LEASE_HEADER, &lease.to_string())
    }
}

fn entry(item: JournalItem) -> Result<JournalEntry, SourceError> {
    EventBody::read(&item.r#type, 1, &item.data)
        .map(|body| JournalEntry { seq: item.seq, body })
        .map_err(|error| SourceError::Refused(Refusal::new(Code::Internal, error.to_string())))
}

fn bodies(events: &[EventBody]) -> Result<Vec<Body>, SourceError> {
    let refuse =
        |error: serde_json::Error| SourceError::Refused(Refusal::new(Code::Internal, error.to_string()));
    events.iter().map(|event| Body::of(event).map_err(refuse)).collect()
}

impl WorkSource for HttpSource {
    fn register(&self, spec: WorkerSpec) -> Sourced<'_, WorkerId> {
        Box::pin(async move {
            let call = Call::post(format!("{BASE}/workers")).json(&RegisterRequest::from(spec))?;
            let registered: Made<WorkerId> = self.client.read(call).await?;
            if let Some(call) = &self.on_registered {
                call(registered.id);
            }
            self.worker.send_replace(Some(registered.id));
            Ok(registered.id)
        })
    }

    fn heartbeat(&self, worker: WorkerId, trouble: Option<String>) -> Sourced<'_, ()> {
        Box::pin(async move {
            let call = Call::post(format!("{BASE}/workers/{worker}/heartbeat"))
                .json(&HeartbeatRequest { trouble })?
                .repeatable();
            Ok(self.client.done(call).await?)
        })
    }

    fn claim(
        &self,
        worker: WorkerId,
        max: u32,
        wait: Duration,
        request: u64,
    ) -> Sourced<'_, Vec<Assignment>> {
        Box::pin(async move {
            let call = Call::post(format!("{BASE}/workers/{worker}/claim"))
                .wait(wait)
                .json(&ClaimRequest { max, request })?
                .repeatable();
            let answer: ClaimAnswer = self.client.read(call).await?;
            let mut assignments = Vec::with_capacity(answer.assignments.len());
            for view in answer.assignments {
                assignments.push(self.assignment(view).await?);
            }
            Ok(assignments)
        })
    }

    fn renew(&self, worker: WorkerId, leases: Vec<(TaskId, LeaseToken)>) -> Sourced<'_, Vec<TaskId>> {
        Box::pin(async move {
            let leases = leases.into_iter().map(|(task, lease)| HeldLease { task, lease }).collect();
            let call = Call::post(format!("{BASE}/workers/{worker}/renew"))
                .json(&RenewRequest { leases })?
                .repeatable();
            let answer: RenewAnswer = self.client.read(call).await?;
            Ok(answer.lost)
        })
    }

    fn signals(&self, worker: WorkerId, wait: Duration) -> Sourced<'_, Vec<TaskSignal>> {
        Box::pin(async move {
            let call = Call::get(format!("{BASE}/workers/{worker}/signals")).wait(wait);
            let answer: SignalsAnswer = self.client.read(call).await?;
            let signal = |word, grace_ms: Option<u64>| match word {
                SignalWord::Pause => Signal::Pause,
                SignalWord::Resume => Signal::Resume,
                SignalWord::Cancel => Signal::Cancel {
                    grace: grace_ms.map_or(everloop_types::limits::GRACE, Duration::from_millis),
                },
                SignalWord::LeaseLost => Signal::LeaseLost,
            };
            let read = answer.signals.into_iter().map(|view| TaskSignal {
                task: view.task,
                attempt: view.attempt,
                signal: signal(view.signal, view.grace_ms),
            });
            Ok(read.collect())
        })
    }

    fn write(
        &self,
        worker: WorkerId,
        _tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
        batch: u32,
        events: Vec<EventBody>,
        end: Option<AttemptEnd>,
    ) -> Sourced<'_, ()> {
        Box::pin(async move {
            let events = bodies(&events)?;
            let finish = FinishRequest {
                worker,
                batch,
                events: Vec::new(),
                result: None,
                continue_as: None,
                cancelled: false,
            };
            let call = match end {
                None => {
                    let request = EventsRequest { worker, batch: Some(batch), events, frames: Vec::new() };
                    Self::attempt(task, lease, "events")?.json(&request)?
                }
                Some(AttemptEnd::Completed { result }) => Self::attempt(task, lease, "finish")?
                    .json(&FinishRequest { events, result: Some(result), ..finish })?,
                Some(AttemptEnd::ContinuedAs { input }) => Self::attempt(task, lease, "finish")?
                    .json(&FinishRequest { events, continue_as: Some(input), ..finish })?,
                Some(AttemptEnd::Cancelled) => Self::attempt(task, lease, "finish")?
                    .json(&FinishRequest { events, cancelled: true, ..finish })?,
                Some(AttemptEnd::Failed { error }) => {
                    Self::attempt(task, lease, "fail")?.json(&FailRequest { worker, batch, events, error })?
                }
                Some(AttemptEnd::Waiting { wait }) => {
                    let request = SuspendRequest { worker, batch, events, r#for: Some(wait), paused: None };
                    Self::attempt(task, lease, "suspend")?.json(&request)?
                }
                Some(AttemptEnd::Paused { reason }) => {
                    let request = SuspendRequest { worker, batch, events, r#for: None, paused: Some(reason) };
                    Self::attempt(task, lease, "suspend")?.json(&request)?
                }
                Some(AttemptEnd::Released) => {
                    Self::attempt(task, lease, "release")?.json(&ReleaseRequest { worker, batch, events })?
                }
            };
            Ok(self.client.done(call.repeatable()).await?)
        })
    }

    fn blob(&self, _tenant: TenantId, id: String) -> Sourced<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            match self.client.blob(&id).await {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                Err(error) if error.code() == Some(Code::NotFound) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn put_blob(&self, _tenant: TenantId, media_type: String, bytes: Vec<u8>) -> Sourced<'_, BlobName> {
        Box::pin(async move {
            let name = self.client.blob_put(bytes.into(), &media_type).await?.blob;
            Ok(BlobName { hash: name.hash, id: name.id, media_type: name.media_type, size: name.size })
        })
    }

    fn tasks(&self) -> Option<&dyn Tasks> {
        Some(self)
    }

    fn frames(
        &self,
        _tenant: TenantId,
        task: TaskId,
        lease: LeaseToken,
        frames: Vec<Frame>,
    ) -> Sourced<'_, ()> {
        Box::pin(async move {
            let Some(worker) = *self.worker.borrow() else { return Ok(()) };
            let frames =
                frames.into_iter().map(|frame| Body { r#type: frame.kind, data: frame.data }).collect();
            let request = EventsRequest { worker, batch: None, events: Vec::new(), frames };
            Ok(self.client.done(Self::attempt(task, lease, "events")?.json(&request)?).await?)
        })
    }
}

impl Tasks for HttpSource {
    fn submit(&self, spec: TaskSpec, key: String) -> Sourced<'_, TaskId> {
        Box::pin(async move {
            let request = TaskRequest {
                input: spec.input,
                key: spec.key,
                kind_version: spec.kind_version,
                queue: Some(spec.queue),
                name: spec.name,
                title: spec.title,
                description: spec.description,
                not_before: spec.not_before,
                requires: spec.requires,
                depends_on: spec.depends_on,
                policy: spec.policy,
                context: spec.context,
                metadata: spec.metadata,
                labels: spec.labels,
                session: spec.session,
                parent: spec.parent,
                ..TaskRequest::new(spec.kind)
            };
            let call =
                Call::post(format!("{BASE}/tasks")).header(IDEMPOTENCY_HEADER, &key)?.json(&request)?;
            let submitted: Made<TaskId> = self.client.read(call.repeatable()).await?;
            Ok(submitted.id)
        })
    }

    fn output(&self, task: TaskId) -> Sourced<'_, Output> {
        Box::pin(async move {
            let call = Call::get(format!("{BASE}/tasks/{task}/output"));
            let Ended { state, result, error, continued_as } = self.client.read(call).await?;
            Ok(Output { state, result, error, continued_as })
        })
    }
}
