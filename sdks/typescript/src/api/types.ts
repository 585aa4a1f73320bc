// Generated from docs/openapi.json by `npm run generate`.

/** What this server is. */
export type AboutView = {
  /** How many times it was restored from a backup. */
  epoch: number;
  /** This run of the server. */
  incarnation: string;
  /** The database. */
  installation: string;
  /** `dev` or `serve`. */
  mode: string;
  /** `everloop`. */
  name: string;
  /** The key that signs receipts. */
  signing_key: string;
  /** When the server started. */
  started_at: Timestamp;
  /** Which engine keeps the data. */
  store: string;
  /** Its version. */
  version: string;
  /** Version of the worker protocol. */
  worker_protocol: number;
};

/** A task that was claimed. */
export type AssignmentView = {
  /** Number of the attempt. */
  attempt: number;
  /** What was recorded, in order. */
  journal: JournalItem[];
  /** There is more: fetch the journal after this number. */
  journal_after?: number | null;
  /** Version of the executor that shall run it. */
  kind_version?: number | null;
  /** What to show with every call about this attempt. */
  lease: LeaseToken;
  /** Life of the lease unless it is renewed, in milliseconds. */
  lease_ttl_ms?: number | null;
  /** How to replay it, where the task is not just to go on: `only` runs nothing that is not recorded, `always` replays again
   * after each step. */
  replay?: Replay | null;
  /** What was asked for, with its input. */
  spec: TaskSpec;
  /** The task. */
  task: TaskId;
  /** Whose it is. */
  tenant: TenantId;
  /** Tries that failed before. */
  tries: number;
};

/** How an attempt ended. */
export type AttemptStatus = "running" | "completed" | "failed" | "retrying" | "waiting" | "paused" | "cancelled" | "lost" | "handed_back";

/** One claim of a task by one worker. */
export type AttemptView = {
  /** Its number, from 1. */
  attempt: number;
  /** How long it ran, in milliseconds. */
  duration_ms?: number | null;
  /** When it ended. */
  ended_at?: Timestamp | null;
  /** How it failed. */
  error?: TaskError | null;
  /** Number of its first event. */
  first_seq: number;
  /** How long ago its worker was heard from, in milliseconds, while it runs. */
  heartbeat_age_ms?: number | null;
  /** Version of the executor. */
  kind_version?: number | null;
  /** Number of its last event so far. */
  last_seq: number;
  /** Log lines and chunks that it wrote. */
  log_lines: number;
  /** When the task came into the queue from which it was claimed. */
  queued_at: Timestamp;
  /** When it was claimed. */
  started_at: Timestamp;
  /** How it ended. */
  status: AttemptStatus;
  /** Steps that it recorded. */
  steps: number;
  /** Who. */
  worker: string;
};

/** What became of each task of a batch, in the order of the request. */
export type BatchAnswer = {
  /** How many are new. */
  created: number;
  /** How many existed already. */
  existing: number;
  /** One for each task. */
  outcomes: BatchOutcome[];
  /** How many were refused. */
  refused: number;
};

/** What became of one task of a batch. */
export type BatchOutcome = {
  created: TaskView;
} | {
  existing: TaskView;
} | {
  refused: Problem;
};

/** Several new tasks. */
export type BatchRequest = {
  /** The tasks; each is taken or refused by itself. */
  tasks: TaskRequest[];
};

/** The name of a blob. */
export type BlobName = {
  /** `SHA-256(salt ‖ SHA-256(bytes))`. */
  hash: string;
  /** Its id. */
  id: string;
  /** What it is. */
  media_type: string;
  /** How many bytes. */
  size: number;
};

/** A blob that was put: what names it in an input. */
export type BlobView = {
  /** Put this in place of the value. */
  "$blob": BlobName;
};

/** What an event says, without envelope: what a worker sends and replays. */
export type Body = {
  /** Its data, of the form that the type has; `{}` when not given. */
  data?: unknown;
  /** Its type. */
  type: string;
};

/** What is done to many tasks. */
export type BulkAct = "cancel" | "pause" | "resume" | "redrive";

/** What became of a bulk act. */
export type BulkAnswer = {
  /** How many it was done to; 0 where they were only counted. */
  done: number;
  /** How many tasks the filter matches. */
  matched: number;
  /** Whether there are more than one call takes: call again. */
  more: boolean;
  /** Those that refused it meanwhile, at most 100. */
  refused?: BulkRefused[];
};

/** Which tasks. Everything that is given must hold. */
export type BulkFilter = {
  /** With a key that begins so. */
  key_prefix?: string | null;
  /** Of one of these kinds. */
  kind?: string[];
  /** With all of these labels. */
  labels?: Record<string, string>;
  /** Children of this task. */
  parent?: TaskId | null;
  /** Of this priority. */
  priority?: number | null;
  /** In this queue. */
  queue?: string | null;
  /** In this session. */
  session?: SessionId | null;
  /** In one of these states; those that the act is possible in when not given. */
  state?: State[];
};

