//! Workers.

use crate::id::WorkerId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A kind that a worker can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindOffer {
    /// Name of the kind.
    pub kind: String,
    /// Versions that the worker can run; the last one is what new tasks get.
    pub versions: Vec<u32>,
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
