//! What receipts and anchors claim. `journal` signs and checks them.

use crate::id::{TaskId, TenantId};
use crate::state::State;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The payload of a receipt: what the installation's key vouches for when a task has ended.
///
/// Fields stand in the order of their names, so that serialising it gives canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptClaims {
    /// Hash of the terminal event, which depends on every event before it.
    pub chain_root: String,
    /// When the terminal event was written.
    pub finished_at: Timestamp,
    /// First event of the stream: always 1.
    pub first_seq: u64,
    /// The kind of the task.
    pub kind: String,
    /// Sequence number of the terminal event.
    pub last_seq: u64,
    /// `data_hash` of the terminal event: what commits to the result or error.
    pub result_hash: String,
    /// `completed`, `failed` or `cancelled`.
    pub state: State,
    /// The task.
    pub task: TaskId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Version of these claims: 1.
    pub v: u32,
}

/// The payload of an anchor: the event before the first one that a trimmed stream still has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorClaims {
    /// Hash of that event.
    pub hash: String,
    /// Its sequence number.
    pub seq: u64,
    /// The stream.
    pub stream: String,
    /// Its tenant.
    pub tenant: TenantId,
    /// Version of these claims: 1.
    pub v: u32,
}