/** A task that refused a bulk act. */
export type BulkRefused = {
  /** Why, as a code. */
  code: string;
  /** Why, for people. */
  detail: string;
  /** Which one. */
  task: TaskId;
};

/** Something for many tasks at once. */
export type BulkRequest = {
  /** What is done. */
  act: BulkAct;
  /** How many there must be: as an answer without it has counted them. Without it nothing is done but counting. */
  expect?: number | null;
  /** To which tasks; `{}` means all that it is possible for. */
  filter: BulkFilter;
  /** Why. */
  reason?: string | null;
};

/** End. */
export type CancelRequest = {
  /** Why. */
  reason?: string | null;
};

/** What happens to live children when their parent ends. */
export type ChildPolicy = "cancel" | "leave";

/** What a claim got; nothing when nothing came in time. */
export type ClaimAnswer = {
  /** The tasks. */
  assignments: AssignmentView[];
};

/** A worker wants tasks. */
export type ClaimRequest = {
  /** At most so many. */
  max: number;
  /** Number of the request. Repeating it, when the answer was lost, gives the same tasks again. */
  request: number;
};

/** What a receipt claims. */
export type ClaimsShape = {
  /** Hash of the terminal event. */
  chain_root: string;
  /** When the terminal event was written. */
  finished_at: Timestamp;
  /** First event of the stream: 1. */
  first_seq: number;
  /** The kind of the task. */
  kind: string;
  /** Number of the terminal event. */
  last_seq: number;
  /** `data_hash` of the terminal event. */
  result_hash: string;
  /** How the task ended. */
  state: State;
  /** The task. */
  task: TaskId;
  /** Its tenant. */
  tenant: TenantId;
  /** Version of these claims: 1. */
  v: number;
};

/** What kind of trouble an error is. Only `transient` and `internal` are tried again. */
export type Class = "transient" | "internal" | "validation" | "auth" | "quota" | "budget" | "cancelled";

/** A cap on tasks that run at the same time. */
export type Concurrency = {
  /** Tasks with the same key share the cap. */
  key: string;
  /** How many may run. */
  limit: number;
};

/** A change of a task's course. */
export type ControlChange = {
  /** When. */
  at: Timestamp;
  /** Who. */
  by: string;
  /** Why, where it was said. */
  reason?: string | null;
  /** Number of the event. */
  seq: number;
  /** Type of the event. */
  type: string;
};

/** Who wants what of a task, and what it waits for. */
export type ControlState = {
  /** What can be asked of it now: `pause`, `resume`, `cancel`, `input`, `decision`, `fork`, `delete`. */
  allowed: string[];
  /** The last event of pausing, resuming or cancelling: what, who and when. */
  last_change?: ControlChange | null;
  /** Requests for a decision that are open. */
  open_requests?: string[];
  /** Why it is paused and who paused it. */
  paused?: PauseReason | null;
  /** Where it stands. */
  state: State;
  /** What it waits for. */
  waiting_for?: Wait | null;
};

/** The answer to a question of the task. */
export type DecisionRequest = {
  /** One of its choices, where it has any. */
  decision: string;
  /** Id of the request, as the inbox and the task's `open_requests` show it. */
  id: string;
  /** Why. */
  note?: string | null;
  /** A value that belongs to the decision. */
  result?: unknown;
};

/** A task that must end before another can start. */
export type Dependency = {
  /** How it must end; `completed` when not given. */
  on?: DependsOn;
  /** Which one. */
  task: TaskId;
};

/** How a prerequisite must end. */
export type DependsOn = "completed" | "ended";

/** A page of the events of one stream. */
export type EventPage = {
  /** Whether no event will follow `last_seq`. */
  finished: boolean;
  /** The events, byte for byte. */
  items: EventShape[];
  /** Number of the last event that there is. */
  last_seq: number;
  /** Number of the last event that was looked at: pass it as `?after=` for the next page. */
  next_after: number;
};

/** An event: one flat object of envelope and payload. */
export type EventShape = {
  /** Who caused it: `usr_…`, `wkr_…` or `system`. */
  actor: string;
  /** Version of its body. */
  body_v: number;
  /** What it says; absent where the payload is gone. */
  data?: unknown;
  /** `SHA-256(salt ‖ data)`. */
  data_hash: string;
  /** `SHA-256(hash of the event before ‖ canonical envelope)`. */
  hash: string;
  /** Absent where the payload is gone. */
  salt?: string | null;
  /** Its number in the stream, from 1 without gaps. */
  seq: number;
  /** The stream that it stands in: a task's id, or `audit/<tenant>/<n>`. */
  stream: string;
  /** Whose it is. */
  tenant: TenantId;
  /** A W3C trace context. */
  trace?: string | null;
  /** When it was written. */
  ts: Timestamp;
  /** Its type: `task.submitted`, `step.completed`, `custom.…`. */
  type: string;
  /** Version of the envelope: 1. */
  v: number;
};

