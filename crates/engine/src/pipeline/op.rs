//! What the pipeline is asked, and what it answers.

use super::prepare::Prepared;
use crate::machine::attempt::Write;
use everloop_store::rows::{KeyHash, LeaseRow};
use everloop_store::work::{BlobKey, Row};
use everloop_types::blob::{BlobName, mentions_blob};
use everloop_types::error::Refusal;
use everloop_types::event::{ApprovalDecision, Child, Event, EventBody, Head, LostReason, TaskPatch};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::json::Json;
use everloop_types::lease::LeaseToken;
use everloop_types::receipt::AnchorClaims;
use everloop_types::state::State;
use everloop_types::task::{ForkedFrom, Task, TaskSpec};
use everloop_types::worker::Worker;
use everloop_worker::source::AttemptEnd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A task as it was at the end of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The record.
    pub task: Arc<Task>,
    /// The last event of its stream.
    pub head: Head,
}

/// A request for a new task.
#[derive(Clone, Debug)]
pub struct Submit {
    /// The id that the task will have.
    pub id: TaskId,
    /// Whose it will be.
    pub tenant: TenantId,
    /// Who asks.
    pub actor: String,
    /// What for.
    pub spec: TaskSpec,
    /// Whose data it is about.
    pub data_subject: Option<String>,
    /// Digests of the caller's key and of an `Idempotency-Key` header.
    pub keys: Vec<KeyHash>,
    /// Digest of the request as it was sent.
    pub request: KeyHash,
    /// W3C trace context of the request.
    pub trace: Option<String>,
    /// Where it is forked from, with the source's events.
    pub fork: Option<Fork>,
    /// The finished task that gives up its key to this one.
    pub takes_key_of: Option<TaskId>,
}

/// The source of a fork.
#[derive(Clone, Debug)]
pub struct Fork {
    /// Which task, and up to where.
    pub from: ForkedFrom,
    /// Its events.
    pub events: Arc<Vec<Event>>,
}

/// What somebody wants of a task.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Stand still.
    Pause {
        /// Why.
        reason: Option<String>,
    },
    /// Go on.
    Resume,
    /// End.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
    /// Take something.
    Input {
        /// Id of the input.
        id: String,
        /// For whom in the task.
        name: String,
        /// What.
        data: Json,
    },
    /// Take an answer.
    Decide(ApprovalDecision),
    /// Be another.
    Update(Box<TaskPatch>),
    /// Its time has come.
    Due,
    /// Its attempt is lost.
    Lost {
        /// Which one.
        token: LeaseToken,
        /// How.
        reason: LostReason,
    },
    /// A prerequisite has ended.
    DependencyEnded {
        /// Which one.
        task: TaskId,
        /// How.
        state: State,
    },
    /// A child has ended.
    ChildEnded(Child),
}

impl Wish {
    /// Whether deciding needs the ties of the task to others.
    pub(super) fn needs_relations(&self) -> bool {
        match self {
            Self::Input { .. }
            | Self::Decide(_)
            | Self::Update(_)
            | Self::ChildEnded(_)
            | Self::Pause { .. } => false,
            Self::Resume
            | Self::Cancel { .. }
            | Self::Due
            | Self::Lost { .. }
            | Self::DependencyEnded { .. } => true,
        }
    }
}

/// A claimed task, on its way to its worker.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The record after the claim.
    pub task: Arc<Task>,
    /// The lease.
    pub lease: LeaseRow,
    /// How long it lives unless it is renewed; none in a server's own worker.
    pub ttl: Option<Duration>,
    /// The version of the kind to run.
    pub kind_version: Option<u32>,
    /// The input, when it is at hand: else it stands in the first event.
    pub input: Option<Option<Json>>,
    /// Whether there is nothing in the stream that a replay needs.
    pub fresh: bool,
}

