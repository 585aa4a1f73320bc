//! Workers.

use crate::id::WorkerId;
use crate::json::Json;
use crate::task::{Policy, is_default};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A kind that a worker can run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindOffer {
    /// What it does, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What its tasks get where whoever submits them says nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: KindDefaults,
    /// Faces that offer it as something of its own: `mcp` makes it a tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// JSON Schema (2020-12) of its input. An input that is not of it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Json>,
    /// Name of the kind.
    pub kind: String,
    /// JSON Schema (2020-12) of its result, for those who read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Json>,
    /// Versions that the worker can run; the last one is what new tasks get.
    pub versions: Vec<u32>,
}

impl KindOffer {
    /// The first version of a kind, of which nothing else is said.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), versions: vec![1], ..Self::default() }
    }
}

/// What tasks of a kind get where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindDefaults {
    /// Limits and rules; each of them for itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// The queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
}

impl KindDefaults {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        is_default(self)
    }
}

/// How a worker shall replay what was recorded, where it is not to just go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// Only that: whatever is not recorded is not run.
    Only,
    /// Again after each step: code that does not give the same twice is found out at once.
    Always,
}

/// What a worker says about itself when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSpec {
    /// What it can do beyond its kinds, matched against a task's `requires`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The kinds that it runs.
    pub kinds: Vec<KindOffer>,
    /// Tasks at the same time.
    pub max_concurrent_tasks: u32,
    /// A name for people.
    pub name: String,
    /// Version of the worker protocol: 1.
    pub protocol: u32,
    /// Queues in the order in which it wants them tried.
    pub queues: Vec<String>,
    /// Version of the program.
    #[serde(default)]
    pub version: String,
}

/// How a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStatus {
    /// Holds no task.
    Idle,
    /// Holds a task.
    Busy,
    /// Was not heard from for 90 s.
    Offline,
    /// Says that it is in trouble.
    Error,
}

/// A registered worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// What it said about itself.
    pub spec: WorkerSpec,
    /// Whether it lives inside a server.
    pub embedded: bool,
    /// What it said was wrong, when it was in trouble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When it registered.
    pub created_at: Timestamp,
    /// When it was last heard from.
    pub last_heartbeat_at: Timestamp,
}