/** Events of an attempt, and frames for live followers. */
export type EventsRequest = {
  /** Number of the batch in this attempt, from 1; repeating one changes nothing. Not needed for frames alone. */
  batch?: number | null;
  /** Events, in order. */
  events?: Body[];
  /** Passing words: never stored. */
  frames?: Body[];
  /** Who sends it. */
  worker: WorkerId;
};

/** The permissions of one task. Nothing is granted that isn't named. */
export type ExecProfile = {
  /** Hosts that the kinds `http` and `mcp` may call. */
  hosts?: string[];
  /** MCP servers of the operator's that the `mcp` kind may start, by their names. */
  mcp?: string[];
  /** Bytes of output that are kept of a command. */
  output_bytes?: number | null;
};

/** The try failed; the task's policy says whether there is another one. */
export type FailRequest = {
  /** Number of the batch in this attempt. */
  batch: number;
  /** How. */
  error: TaskError;
  /** Events that come before the end. */
  events?: Body[];
  /** Who sends it. */
  worker: WorkerId;
};

/** A page of the events of many streams. */
export type FeedPage = {
  /** The events, byte for byte. */
  items: EventShape[];
  /** Whether there was more when the page was read. */
  more: boolean;
  /** Pass it as `?after=` for the next page. */
  next_cursor: string;
};

/** The attempt ends, and the task with it: with exactly one of `result`, `continue_as` and `cancelled`. */
export type FinishRequest = {
  /** Number of the batch in this attempt. */
  batch: number;
  /** It gave up, as it was asked to. */
  cancelled?: boolean;
  /** The input of a new task that goes on for this one. */
  continue_as?: unknown;
  /** Events that come before the end. */
  events?: Body[];
  /** What the task gave. */
  result?: unknown;
  /** Who sends it. */
  worker: WorkerId;
};

/** A new task that begins with recorded steps of this one. */
export type ForkRequest = {
  /** Keep what was recorded before this step: the fork runs it anew. */
  from_step?: string | null;
  /** Another input. The recorded steps were made from the old one. */
  input?: unknown;
  /** Key of the fork. */
  key?: string | null;
  /** Keep what was recorded up to this event. Without this and `from_step` everything is kept. */
  upto_seq?: number | null;
};

/** Where a fork began. */
export type ForkedFrom = {
  /** Hash of the source's event `upto_seq`. */
  hash: string;
  /** The task whose idempotency keys the steps keep, where the fork is a redrive. */
  keys_of?: TaskId | null;
  /** The source. */
  task: TaskId;
  /** The last event of the source whose steps were kept. */
  upto_seq: number;
};

/** Whether the server works. */
export type HealthView = {
  /** What was looked at: `database`, `pipeline`, `workers`, each `ok` or what is wrong. */
  checks: Record<string, string>;
  /** `ok`, `degraded` or `stopping`. */
  status: string;
  /** Its version. */
  version: string;
};

/** A worker lives. */
export type HeartbeatRequest = {
  /** What is wrong with it, if anything is. */
  trouble?: string | null;
};

/** A task and its lease. */
export type HeldLease = {
  /** Its lease. */
  lease: LeaseToken;
  /** The task. */
  task: TaskId;
};

/** What waits for a person. */
export type InboxItem = {
  /** Where to answer. */
  answer_url: string;
  /** Words that may be answered. */
  choices?: string[];
  /** What whoever decides should see. */
  details?: unknown;
  /** What to answer with: the request's id, the input's name, or why it is paused. */
  id: string;
  /** Its kind. */
  kind: string;
  /** The question. */
  prompt?: string | null;
  /** Since when. */
  since: Timestamp;
  /** The task that asks. */
  task: TaskId;
  /** Its title, where it has one. */
  title?: string | null;
  /** What is wanted. */
  wants: InboxWant;
};

/** What is wanted of a person. */
export type InboxWant = "decision" | "input" | "repair";

/** What became of an input. */
export type InputAnswer = {
  /** Id of the input. */
  id: string;
  /** The task as it stands. */
  task: TaskView;
};

/** Something for the task. */
export type InputRequest = {
  /** What; `null` when not given. */
  data?: unknown;
  /** Your own id for it; one of ours when not given. The same input sent again under it is the same one. */
  id?: string | null;
  /** For whom in the task: the name that it waits for. */
  name: string;
};

