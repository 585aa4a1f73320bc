//! The record of a task as its row has it: JSON of what no column says.

use crate::value::corrupt;
use everloop_store::error::StoreError;
use everloop_types::error::TaskError;
use everloop_types::id::{TaskId, TenantId};
use everloop_types::state::State;
use everloop_types::task::{
    Arrived, Decided, ForkedFrom, OpenRequest, PauseReason, Progress, TakenInput, Task, TaskSpec, Usage,
};
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// Which fields of a [`Task`] are in the JSON, and how. What is skipped stands in columns of its own; what is zero or nothing is
/// left out; times are microseconds.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Task")]
struct Doc {
    #[serde(skip, default = "no_task")]
    id: TaskId,
    #[serde(skip, default = "no_tenant")]
    tenant: TenantId,
    spec: TaskSpec,
    #[serde(skip)]
    created_by: String,
    #[serde(skip, default = "no_state")]
    state: State,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempt: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    tries: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    lost: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    lost_total: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    steps: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open_steps: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    #[serde(skip)]
    usage: Usage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<TaskError>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "micros::opt")]
    retry_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waiting_for: Option<Wait>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<PauseReason>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    arrived: Vec<Arrived>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    taken: Vec<TakenInput>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open_requests: Vec<OpenRequest>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    decided: BTreeMap<String, Decided>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forked_from: Option<ForkedFrom>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    continued_as: Option<TaskId>,
    #[serde(default, skip_serializing_if = "is_zero")]
    since_digest: u32,
    #[serde(with = "micros")]
    created_at: Timestamp,
    #[serde(skip)]
    updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "micros::opt")]
    started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "micros::opt")]
    attempt_at: Option<Timestamp>,
    #[serde(skip)]
    finished_at: Option<Timestamp>,
}

// What `read` puts in the place of what was skipped is the columns'.
fn no_task() -> TaskId {
    TaskId([0; 16])
}

fn no_tenant() -> TenantId {
    TenantId::DEFAULT
}

fn no_state() -> State {
    State::Pending
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

struct Written<'a>(&'a Task);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Doc::serialize(self.0, serializer)
    }
}

/// The JSON of a record.
pub(crate) fn write(task: &Task) -> Result<Vec<u8>, StoreError> {
    crate::encode::json(&Written(task))
}

/// The record, but for what columns of its own say.
pub(crate) fn read(doc: &[u8]) -> Result<Task, StoreError> {
    Doc::deserialize(&mut serde_json::Deserializer::from_slice(doc))
        .map_err(|error| corrupt(format!("the record of a task: {error}")))
}

mod micros {
    use everloop_types::time::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.as_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_micros)
    }

    pub(super) mod opt {
        use everloop_types::time::Timestamp;
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            time: &Option<Timestamp>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            time.map(Timestamp::as_micros).serialize(serializer)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            Ok(Option::deserialize(deserializer)?.map(Timestamp::from_micros))
        }
    }
}
