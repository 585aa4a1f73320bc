//! Every fixed limit, with its reason. `everloop explain limits` shows this table.

use std::time::Duration;

/// Data of one event.
pub const EVENT_DATA_BYTES: usize = 256 * 1024;
/// Input, result or step outcome that is kept in an event: what else the event says has the rest of its room.
pub const VALUE_BYTES: usize = EVENT_DATA_BYTES - 32 * 1024;
/// One blob. What is larger belongs into object storage, named by the task.
pub const BLOB_BYTES: u64 = 64 * 1024 * 1024;
/// Body of one request, blobs apart.
pub const REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Levels of arrays and objects in one JSON text: deeper ones are mistakes or attacks on the parser's stack.
pub const JSON_DEPTH: usize = 64;
/// Events of one task. A task that needs more ends with `continue_as`.
pub const TASK_EVENTS: u64 = 100_000;
/// Steps of one task that have started and not ended.
pub const UNFINISHED_STEPS: usize = 10_000;
/// Children of one task that have not ended.
pub const LIVE_CHILDREN: usize = 1_000;
/// Inputs and decisions that a task has not taken yet.
pub const UNCONSUMED_INPUTS: usize = 1_000;
/// Inputs that a task has taken and still knows by their ids, when one is sent again.
pub const KNOWN_INPUTS: usize = 1_000;
/// Tasks in one batch submit.
pub const BATCH_TASKS: usize = 1_000;
/// Items on one page of a list.
pub const PAGE_ITEMS: usize = 200;
/// Items of a list that are counted for its `total`.
pub const COUNTED_ITEMS: u64 = 10_000;
/// Tasks that are looked at for one page of a list whose conditions no index answers.
pub const LOOKED_AT_ITEMS: u32 = 20_000;
/// Events on one page read from a stream.
pub const PAGE_EVENTS: usize = 1_000;
/// Characters of a key.
pub const KEY_CHARS: usize = 200;
/// Characters of a name or title.
pub const TITLE_CHARS: usize = 500;
/// Characters of a description.
pub const DESCRIPTION_CHARS: usize = 20_000;
/// Characters of the name of a queue, kind, capability, step or label.
pub const NAME_CHARS: usize = 64;
/// Bytes of the JSON Schema of a kind's input or result.
pub const SCHEMA_BYTES: usize = 64 * 1024;
/// Characters of the identity of a step: scope, name and occurrence.
pub const STEP_KEY_CHARS: usize = 500;
/// Labels of one task.
pub const LABELS: usize = 64;
/// Prerequisites of one task.
pub const DEPENDENCIES: usize = 100;
/// Capabilities that one task may require.
pub const REQUIRED_CAPABILITIES: usize = 32;
/// Commands that one commit takes.
pub const COMMIT_COMMANDS: usize = 256;
/// Bytes of events that one commit takes.
pub const COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// Events between two digests of a stream.
pub const DIGEST_EVERY: u64 = 256;
/// Bytes of one chunk of log or output, and of the data of a frame.
pub const CHUNK_BYTES: usize = 16 * 1024;
/// Bytes of recent events that a server keeps in memory for those who follow streams. What does not fit is read from the
/// database.
pub const FOLLOWED_BYTES: usize = 32 * 1024 * 1024;
/// Lost attempts in a row without a newly recorded step, after which a task is poisoned.
pub const LOST_ATTEMPTS: u32 = 5;
/// The longest time a request may wait for a task's end (`?wait=`).
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// The shortest life of a lease that a task may ask for: a worker must get to renew it between one third of it and two.
pub const LEASE_LEAST: Duration = Duration::from_secs(1);
/// Life of a lease that is not renewed.
pub const LEASE: Duration = Duration::from_secs(90);
/// A worker that was not heard from for so long is offline.
pub const WORKER_OFFLINE: Duration = Duration::from_secs(90);
/// How long a cancelled executor may clean up.
pub const GRACE: Duration = Duration::from_secs(10);
/// Life of finished tasks.
pub const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Life of the payloads of finished tasks' logs.
pub const LOG_RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);
/// How long a worker is listed that was not heard from.
pub const WORKER_FORGOTTEN: Duration = Duration::from_secs(24 * 3600);
/// How long a blob is kept that no event names.
pub const BLOB_UNNAMED: Duration = Duration::from_secs(3600);
/// Life of the keys of deleted tasks, and the least life of `Idempotency-Key` headers.
pub const KEY_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Progress events of a task: at most so many in a second.
pub const PROGRESS_PER_SECOND: u32 = 10;
/// Time between two heartbeats of an idle event stream.
pub const STREAM_HEARTBEAT: Duration = Duration::from_secs(25);

/// One line of the table of limits.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What is limited.
    pub name: &'static str,
    /// How much, with its unit.
    pub value: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// The limits that a user can run into, as `everloop explain limits` shows them.
pub const TABLE: &[Limit] = &[
    Limit {
        name: "event data, input, result, step outcome",
        value: "256 KiB",
        remedy: "put the value into a blob: POST /api/v1/blobs, then name it by {\"$blob\": …}",
    },
    Limit {
        name: "blob",
        value: "64 MiB",
        remedy: "keep it in object storage and give the task its address",
    },
    Limit { name: "request body, blobs apart", value: "16 MiB", remedy: "send smaller batches, or blobs" },
    Limit { name: "JSON depth", value: "64 levels", remedy: "flatten the value, or send it as a string" },
    Limit {
        name: "events of a task",
        value: "100,000",
        remedy: "end the task with continue_as and go on in a new one",
    },
    Limit { name: "unfinished steps of a task", value: "10,000", remedy: "await some before starting more" },
    Limit { name: "live children of a task", value: "1,000", remedy: "await some before starting more" },
    Limit {
        name: "inputs that a task has not taken",
        value: "1,000",
        remedy: "let the task take its inputs, or send fewer",
    },
    Limit { name: "tasks in a batch", value: "1,000", remedy: "send several batches" },
    Limit { name: "key", value: "1 to 200 characters", remedy: "shorten it, or hash it" },
    Limit { name: "items of a page", value: "200", remedy: "follow next_cursor" },
    Limit { name: "prerequisites of a task", value: "100", remedy: "join them through a task of their own" },
    Limit { name: "labels of a task", value: "64", remedy: "use metadata for what is not filtered by" },
    Limit { name: "wait for a task's end", value: "60 s", remedy: "ask again, or follow the event stream" },
];