/** An event of the task's past that a replay needs. */
export type JournalItem = {
  /** What it says. */
  data: unknown;
  /** Its number in the stream. */
  seq: number;
  /** Its type. */
  type: string;
};

/** A page of a journal. */
export type JournalPage = {
  /** What was recorded, in order. */
  items: JournalItem[];
  /** There is more after this number. */
  next_after?: number | null;
};

/** What tasks of a kind get where whoever submits them says nothing, or what is the default anyway. */
export type KindDefaults = {
  /** Limits and rules; each of them for itself. */
  policy?: Policy;
  /** The queue. */
  queue?: string | null;
};

/** A kind that a worker can run. */
export type KindOffer = {
  /** What it does, in one line. */
  about?: string | null;
  /** What its tasks get where nothing else is said. */
  defaults?: KindDefaults;
  /** Faces that offer it as something of its own: `mcp` makes it a tool. */
  expose?: string[];
  /** JSON Schema (2020-12) of its input. An input that is not of it is refused. */
  input_schema?: unknown;
  /** Name of the kind. */
  kind: string;
  /** JSON Schema (2020-12) of its result, for those who read it. */
  output_schema?: unknown;
  /** Versions that the worker can run; the last one is what new tasks get. */
  versions: number[];
};

/** A kind of task. */
export type KindView = {
  /** What it does, in a line. */
  about?: string | null;
  /** What its tasks get where whoever submits them says nothing. */
  defaults?: KindDefaults | null;
  /** Whether this server runs it itself. */
  embedded: boolean;
  /** Faces that offer it as something of its own. */
  expose?: string[];
  /** JSON Schema of its input. */
  input_schema?: unknown;
  /** Its name. */
  name: string;
  /** JSON Schema of its result. */
  output_schema?: unknown;
  /** Versions that somebody runs. */
  versions: number[];
  /** Workers that run it and were heard from. */
  workers: number;
};

/** What a worker shows with every call about an attempt: `epoch.attempt.nonce`, as the claim gave it. */
export type LeaseToken = string;

/** Where to look further: paths below the server's address. */
export type Links = {
  /** Its receipt, once it has ended. */
  receipt?: string | null;
  /** The task itself. */
  self: string;
  /** Its events: JSON pages, or SSE with `Accept: text/event-stream`. */
  stream_url: string;
};

/** A log line, or a chunk of output. */
export type LogLine = {
  /** The bytes, where they are not UTF-8. */
  base64?: string | null;
  /** How much it matters. */
  level: string;
  /** Where the chunk begins in its source, in bytes. */
  offset: number;
  /** Number of its event. */
  seq: number;
  /** `stdout`, `stderr` or the executor's own. */
  source: string;
  /** The text. */
  text?: string | null;
  /** When. */
  ts: Timestamp;
};

/** What to do about a step that was started and whose outcome is unknown. */
export type OnUnknown = "rerun" | "verify" | "ask" | "fail";

/** The end of a finished task. */
export type OutputView = {
  /** The task that goes on for it. */
  continued_as?: TaskId | null;
  /** How it failed. */
  error?: TaskError | null;
  /** When it ended. */
  finished_at: Timestamp;
  /** What it gave. */
  result?: unknown;
  /** How it ended. */
  state: State;
  /** The task. */
  task: TaskId;
  /** Inputs that nobody took. */
  unconsumed?: string[];
};

/** A page of a list. */
export type Page = {
  /** What is on it. */
  items: TaskView[];
  /** Where the next page begins: pass it as `?cursor=`. Absent on the last page. A page of tasks may have fewer items than
   * asked for, or none, and not be the last: when 20,000 tasks were looked at for conditions that no index answers. */
  next_cursor?: string | null;
  /** How many there are in all, counted to 10,000: that many may be more. Absent where too many would have to be looked at. */
  total?: number | null;
};

/** A page of a list. */
export type Page2 = {
  /** What is on it. */
  items: StepView[];
  /** Where the next page begins: pass it as `?cursor=`. Absent on the last page. A page of tasks may have fewer items than
   * asked for, or none, and not be the last: when 20,000 tasks were looked at for conditions that no index answers. */
  next_cursor?: string | null;
  /** How many there are in all, counted to 10,000: that many may be more. Absent where too many would have to be looked at. */
  total?: number | null;
};

/** A page of a list. */
export type Page3 = {
  /** What is on it. */
  items: AttemptView[];
  /** Where the next page begins: pass it as `?cursor=`. Absent on the last page. A page of tasks may have fewer items than
   * asked for, or none, and not be the last: when 20,000 tasks were looked at for conditions that no index answers. */
  next_cursor?: string | null;
  /** How many there are in all, counted to 10,000: that many may be more. Absent where too many would have to be looked at. */
  total?: number | null;
};

