//! What is wanted of tasks that exist, and of many at once.

use crate::problem::Problem;
use crate::task::{TaskRequest, TaskView, present};
use everloop_types::event::TaskPatch;
use everloop_types::id::{SessionId, TaskId};
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::task::Policy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Several new tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// The tasks; each is taken or refused by itself.
    #[schemars(length(min = 1, max = 1000))]
    pub tasks: Vec<TaskRequest>,
}

/// What became of each task of a batch, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchAnswer {
    /// How many are new.
    pub created: usize,
    /// How many existed already.
    pub existing: usize,
    /// How many were refused.
    pub refused: usize,
    /// One for each task.
    pub outcomes: Vec<BatchOutcome>,
}

/// What became of one task of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchOutcome {
    /// It is new.
    Created(Box<TaskView>),
    /// It existed by its key.
    Existing(Box<TaskView>),
    /// It was refused.
    Refused(Problem),
}

/// Stand still.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {}

/// End.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something for the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputRequest {
    /// For whom in the task: the name that it waits for.
    pub name: String,
    /// What; `null` when not given.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub data: Json,
    /// Your own id for it; one of ours when not given. The same input sent again under it is the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What became of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputAnswer {
    /// Id of the input.
    pub id: String,
    /// The task as it stands.
    pub task: TaskView,
}

/// The answer to a question of the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// Id of the request, as the inbox and the task's `open_requests` show it.
    pub id: String,
    /// One of its choices, where it has any.
    pub decision: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// A value that belongs to the decision.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Json>,
}

/// A new task that begins with recorded steps of this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkRequest {
    /// Keep what was recorded before this step: the fork runs it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_step: Option<String>,
    /// Keep what was recorded up to this event. Without this and `from_step` everything is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto_seq: Option<u64>,
    /// Key of the fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Another input. The recorded steps were made from the old one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub input: Option<Json>,
}

/// What a live task shall have in place of what it has. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRequest {
    /// New description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New labels, in place of all old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// New metadata.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub metadata: Option<Json>,
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New policy, in place of the old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Policy>")]
    pub policy: Option<Policy>,
    /// New title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl From<PatchRequest> for TaskPatch {
    fn from(patch: PatchRequest) -> Self {
        Self {
            description: patch.description,
            labels: patch.labels,
            metadata: patch.metadata,
            name: patch.name,
            policy: patch.policy,
            title: patch.title,
        }
    }
}

/// What is done to many tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAct {
    /// End them.
    Cancel,
    /// Let them stand still.
    Pause,
    /// Let them go on.
    Resume,
    /// Fork them with all that was recorded.
    Redrive,
}

/// Which tasks. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkFilter {
    /// In one of these states; those that the act is possible in when not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<crate::schema::State>")]
    pub state: Vec<State>,
    /// Of one of these kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<String>,
    /// In this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Of this priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// With all of these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Children of this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::TaskId>")]
    pub parent: Option<TaskId>,
    /// In this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::SessionId>")]
    pub session: Option<SessionId>,
    /// With a key that begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<String>,
}

/// Something for many tasks at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// What is done.
    pub act: BulkAct,
    /// To which tasks; `{}` means all that it is possible for.
    pub filter: BulkFilter,
    /// How many there must be: as an answer without it has counted them. Without it nothing is done but counting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a bulk act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkAnswer {
    /// How many tasks the filter matches.
    pub matched: u64,
    /// How many it was done to; 0 where they were only counted.
    pub done: u64,
    /// Those that refused it meanwhile, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<BulkRefused>,
    /// Whether there are more than one call takes: call again.
    pub more: bool,
}

/// A task that refused a bulk act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkRefused {
    /// Which one.
    #[schemars(with = "crate::schema::TaskId")]
    pub task: TaskId,
    /// Why, as a code.
    pub code: String,
    /// Why, for people.
    pub detail: String,
}