/// What the pipeline is asked to do.
#[derive(Debug)]
pub enum Op {
    /// A new task.
    Submit(Box<Submit>),
    /// Something about a task.
    Wish {
        /// Whose it is.
        tenant: TenantId,
        /// Which one.
        task: TaskId,
        /// Who asks.
        actor: String,
        /// What.
        wish: Wish,
    },
    /// A holder's events.
    Write {
        /// Whose it is.
        tenant: TenantId,
        /// Which one.
        task: TaskId,
        /// What.
        write: Box<Write>,
        /// What it comes to, where that was worked out before.
        prepared: Option<Box<Prepared>>,
    },
    /// A worker of this process, that takes tasks as long as it has room.
    Attach {
        /// The worker.
        worker: Worker,
        /// Where its tasks go.
        tasks: mpsc::UnboundedSender<Claimed>,
        /// Where words about its tasks go.
        signals: mpsc::UnboundedSender<everloop_worker::source::TaskSignal>,
    },
    /// A worker elsewhere.
    Register {
        /// The worker.
        worker: Worker,
        /// Where words about its tasks go.
        signals: mpsc::UnboundedSender<everloop_worker::source::TaskSignal>,
    },
    /// A worker elsewhere wants tasks.
    Claim {
        /// The worker.
        worker: WorkerId,
        /// At most so many.
        max: u32,
        /// Number of the request: a repeated one gives the same tasks.
        request: u64,
        /// Where they go.
        tasks: oneshot::Sender<Vec<Claimed>>,
    },
    /// A worker holds its tasks for another term.
    Renew {
        /// The worker.
        worker: WorkerId,
        /// Its tasks.
        leases: Vec<(TaskId, LeaseToken)>,
    },
    /// A worker was heard from.
    Heard {
        /// The worker.
        worker: WorkerId,
        /// What is wrong with it.
        trouble: Option<String>,
    },
    /// A worker is gone: whatever it holds goes to others.
    Gone {
        /// The worker.
        worker: WorkerId,
    },
    /// Workers that seem to have been silent for long are not listed any more, unless they live all the same.
    Forget {
        /// Which ones.
        workers: Vec<WorkerId>,
    },
    /// A finished task goes, with its whole stream; its keys answer that it is gone for a while.
    Delete {
        /// Whose it is.
        tenant: TenantId,
        /// Which one.
        task: TaskId,
        /// Who asks.
        actor: String,
        /// `requested` or `retention`.
        reason: &'static str,
    },
    /// Payloads of a finished task's events go.
    Fold {
        /// Whose it is.
        tenant: TenantId,
        /// Which one.
        task: TaskId,
        /// Numbers of the events, in order.
        seqs: Vec<u64>,
    },
    /// The beginning of a finished task's stream goes.
    Trim {
        /// Whose it is.
        tenant: TenantId,
        /// Which one.
        task: TaskId,
        /// The last event that goes.
        claims: AnchorClaims,
        /// These claims, signed.
        anchor: String,
    },
    /// Leases that nobody renewed in time are lost.
    Expire,
    /// Rows that hang on no stream.
    Rows(Vec<Row>),
    /// Answers once everything before it has been committed.
    Barrier,
}

impl Op {
    /// The blobs that its values name. A value that names one in a wrong way is refused when it is written.
    pub(super) fn blobs(&self) -> Vec<BlobKey> {
        let named = |tenant: TenantId, value: &Json| Some((tenant, BlobName::of(value).ok()??.id));
        match self {
            Self::Submit(submit) => {
                let copied = submit.fork.iter().flat_map(|fork| fork.events.iter());
                let copied = copied.filter(|event| {
                    event.payload.as_ref().is_some_and(|payload| mentions_blob(&payload.data))
                });
                let copied = copied.filter_map(|event| event.body().ok().flatten());
                let copied = copied.filter_map(|body| named(submit.tenant, body.value()?.1));
                let input = submit.spec.input.as_ref().and_then(|input| named(submit.tenant, input));
                copied.chain(input).collect()
            }
            Self::Wish { tenant, wish: Wish::Input { data, .. }, .. } => {
                named(*tenant, data).into_iter().collect()
            }
            Self::Wish { tenant, wish: Wish::Decide(answer), .. } => {
                answer.result.iter().filter_map(|result| named(*tenant, result)).collect()
            }
            Self::Write { tenant, write, .. } => {
                write.values().filter_map(|value| named(*tenant, value)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// About how many bytes it adds to a commit: a guess at its envelope, and the text that a caller or worker has sent.
    pub(super) fn bytes(&self) -> usize {
        const ENVELOPE: usize = 512;
        let json = |json: Option<&Json>| json.map_or(0, Json::len);
        ENVELOPE
            + match self {
                Self::Submit(submit) => {
                    let fork = submit.fork.iter().flat_map(|fork| fork.events.iter());
                    let copied: usize =
                        fork.filter_map(|event| event.payload.as_ref()).map(|p| p.data.len()).sum();
                    json(submit.spec.input.as_ref()) + json(submit.spec.metadata.as_ref()) + copied
                }
                Self::Wish { wish: Wish::Input { data, .. }, .. } => data.len(),
                Self::Write { write, .. } => {
                    let of = |body: &EventBody| match body {
                        EventBody::StepCompleted(step) => step.result.len(),
                        EventBody::Custom { data, .. } => data.len(),
                        EventBody::Log(log) => {
                            log.text.as_ref().map_or(0, String::len)
                                + log.base64.as_ref().map_or(0, String::len)
                        }
                        _ => 0,
                    };
                    let events: usize = write.events.iter().map(|body| ENVELOPE + of(body)).sum();
                    events
                        + match &write.end {
                            Some(AttemptEnd::Completed { result }) => result.len(),
                            Some(AttemptEnd::ContinuedAs { input }) => input.len(),
                            _ => 0,
                        }
                }
                _ => 0,
            }
    }
}

/// What the pipeline answers, after the commit.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The task, and whether it is new.
    Submitted {
        /// As it is now.
        snapshot: Arc<Snapshot>,
        /// Whether this call made it.
        created: bool,
    },
    /// The task as it is now.
    Task(Arc<Snapshot>),
    /// The task exists by this key; the caller has to read it.
    Existing(TaskId),
    /// Leases that are lost.
    Lost(Vec<TaskId>),
    /// It was done.
    Done,
}

/// Where an answer goes.
pub type Reply = oneshot::Sender<Result<Answer, Refusal>>;