/** A page of a list. */
export type Page4 = {
  /** What is on it. */
  items: LogLine[];
  /** Where the next page begins: pass it as `?cursor=`. Absent on the last page. A page of tasks may have fewer items than
   * asked for, or none, and not be the last: when 20,000 tasks were looked at for conditions that no index answers. */
  next_cursor?: string | null;
  /** How many there are in all, counted to 10,000: that many may be more. Absent where too many would have to be looked at. */
  total?: number | null;
};

/** A page of a list. */
export type Page5 = {
  /** What is on it. */
  items: QueueView[];
  /** Where the next page begins: pass it as `?cursor=`. Absent on the last page. A page of tasks may have fewer items than
   * asked for, or none, and not be the last: when 20,000 tasks were looked at for conditions that no index answers. */
  next_cursor?: string | null;
  /** How many there are in all, counted to 10,000: that many may be more. Absent where too many would have to be looked at. */
  total?: number | null;
};

/** A page of a list. */
export type Page6 = {
  /** What is on it. */
  items: KindView[];
  /** Where the next page begins: pass it as `?cursor=`. Absent on the last page. A page of tasks may have fewer items than
   * asked for, or none, and not be the last: when 20,000 tasks were looked at for conditions that no index answers. */
  next_cursor?: string | null;
  /** How many there are in all, counted to 10,000: that many may be more. Absent where too many would have to be looked at. */
  total?: number | null;
};

/** A page of a list. */
export type Page7 = {
  /** What is on it. */
  items: WorkerView[];
  /** Where the next page begins: pass it as `?cursor=`. Absent on the last page. A page of tasks may have fewer items than
   * asked for, or none, and not be the last: when 20,000 tasks were looked at for conditions that no index answers. */
  next_cursor?: string | null;
  /** How many there are in all, counted to 10,000: that many may be more. Absent where too many would have to be looked at. */
  total?: number | null;
};

/** A page of a list. */
export type Page8 = {
  /** What is on it. */
  items: InboxItem[];
  /** Where the next page begins: pass it as `?cursor=`. Absent on the last page. A page of tasks may have fewer items than
   * asked for, or none, and not be the last: when 20,000 tasks were looked at for conditions that no index answers. */
  next_cursor?: string | null;
  /** How many there are in all, counted to 10,000: that many may be more. Absent where too many would have to be looked at. */
  total?: number | null;
};

/** The task and step that started a child. */
export type Parent = {
  /** Key of the step that started it. */
  step?: string | null;
  /** The parent. */
  task: TaskId;
};

/** What a live task shall have in place of what it has. What is absent stays. */
export type PatchRequest = {
  /** New description. */
  description?: string | null;
  /** New labels, in place of all old ones. */
  labels?: Record<string, string> | null;
  /** New metadata. */
  metadata?: unknown;
  /** New name. */
  name?: string | null;
  /** New policy, in place of the old. */
  policy?: Policy | null;
  /** New title. */
  title?: string | null;
};

/** Why a task is paused. */
export type PauseReason = {
  /** Who paused it. */
  by: string;
  /** More about it: both sides of a mismatch. */
  details?: unknown;
  /** `requested`, `nondeterminism`, or the words of whoever asked. */
  reason: string;
};

/** Stand still. */
export type PauseRequest = {
  /** Why. */
  reason?: string | null;
};

/** What the write pipeline has done. */
export type PipelineStats = {
  /** Commits. */
  commits: number;
  /** Events written. */
  events: number;
  /** Rows written, events included. */
  rows: number;
  /** Commands that wait. */
  waiting: number;
};

/** How a task is to be run. */
export type Policy = {
  /** What happens to live children when the task ends. */
  children?: ChildPolicy;
  /** At most so many tasks with this key run at once. */
  concurrency?: Concurrency | null;
  /** The task fails when it has not ended by then. */
  deadline?: Timestamp | null;
  /** How long a cancelled executor may clean up, in milliseconds; 10 s when not given. */
  grace_ms?: number | null;
  /** Life of a lease that is not renewed, in milliseconds; 90 s when not given. */
  lease_ms?: number | null;
  /** What to do about a step that was cut off; the executor's own choice when not given. */
  on_unknown?: OnUnknown | null;
  /** Higher first. */
  priority?: number;
  /** What the executor may do. */
  profile?: ExecProfile;
  /** How often it is tried. */
  retry?: RetryPolicy;
  /** The longest time that one attempt may run, in milliseconds. */
  timeout_ms?: number | null;
};

