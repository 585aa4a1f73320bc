//! What the tools take. Every field is one of the REST face's, under the same name.

use everloop_api::command::{DecisionRequest, InputRequest};
use everloop_api::task::TaskRequest;
use everloop_types::json::Json;
use everloop_types::task::{Dependency, Policy};
use everloop_types::time::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A new task.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartTask {
    /// What sort of work it is: the name of an executor or of a function that a worker offers.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub(super) kind: String,
    /// What the work is to be done with; its form is the kind's.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Value>")]
    pub(super) input: Option<Json>,
    /// Your own name for the task. The same call with the same key is the same task, so a call that broke off can be repeated.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    pub(super) key: Option<String>,
    /// A title for people.
    #[serde(default)]
    pub(super) title: Option<String>,
    /// What it is about, for people.
    #[serde(default)]
    pub(super) description: Option<String>,
    /// Where it waits for a worker; `default` when not given.
    #[serde(default)]
    pub(super) queue: Option<String>,
    /// What lists filter by.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// The task is not begun before this time.
    #[serde(default)]
    #[schemars(with = "Option<everloop_api::schema::Timestamp>")]
    pub(super) not_before: Option<Timestamp>,
    /// Tasks that must end first.
    #[serde(default)]
    #[schemars(with = "Vec<everloop_api::schema::Dependency>")]
    pub(super) depends_on: Vec<Dependency>,
    /// How it is to be run: priority, time limits, retries, what it may do.
    #[serde(default)]
    #[schemars(with = "Option<everloop_api::schema::Policy>")]
    pub(super) policy: Policy,
}

impl From<StartTask> for TaskRequest {
    fn from(args: StartTask) -> Self {
        Self {
            input: args.input,
            key: args.key,
            title: args.title,
            description: args.description,
            queue: args.queue,
            labels: args.labels,
            not_before: args.not_before,
            depends_on: args.depends_on,
            policy: args.policy,
            ..Self::new(args.kind)
        }
    }
}

/// One task.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OneTask {
    /// Its id, `task_…`, or `key:` and its key.
    pub(super) task_id: String,
}

/// One task, for a while.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitTask {
    /// Its id, `task_…`, or `key:` and its key.
    pub(super) task_id: String,
    /// How long to wait, in seconds; 45 when not given.
    #[serde(default)]
    #[schemars(range(max = 50))]
    pub(super) timeout_s: Option<u64>,
}

/// A page of what happened to a task.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamTask {
    /// Its id, `task_…`, or `key:` and its key.
    pub(super) task_id: String,
    /// Events after this number: `next_after` of the page before. From the first when not given.
    #[serde(default)]
    pub(super) after: u64,
    /// Types of events: `["task.completed", "step.*", "log"]`. All when not given.
    #[serde(default)]
    pub(super) types: Vec<String>,
    /// At most so many events; 50 when not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub(super) limit: Option<usize>,
    /// Where there is nothing yet: how long to wait for something, in seconds.
    #[serde(default)]
    #[schemars(range(max = 50))]
    pub(super) timeout_s: u64,
}

/// One task, to be ended.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelTask {
    /// Its id, `task_…`, or `key:` and its key.
    pub(super) task_id: String,
    /// Why.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// Something for a task: an input or a decision, and not both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendInput {
    /// Its id, `task_…`, or `key:` and its key.
    pub(super) task_id: String,
    /// What it waits for under a name: a question that wants `input`.
    #[serde(default)]
    pub(super) input: Option<InputRequest>,
    /// The answer to a question that wants a `decision`.
    #[serde(default)]
    pub(super) decision: Option<DecisionRequest>,
}

/// Which tasks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListTasks {
    /// Only in these states.
    #[serde(default)]
    #[schemars(with = "Vec<everloop_api::schema::State>")]
    pub(super) states: Vec<everloop_types::state::State>,
    /// Only of these kinds.
    #[serde(default)]
    pub(super) kinds: Vec<String>,
    /// Only with all of these labels.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// Only with this text in name, title or description.
    #[serde(default)]
    pub(super) text: Option<String>,
    /// At most so many; 50 when not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub(super) limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[serde(default)]
    pub(super) cursor: Option<String>,
}
