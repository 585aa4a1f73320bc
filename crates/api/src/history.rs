//! What happened to a task, in the shapes in which people ask for it.

use crate::schema;
use crate::task::present;
use everloop_types::error::TaskError;
use everloop_types::event::Level;
use everloop_types::id::TaskId;
use everloop_types::json::Json;
use everloop_types::receipt::ReceiptClaims;
use everloop_types::state::State;
use everloop_types::task::{PauseReason, Progress};
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The end of a finished task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputView {
    /// The task.
    #[schemars(with = "schema::TaskId")]
    pub task: TaskId,
    /// How it ended.
    #[schemars(with = "schema::State")]
    pub state: State,
    /// What it gave.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Json>,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::TaskError>")]
    pub error: Option<TaskError>,
    /// Inputs that nobody took.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unconsumed: Vec<String>,
    /// The task that goes on for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::TaskId>")]
    pub continued_as: Option<TaskId>,
    /// When it ended.
    #[schemars(with = "schema::Timestamp")]
    pub finished_at: Timestamp,
}

/// How far a task has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressView {
    /// Where it stands.
    #[schemars(with = "schema::State")]
    pub state: State,
    /// What it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Progress>")]
    pub progress: Option<Progress>,
    /// Done of total, in percent, where it gave both; 100 where it is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Steps that were recorded.
    pub steps: u32,
    /// Number of the last event.
    pub last_seq: u64,
    /// When its last event was written.
    #[schemars(with = "schema::Timestamp")]
    pub updated_at: Timestamp,
}

/// Who wants what of a task, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlState {
    /// Where it stands.
    #[schemars(with = "schema::State")]
    pub state: State,
    /// Why it is paused and who paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::PauseReason>")]
    pub paused: Option<PauseReason>,
    /// The last event of pausing, resuming or cancelling: what, who and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<ControlChange>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Wait>")]
    pub waiting_for: Option<Wait>,
    /// Requests for a decision that are open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_requests: Vec<String>,
    /// What can be asked of it now: `pause`, `resume`, `cancel`, `input`, `decision`, `fork`, `delete`.
    pub allowed: Vec<String>,
}

/// A change of a task's course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlChange {
    /// Type of the event.
    pub r#type: String,
    /// Who.
    pub by: String,
    /// When.
    #[schemars(with = "schema::Timestamp")]
    pub at: Timestamp,
    /// Number of the event.
    pub seq: u64,
    /// Why, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The receipt of a finished task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptView {
    /// A compact JWS (RFC 7515) with EdDSA; `/.well-known/jwks.json` has the key.
    pub receipt: String,
    /// What is signed in it.
    #[schemars(with = "ClaimsShape")]
    pub claims: ReceiptClaims,
}

/// What a receipt claims.
#[derive(JsonSchema, Serialize)]
pub struct ClaimsShape {
    /// Hash of the terminal event.
    pub chain_root: String,
    /// When the terminal event was written.
    pub finished_at: schema::Timestamp,
    /// First event of the stream: 1.
    pub first_seq: u64,
    /// The kind of the task.
    pub kind: String,
    /// Number of the terminal event.
    pub last_seq: u64,
    /// `data_hash` of the terminal event.
    pub result_hash: String,
    /// How the task ended.
    pub state: schema::State,
    /// The task.
    pub task: schema::TaskId,
    /// Its tenant.
    pub tenant: schema::TenantId,
    /// Version of these claims: 1.
    pub v: u32,
}

/// A step of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// Its identity.
    pub step: String,
    /// What kind of step.
    pub kind: String,
    /// Where it stands.
    pub status: StepStatus,
    /// Number of the event that says so.
    pub seq: u64,
    /// SHA-256 of its canonical arguments.
    pub intent: String,
    /// The attempt that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How many tries of it failed.
    pub failed_tries: u32,
    /// What it gave.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Json>,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::TaskError>")]
    pub error: Option<TaskError>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    pub next_at: Option<Timestamp>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    pub started_at: Option<Timestamp>,
    /// When its outcome was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    pub ended_at: Option<Timestamp>,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It began, and its outcome is not recorded.
    Started,
    /// It failed, and will be tried again.
    Retrying,
    /// Its result is recorded.
    Completed,
    /// It failed for good.
    Failed,
}

/// One claim of a task by one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptView {
    /// Its number, from 1.
    pub attempt: u32,
    /// Who.
    pub worker: String,
    /// Version of the executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_version: Option<u32>,
    /// How it ended.
    pub status: AttemptStatus,
    /// Number of its first event.
    pub first_seq: u64,
    /// Number of its last event so far.
    pub last_seq: u64,
    /// When the task came into the queue from which it was claimed.
    #[schemars(with = "schema::Timestamp")]
    pub queued_at: Timestamp,
    /// When it was claimed.
    #[schemars(with = "schema::Timestamp")]
    pub started_at: Timestamp,
    /// How long ago its worker was heard from, in milliseconds, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_age_ms: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    pub ended_at: Option<Timestamp>,
    /// How long it ran, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Steps that it recorded.
    pub steps: u32,
    /// Log lines and chunks that it wrote.
    pub log_lines: u32,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::TaskError>")]
    pub error: Option<TaskError>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStatus {
    /// It goes on.
    Running,
    /// The task completed.
    Completed,
    /// The task failed for good.
    Failed,
    /// The try failed and there is another one.
    Retrying,
    /// The task waits.
    Waiting,
    /// The task was paused.
    Paused,
    /// The task was cancelled.
    Cancelled,
    /// Its worker was lost.
    Lost,
    /// Its worker gave it back.
    HandedBack,
}

/// A log line, or a chunk of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Number of its event.
    pub seq: u64,
    /// When.
    #[schemars(with = "schema::Timestamp")]
    pub ts: Timestamp,
    /// How much it matters.
    #[schemars(with = "String")]
    pub level: Level,
    /// `stdout`, `stderr` or the executor's own.
    pub source: String,
    /// Where the chunk begins in its source, in bytes.
    pub offset: u64,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes, where they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}