/** Why a request was refused, as `application/problem+json`. */
export type Problem = {
  /** What kind of trouble it is. */
  class: Class;
  /** Stable snake_case code. */
  code: string;
  /** What happened to this request. */
  detail: string;
  /** Wrong fields, where it is about fields. */
  errors?: ProblemField[];
  /** What to do about it. */
  hint?: string | null;
  /** Names this request in the server's log. */
  request_id: string;
  /** The HTTP status. */
  status: number;
  /** When. */
  timestamp: Timestamp;
  /** What this code means, the same for every occurrence. */
  title: string;
  /** Where the code is explained. */
  type: string;
};

/** Which field is wrong. */
export type ProblemField = {
  /** Path of the field: `policy.retry.max_tries`. */
  field: string;
  /** What is wrong with it and what would be right. */
  message: string;
};

/** How far a task has got, in units of its own. */
export type Progress = {
  /** How many are done. */
  done?: number | null;
  /** What is being done. */
  note?: string | null;
  /** How many there are. */
  total?: number | null;
};

/** How far a task has got. */
export type ProgressView = {
  /** Number of the last event. */
  last_seq: number;
  /** Done of total, in percent, where it gave both; 100 where it is completed. */
  percent?: number | null;
  /** What it says itself. */
  progress?: Progress | null;
  /** Where it stands. */
  state: State;
  /** Steps that were recorded. */
  steps: number;
  /** When its last event was written. */
  updated_at: Timestamp;
};

/** A queue. */
export type QueueView = {
  /** Tasks that failed. */
  failed: number;
  /** Tasks that workers hold. */
  in_flight: number;
  /** Its name. */
  name: string;
  /** Since when the oldest task that can be claimed has been waiting. */
  oldest_since?: Timestamp | null;
  /** Whether it stands still: nothing of it is claimed. */
  paused: boolean;
  /** Tasks that can be claimed. */
  queued: number;
  /** Tasks by state. */
  states: Record<string, number>;
  /** Workers that serve it and were heard from. */
  workers: number;
};

/** The receipt of a finished task. */
export type ReceiptView = {
  /** What is signed in it. */
  claims: ClaimsShape;
  /** A compact JWS (RFC 7515) with EdDSA; `/.well-known/jwks.json` has the key. */
  receipt: string;
};

/** A worker makes itself known. */
export type RegisterRequest = {
  /** What it can do beyond its kinds, matched against a task's `requires`. */
  capabilities?: string[];
  /** The kinds that it runs. */
  kinds: KindOffer[];
  /** Tasks at the same time. */
  max_concurrent_tasks: number;
  /** A name for people. */
  name: string;
  /** Version of this protocol: 1. */
  protocol: number;
  /** Queues in the order in which it wants them tried; `high`, `default`, `low` when not given. */
  queues?: string[];
  /** Version of the program. */
  version?: string;
};

/** The worker gives the task back undone. */
export type ReleaseRequest = {
  /** Number of the batch in this attempt. */
  batch: number;
  /** Events that come before the end. */
  events?: Body[];
  /** Who sends it. */
  worker: WorkerId;
};

/** What became of a renewal. */
export type RenewAnswer = {
  /** Tasks that it does not hold any more: stop them at once, write nothing. */
  lost: TaskId[];
};

/** A worker holds its tasks for another term. */
export type RenewRequest = {
  /** What it holds. */
  leases: HeldLease[];
};

/** How a worker shall replay what was recorded, where the task is not just to go on. */
export type Replay = "only" | "always";

/** Go on. */
export type ResumeRequest = Record<string, never>;

/** How often, and how far apart, a task that failed is tried again. */
export type RetryPolicy = {
  /** Largest delay before the second try, in milliseconds; 1000 when not given. It doubles from try to try. */
  initial_ms?: number;
  /** Largest delay before any try, in milliseconds; 60000 when not given. */
  max_ms?: number;
  /** Tries in all, the first one counted; 3 when not given. */
  max_tries?: number;
};

/** The id of a session: `ses_` and 26 characters. */
export type SessionId = string;

/** A word about a task. */
export type SignalView = {
  /** The attempt that is meant. */
  attempt: number;
  /** With `cancel`: time to clean up, in milliseconds. */
  grace_ms?: number | null;
  /** What. */
  signal: SignalWord;
  /** The task. */
  task: TaskId;
};

/** What a worker is told. */
export type SignalWord = "pause" | "resume" | "cancel" | "lease_lost";

/** Words about tasks that a worker holds; none when none came in time. */
export type SignalsAnswer = {
  /** In the order in which they were said. */
  signals: SignalView[];
};

/** The state of a task. */
export type State = "pending" | "queued" | "running" | "waiting" | "pausing" | "paused" | "cancelling" | "completed" | "failed" | "cancelled";

