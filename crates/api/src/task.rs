//! Tasks: what is asked for, and what is shown.

use everloop_types::error::TaskError;
use everloop_types::event::Head;
use everloop_types::id::{SessionId, TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::state::State;
use everloop_types::task::{
    Dependency, ForkedFrom, Parent, PauseReason, Policy, Progress, Task, TaskSpec, Usage,
};
use everloop_types::time::Timestamp;
use everloop_types::wait::Wait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A new task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    /// Which executor runs it: see `GET /api/v1/kinds`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub kind: String,
    /// The executor's input. More than 256 KiB goes into a blob.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub input: Option<Json>,
    /// Your own name for the task, unique in the tenant: the same request with the same key is the same task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub key: Option<String>,
    /// Whose data it is about; in no event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub data_subject: Option<String>,
    /// Which version of the executor; any when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_version: Option<u32>,
    /// Where it waits for a worker; `default` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub queue: Option<String>,
    /// A name in the language of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is about, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The task is not claimed before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Timestamp>")]
    pub not_before: Option<Timestamp>,
    /// Capabilities that a worker must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Tasks that must end first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<crate::schema::Dependency>")]
    pub depends_on: Vec<Dependency>,
    /// How it is to be run.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(with = "Option<crate::schema::Policy>", transform = crate::schema::not_null)]
    pub policy: Policy,
    /// Free parameters for the executor.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub context: Option<Json>,
    /// Your own data, never looked into.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub metadata: Option<Json>,
    /// What lists filter by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The session that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::SessionId>")]
    pub session: Option<SessionId>,
    /// The task that starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Parent>")]
    pub parent: Option<Parent>,
}

/// `null` is a value of the user, and not an absence.
pub(crate) fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl TaskRequest {
    /// A task of this kind with every default.
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            input: None,
            key: None,
            data_subject: None,
            kind_version: None,
            queue: None,
            name: None,
            title: None,
            description: None,
            not_before: None,
            requires: Vec::new(),
            depends_on: Vec::new(),
            policy: Policy::default(),
            context: None,
            metadata: None,
            labels: BTreeMap::new(),
            session: None,
            parent: None,
        }
    }

    /// The specification of the task, and whose data it is about.
    pub fn into_spec(self) -> (TaskSpec, Option<String>) {
        let mut spec = TaskSpec::new(self.kind);
        if let Some(queue) = self.queue {
            spec.queue = queue;
        }
        let spec = TaskSpec {
            context: self.context,
            depends_on: self.depends_on,
            description: self.description,
            input: self.input,
            key: self.key,
            kind_version: self.kind_version,
            labels: self.labels,
            metadata: self.metadata,
            name: self.name,
            not_before: self.not_before,
            parent: self.parent,
            policy: self.policy,
            requires: self.requires,
            session: self.session,
            title: self.title,
            ..spec
        };
        (spec, self.data_subject)
    }
}

