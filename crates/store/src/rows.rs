//! What is stored beside the events.

use everloop_types::event::{Event, Head};
use everloop_types::id::{IncarnationId, InstallationId, TaskId, TenantId, WorkerId};
use everloop_types::lease::LeaseToken;
use everloop_types::state::State;
use everloop_types::task::{DependsOn, Task};
use everloop_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A 16-byte digest under which a key is looked up: `journal::digest::key_hash`.
pub type KeyHash = [u8; 16];

/// A task with the head of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// The record.
    pub task: Task,
    /// The last event of its stream.
    pub head: Head,
    /// Whose data it is about; indexed, in no event.
    pub data_subject: Option<String>,
    /// The receipt's signature once the task has ended.
    pub signature: Option<Signature>,
}

/// The signature of a receipt and the key that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// The Ed25519 signature.
    #[serde(with = "crate::hex")]
    pub bytes: [u8; 64],
}

/// What a caller's key stands for. Written with the task, never changed while it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Digest of tenant, namespace and key.
    #[serde(with = "crate::hex")]
    pub hash: KeyHash,
    /// Whose it is.
    pub tenant: TenantId,
    /// The task.
    pub task: TaskId,
    /// Digest of the request as it was sent, to tell a retry from another request.
    #[serde(with = "crate::hex")]
    pub request: KeyHash,
    /// Set when the task was deleted: the key answers 410 until it is swept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deleted_at: Option<Timestamp>,
}

/// What a worker must match to claim a task. Tasks of one lane are the same to every worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The queue.
    pub queue: String,
    /// The kind.
    pub kind: String,
    /// The version of the kind, if the task wants a certain one.
    pub kind_version: Option<u32>,
    /// Capabilities, sorted, without doubles.
    pub requires: Vec<String>,
}

/// A lane's id: a digest of it, so that servers need not agree on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneId(pub i64);

impl Lane {
    /// The id: the first eight bytes of SHA-256 over the parts.
    pub fn id(&self) -> LaneId {
        let version = self.kind_version.map(|v| v.to_string()).unwrap_or_default();
        let text = format!("{}\n{}\n{version}\n{}", self.queue, self.kind, self.requires.join("\n"));
        let hash = everloop_journal::digest::sha256(text.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        LaneId(i64::from_be_bytes(first))
    }
}

/// A task that can be claimed. Within a lane and tenant: higher priority first, then the older task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRow {
    /// Where it waits.
    pub lane: LaneId,
    /// Whose it is.
    pub tenant: TenantId,
    /// −100 to 100.
    pub priority: i32,
    /// Which one.
    pub task: TaskId,
    /// Since when it can be claimed.
    pub since: Timestamp,
    /// Digest of tenant and concurrency key, with the cap.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::hex::capped", default)]
    pub concurrency: Option<(KeyHash, u32)>,
}

/// Who holds a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRow {
    /// The task.
    pub task: TaskId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What the holder has to show.
    pub token: LeaseToken,
    /// The holder.
    pub worker: WorkerId,
    /// The run of the server that the worker lives in, for embedded workers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incarnation: Option<IncarnationId>,
    /// When it ends unless it is renewed, by the clock of the database. A running server goes by its monotonic clock.
    pub expires_at: Timestamp,
    /// The number of the last batch of events that the holder sent, so that a repeated one is known.
    pub batch: u32,
    /// Digest of tenant and concurrency key: how many run is counted from the leases.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::hex::optional", default)]
    pub concurrency: Option<KeyHash>,
}

/// When something is due for a task: the earliest of its times. One row a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimerRow {
    /// When.
    pub at: Timestamp,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which task.
    pub task: TaskId,
}

/// A task waits for another one. Deleted when that one has ended as needed, or the dependent has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyRow {
    /// Whose both are.
    pub tenant: TenantId,
    /// The one that must end.
    pub prerequisite: TaskId,
    /// The one that waits.
    pub dependent: TaskId,
    /// How it must end.
    pub on: DependsOn,
}

/// A task has ended, and others have to be told: its parent, its children, its dependents. Deleted once they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// The task that has ended.
    pub task: TaskId,
}

/// A blob that is, or will shortly be, named by an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRow {
    /// HMAC of the bytes under the tenant's secret, in hexadecimal.
    pub id: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// How many bytes.
    pub size: u64,
    /// What it is.
    pub media_type: String,
    /// SHA-256 of the bytes; goes with the blob.
    #[serde(with = "crate::hex")]
    pub inner: [u8; 32],
    /// Salt of the published hash.
    #[serde(with = "crate::hex")]
    pub salt: [u8; 16],
    /// When it was last put.
    pub put_at: Timestamp,
}

/// A public key of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyRow {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// The Ed25519 public key.
    #[serde(with = "crate::hex")]
    pub public: [u8; 32],
    /// Since when it signs.
    pub created_at: Timestamp,
}

/// A tenant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// What its digests of guessable data are keyed with.
    #[serde(with = "crate::hex")]
    pub secret: [u8; 32],
    /// Since when.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for TenantRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantRow").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The database itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// Its id.
    pub id: InstallationId,
    /// How many times it was restored from a backup: part of every lease token.
    pub epoch: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What is done every hour or so, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// Its name.
    pub name: String,
    /// When it was last begun and taken to its end.
    pub ran_at: Timestamp,
    /// The last finished task that it has looked at, in the order of their ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upto: Option<End>,
}

/// The place of a finished task among all, in the order of their ends.
pub type End = (Timestamp, TaskId);

/// An event with the database's own order of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positioned {
    /// Greater for later commits; neither hashed nor exported.
    pub pos: i64,
    /// The event.
    pub event: Event,
}

/// Tasks in a lane of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The lane.
    pub lane: LaneId,
    /// Whose.
    pub tenant: TenantId,
    /// How many.
    pub tasks: u64,
    /// Since when the oldest has been waiting.
    pub oldest: Timestamp,
}

/// Tasks of a tenant by queue and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCount {
    /// The queue.
    pub queue: String,
    /// The state.
    pub state: State,
    /// How many.
    pub tasks: u64,
    /// Time that workers held them, in microseconds.
    pub running_us: u64,
    /// Bytes of data in their events.
    pub event_bytes: u64,
}