/** Figures. */
export type StatsView = {
  /** Tasks that failed. */
  dead_letters: number;
  /** Bytes of data in the tasks' events. */
  event_bytes: number;
  /** Followers of streams. */
  followers: number;
  /** What the write pipeline of this server has done since it started. */
  pipeline: PipelineStats;
  /** Time that workers held tasks, in microseconds, by state. */
  running_us: Record<string, number>;
  /** Tasks by state. */
  tasks: Record<string, number>;
  /** Tasks in all. */
  total: number;
  /** Workers that were heard from. */
  workers: number;
};

/** Where a step stands. */
export type StepStatus = "started" | "retrying" | "completed" | "failed";

/** A step of a task. */
export type StepView = {
  /** The attempt that ran it. */
  attempt?: number | null;
  /** When its outcome was recorded. */
  ended_at?: Timestamp | null;
  /** How it failed. */
  error?: TaskError | null;
  /** How many tries of it failed. */
  failed_tries: number;
  /** SHA-256 of its canonical arguments. */
  intent: string;
  /** What kind of step. */
  kind: string;
  /** When it is tried again. */
  next_at?: Timestamp | null;
  /** What it gave. */
  result?: unknown;
  /** Number of the event that says so. */
  seq: number;
  /** When it began. */
  started_at?: Timestamp | null;
  /** Where it stands. */
  status: StepStatus;
  /** Its identity. */
  step: string;
};

/** The attempt ends and the task does not: with exactly one of `for` and `paused`. */
export type SuspendRequest = {
  /** Number of the batch in this attempt. */
  batch: number;
  /** Events that come before the end. */
  events?: Body[];
  /** What the task waits for. */
  for?: Wait | null;
  /** Why it stands still. */
  paused?: PauseReason | null;
  /** Who sends it. */
  worker: WorkerId;
};

/** What a try, a step or a task ended with. */
export type TaskError = {
  /** Decides whether it is tried again. */
  class: Class;
  /** Stable snake_case code. */
  code: string;
  /** More about it, for programs. */
  details?: unknown;
  /** What happened, for people. */
  message: string;
};

/** The id of a task: `task_` and 26 characters. */
export type TaskId = string;

/** A new task. */
export type TaskRequest = {
  /** Free parameters for the executor. */
  context?: unknown;
  /** Whose data it is about; in no event. */
  data_subject?: string | null;
  /** Tasks that must end first. */
  depends_on?: Dependency[];
  /** What it is about, for people. */
  description?: string | null;
  /** The executor's input. More than 256 KiB goes into a blob. */
  input?: unknown;
  /** Your own name for the task, unique in the tenant: the same request with the same key is the same task. */
  key?: string | null;
  /** Which executor runs it: see `GET /api/v1/kinds`. */
  kind: string;
  /** Which version of the executor; any when not given. */
  kind_version?: number | null;
  /** What lists filter by. */
  labels?: Record<string, string>;
  /** Your own data, never looked into. */
  metadata?: unknown;
  /** A name in the language of the program. */
  name?: string | null;
  /** The task is not claimed before this time. */
  not_before?: Timestamp | null;
  /** The task that starts it. */
  parent?: Parent | null;
  /** How it is to be run. */
  policy?: Policy;
  /** Where it waits for a worker; `default` when not given. */
  queue?: string | null;
  /** Capabilities that a worker must have. */
  requires?: string[];
  /** The session that it belongs to. */
  session?: SessionId | null;
  /** A title for people. */
  title?: string | null;
};

/** What a caller asked for, as a worker gets it. */
export type TaskSpec = {
  /** Free parameters for the executor. */
  context?: unknown;
  /** The task that this one continues. */
  continues?: TaskId | null;
  /** Tasks that had to end first. */
  depends_on?: Dependency[];
  /** What it is about, for people. */
  description?: string | null;
  /** The executor's input. */
  input?: unknown;
  /** The caller's own name for the task. */
  key?: string | null;
  /** Which executor runs it. */
  kind: string;
  /** Which version of that executor. */
  kind_version?: number | null;
  /** What lists filter by. */
  labels?: Record<string, string>;
  /** The caller's own data. */
  metadata?: unknown;
  /** A name in the language of the program. */
  name?: string | null;
  /** The task is not claimed before this time. */
  not_before?: Timestamp | null;
  /** The task that started it. */
  parent?: Parent | null;
  /** How it is to be run. */
  policy?: Policy;
  /** Where it waits for a worker. */
  queue: string;
  /** Capabilities that a worker must have. */
  requires?: string[];
  /** The session that it belongs to. */
  session?: SessionId | null;
  /** A title for people. */
  title?: string | null;
};