/// A task as it stands. In lists without `input` and `result`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// Its id.
    #[schemars(with = "crate::schema::TaskId")]
    pub id: TaskId,
    /// Where it stands.
    #[schemars(with = "crate::schema::State")]
    pub state: State,
    /// Which executor runs it.
    pub kind: String,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it gave.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Json>,
    /// What it ended with, or how its last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::TaskError>")]
    pub error: Option<TaskError>,
    /// The executor's input.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub input: Option<Json>,
    /// Whose it is.
    #[schemars(with = "crate::schema::TenantId")]
    pub tenant: TenantId,
    /// Whose data it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_subject: Option<String>,
    /// Which version of the executor it wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_version: Option<u32>,
    /// Where it waits for a worker.
    pub queue: String,
    /// A name in the language of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is about, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// It is not claimed before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Timestamp>")]
    pub not_before: Option<Timestamp>,
    /// Capabilities that a worker must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Tasks that must end first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<crate::schema::Dependency>")]
    pub depends_on: Vec<Dependency>,
    /// How it is run; what is not here has its default.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(with = "crate::schema::Policy")]
    pub policy: Policy,
    /// Free parameters for the executor.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub context: Option<Json>,
    /// The caller's own data.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub metadata: Option<Json>,
    /// What lists filter by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The session that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::SessionId>")]
    pub session: Option<SessionId>,
    /// The task that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Parent>")]
    pub parent: Option<Parent>,
    /// Who asked for it.
    pub created_by: String,
    /// Claims so far.
    pub attempt: u32,
    /// Tries that ended in an error.
    pub tries: u32,
    /// Attempts that were lost.
    pub lost_attempts: u32,
    /// Steps that were recorded.
    pub steps: u32,
    /// How far it has got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Progress>")]
    pub progress: Option<Progress>,
    /// What it has used.
    #[schemars(with = "crate::schema::Usage")]
    pub usage: Usage,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Wait>")]
    pub waiting_for: Option<Wait>,
    /// Requests for a decision that are open, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_requests: Vec<String>,
    /// Why it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::PauseReason>")]
    pub paused: Option<PauseReason>,
    /// The end of the delay before the next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Timestamp>")]
    pub retry_at: Option<Timestamp>,
    /// Where it was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::ForkedFrom>")]
    pub forked_from: Option<ForkedFrom>,
    /// The task that goes on for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::TaskId>")]
    pub continued_as: Option<TaskId>,
    /// The task that it goes on for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::TaskId>")]
    pub continues: Option<TaskId>,
    /// Why nobody can claim it, where it is queued and nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclaimable: Option<String>,
    /// Number of the last event of its stream.
    pub last_seq: u64,
    /// When it was submitted.
    #[schemars(with = "crate::schema::Timestamp")]
    pub created_at: Timestamp,
    /// When its last event was written.
    #[schemars(with = "crate::schema::Timestamp")]
    pub updated_at: Timestamp,
    /// When it was first claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Timestamp>")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::Timestamp>")]
    pub finished_at: Option<Timestamp>,
    /// Where to look further.
    pub links: Links,
}

/// Where to look further: paths below the server's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Links {
    /// The task itself.
    #[serde(rename = "self")]
    pub this: String,
    /// Its events: JSON pages, or SSE with `Accept: text/event-stream`.
    pub stream_url: String,
    /// Its receipt, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

impl Links {
    /// The links of a task.
    pub fn of(task: TaskId, finished: bool) -> Self {
        let this = format!("{}/tasks/{task}", crate::BASE);
        Self {
            stream_url: format!("{this}/events"),
            receipt: finished.then(|| format!("{this}/receipt")),
            this,
        }
    }
}

impl TaskView {
    /// What the record of a task says. Input, result and data subject are not in it.
    pub fn of(task: &Task, head: Head) -> Self {
        let spec = &task.spec;
        Self {
            id: task.id,
            state: task.state,
            kind: spec.kind.clone(),
            key: spec.key.clone(),
            result: None,
            error: task.error.clone(),
            input: None,
            tenant: task.tenant,
            data_subject: None,
            kind_version: spec.kind_version,
            queue: spec.queue.clone(),
            name: spec.name.clone(),
            title: spec.title.clone(),
            description: spec.description.clone(),
            not_before: spec.not_before,
            requires: spec.requires.clone(),
            depends_on: spec.depends_on.clone(),
            policy: spec.policy.clone(),
            context: spec.context.clone(),
            metadata: spec.metadata.clone(),
            labels: spec.labels.clone(),
            session: spec.session,
            parent: spec.parent.clone(),
            created_by: task.created_by.clone(),
            attempt: task.attempt,
            tries: task.tries,
            lost_attempts: task.lost_total,
            steps: task.steps,
            progress: task.progress.clone(),
            usage: task.usage,
            waiting_for: task.waiting_for.clone(),
            open_requests: task.open_requests.iter().map(|open| open.id.clone()).collect(),
            paused: task.paused.clone().filter(|_| task.state == State::Paused),
            retry_at: task.retry_at,
            forked_from: task.forked_from.clone(),
            continued_as: task.continued_as,
            continues: spec.continues,
            unclaimable: None,
            last_seq: head.seq,
            created_at: task.created_at,
            updated_at: task.updated_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
            links: Links::of(task.id, task.state.is_terminal()),
        }
    }
}
