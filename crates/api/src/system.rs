//! What surrounds the tasks: queues, kinds, workers, the inbox, figures.

use crate::schema;
use everloop_types::id::{TaskId, WorkerId};
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::time::Timestamp;
use everloop_types::worker::{KindDefaults, KindOffer, WorkerStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// Whether it stands still: nothing of it is claimed.
    pub paused: bool,
    /// Tasks that can be claimed.
    pub queued: u64,
    /// Tasks that workers hold.
    pub in_flight: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks by state.
    pub states: BTreeMap<String, u64>,
    /// Since when the oldest task that can be claimed has been waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    pub oldest_since: Option<Timestamp>,
    /// Workers that serve it and were heard from.
    pub workers: u32,
}

/// A kind of task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KindView {
    /// Its name.
    pub name: String,
    /// What it does, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What its tasks get where whoever submits them says nothing.
    #[serde(default, skip_serializing_if = "KindDefaults::is_empty")]
    #[schemars(with = "Option<schema::KindDefaults>")]
    pub defaults: KindDefaults,
    /// Faces that offer it as something of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// JSON Schema of its input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub input_schema: Option<Json>,
    /// JSON Schema of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub output_schema: Option<Json>,
    /// Versions that somebody runs.
    pub versions: Vec<u32>,
    /// Workers that run it and were heard from.
    pub workers: u32,
    /// Whether this server runs it itself.
    pub embedded: bool,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerView {
    /// Its id.
    #[schemars(with = "schema::WorkerId")]
    pub id: WorkerId,
    /// A name for people.
    pub name: String,
    /// How it is.
    #[schemars(with = "String")]
    pub status: WorkerStatus,
    /// What it says is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether it lives inside a server.
    pub embedded: bool,
    /// Version of its program.
    pub version: String,
    /// Version of the worker protocol.
    pub protocol: u32,
    /// The kinds that it runs.
    #[schemars(with = "Vec<schema::KindOffer>")]
    pub kinds: Vec<KindOffer>,
    /// What it can do beyond its kinds.
    pub capabilities: Vec<String>,
    /// Queues in the order in which it tries them.
    pub queues: Vec<String>,
    /// Tasks at the same time.
    pub max_concurrent_tasks: u32,
    /// Tasks that it holds.
    #[schemars(with = "Vec<schema::TaskId>")]
    pub tasks: Vec<TaskId>,
    /// When it registered.
    #[schemars(with = "schema::Timestamp")]
    pub created_at: Timestamp,
    /// When it was last heard from.
    #[schemars(with = "schema::Timestamp")]
    pub last_heartbeat_at: Timestamp,
}

/// What waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InboxItem {
    /// The task that asks.
    #[schemars(with = "schema::TaskId")]
    pub task: TaskId,
    /// Its kind.
    pub kind: String,
    /// Its title, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is wanted.
    pub wants: InboxWant,
    /// What to answer with: the request's id, the input's name, or why it is paused.
    pub id: String,
    /// The question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Words that may be answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What whoever decides should see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub details: Option<Json>,
    /// Since when.
    #[schemars(with = "schema::Timestamp")]
    pub since: Timestamp,
    /// Where to answer.
    pub answer_url: String,
}

/// What is wanted of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InboxWant {
    /// A decision.
    Decision,
    /// An input.
    Input,
    /// To look at a task that does not follow its journal, and resume, fork or cancel it.
    Repair,
}

/// Figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatsView {
    /// Tasks by state.
    pub tasks: BTreeMap<String, u64>,
    /// Tasks in all.
    pub total: u64,
    /// Time that workers held tasks, in microseconds, by state.
    pub running_us: BTreeMap<String, u64>,
    /// Bytes of data in the tasks' events.
    pub event_bytes: u64,
    /// Tasks that failed.
    pub dead_letters: u64,
    /// Workers that were heard from.
    pub workers: u32,
    /// Followers of streams.
    pub followers: u64,
    /// What the write pipeline of this server has done since it started.
    pub pipeline: PipelineStats,
}

/// What the write pipeline has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineStats {
    /// Commits.
    pub commits: u64,
    /// Events written.
    pub events: u64,
    /// Rows written, events included.
    pub rows: u64,
    /// Commands that wait.
    pub waiting: u64,
}

/// What this server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AboutView {
    /// `everloop`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `dev` or `serve`.
    pub mode: String,
    /// Which engine keeps the data.
    pub store: String,
    /// The database.
    pub installation: String,
    /// How many times it was restored from a backup.
    pub epoch: u32,
    /// This run of the server.
    pub incarnation: String,
    /// The key that signs receipts.
    pub signing_key: String,
    /// When the server started.
    #[schemars(with = "schema::Timestamp")]
    pub started_at: Timestamp,
    /// Version of the worker protocol.
    pub worker_protocol: u32,
}

/// Whether the server works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthView {
    /// `ok`, `degraded` or `stopping`.
    pub status: String,
    /// What was looked at: `database`, `pipeline`, `workers`, each `ok` or what is wrong.
    pub checks: BTreeMap<String, String>,
    /// Its version.
    pub version: String,
}

/// A blob that was put: what names it in an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlobView {
    /// Put this in place of the value.
    #[serde(rename = "$blob")]
    pub blob: BlobName,
}

/// The name of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlobName {
    /// `SHA-256(salt ‖ SHA-256(bytes))`.
    pub hash: String,
    /// Its id.
    pub id: String,
    /// What it is.
    pub media_type: String,
    /// How many bytes.
    pub size: u64,
}

/// How many tasks are in which state.
pub type States = BTreeMap<State, u64>;