/** A task as it stands. In lists without `input` and `result`. */
export type TaskView = {
  /** Claims so far. */
  attempt: number;
  /** Free parameters for the executor. */
  context?: unknown;
  /** The task that goes on for it. */
  continued_as?: TaskId | null;
  /** The task that it goes on for. */
  continues?: TaskId | null;
  /** When it was submitted. */
  created_at: Timestamp;
  /** Who asked for it. */
  created_by: string;
  /** Whose data it is about. */
  data_subject?: string | null;
  /** Tasks that must end first. */
  depends_on?: Dependency[];
  /** What it is about, for people. */
  description?: string | null;
  /** What it ended with, or how its last try failed. */
  error?: TaskError | null;
  /** When it ended. */
  finished_at?: Timestamp | null;
  /** Where it was forked from. */
  forked_from?: ForkedFrom | null;
  /** Its id. */
  id: TaskId;
  /** The executor's input. */
  input?: unknown;
  /** The caller's own name for it. */
  key?: string | null;
  /** Which executor runs it. */
  kind: string;
  /** Which version of the executor it wants. */
  kind_version?: number | null;
  /** What lists filter by. */
  labels?: Record<string, string>;
  /** Number of the last event of its stream. */
  last_seq: number;
  /** Where to look further. */
  links: Links;
  /** Attempts that were lost. */
  lost_attempts: number;
  /** The caller's own data. */
  metadata?: unknown;
  /** A name in the language of the program. */
  name?: string | null;
  /** It is not claimed before this time. */
  not_before?: Timestamp | null;
  /** Requests for a decision that are open, by id. */
  open_requests?: string[];
  /** The task that started it. */
  parent?: Parent | null;
  /** Why it is paused. */
  paused?: PauseReason | null;
  /** How it is run; what is not here has its default. */
  policy?: Policy;
  /** How far it has got. */
  progress?: Progress | null;
  /** Where it waits for a worker. */
  queue: string;
  /** Capabilities that a worker must have. */
  requires?: string[];
  /** What it gave. */
  result?: unknown;
  /** The end of the delay before the next try. */
  retry_at?: Timestamp | null;
  /** The session that it belongs to. */
  session?: SessionId | null;
  /** When it was first claimed. */
  started_at?: Timestamp | null;
  /** Where it stands. */
  state: State;
  /** Steps that were recorded. */
  steps: number;
  /** Whose it is. */
  tenant: TenantId;
  /** A title for people. */
  title?: string | null;
  /** Tries that ended in an error. */
  tries: number;
  /** Why nobody can claim it, where it is queued and nobody can. */
  unclaimable?: string | null;
  /** When its last event was written. */
  updated_at: Timestamp;
  /** What it has used. */
  usage: Usage;
  /** What it waits for. */
  waiting_for?: Wait | null;
};

/** The id of a tenant: `ten_` and 26 characters. */
export type TenantId = string;

/** A point in time: RFC 3339, written in UTC with six digits. */
export type Timestamp = string;

/** What a task has used. */
export type Usage = {
  /** Bytes of data in its events. */
  event_bytes: number;
  /** Time that a worker held it, in microseconds. */
  running_us: number;
};

/** A tree of conditions that a task waits for. The ids are the step keys of the waits. */
export type Wait = {
  all: Wait[];
} | {
  any: Wait[];
} | {
  timer: {
    /** When. */
    at: Timestamp;
    /** Step key of the wait. */
    id: string;
  };
} | {
  input: {
    /** Step key of the wait. */
    id: string;
    /** Name of the input. */
    name: string;
  };
} | {
  decision: {
    /** Step key of the wait, and id of the request. */
    id: string;
  };
} | {
  child: {
    /** Step key of the wait. */
    id: string;
    /** The child. */
    task: TaskId;
  };
};

/** The id of a worker: `wkr_` and 26 characters. */
export type WorkerId = string;

/** A worker. */
export type WorkerView = {
  /** What it can do beyond its kinds. */
  capabilities: string[];
  /** When it registered. */
  created_at: Timestamp;
  /** Whether it lives inside a server. */
  embedded: boolean;
  /** Its id. */
  id: WorkerId;
  /** The kinds that it runs. */
  kinds: KindOffer[];
  /** When it was last heard from. */
  last_heartbeat_at: Timestamp;
  /** Tasks at the same time. */
  max_concurrent_tasks: number;
  /** A name for people. */
  name: string;
  /** Version of the worker protocol. */
  protocol: number;
  /** Queues in the order in which it tries them. */
  queues: string[];
  /** How it is. */
  status: string;
  /** Tasks that it holds. */
  tasks: TaskId[];
  /** What it says is wrong. */
  trouble?: string | null;
  /** Version of its program. */
  version: string;
};
