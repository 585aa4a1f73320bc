import { randomUUID } from "node:crypto";
import type * as api from "./api/types.js";
import { canonical } from "./canonical.js";
import { CancelledError, fromWire, NondeterminismError } from "./errors.js";
import { type Feed, type Follow, feed, follow, type Item } from "./follow.js";
import { type Call, type Endpoint, type Place, segment, Transport, waiting } from "./http.js";
import { fixedPlace, fromEnvironment } from "./server.js";
import { type AnyTask, type Task, toInput } from "./task.js";
import { type Verified, type VerifyOptions, verifyExport } from "./verify.js";

const BASE = "/api/v1";
/** What a wait for a result hears of: the end, and that the task stands still. */
const ENDS = ["task.completed", "task.failed", "task.cancelled", "task.paused"];
/** How long one request waits for the end of a task. */
const WAIT_MS = 30_000;
/** The media type of a value that was too large for its event. */
const VALUE = "application/vnd.everloop.value+json";

/** How a client is set up. */
export interface ClientOptions {
  /** The server; EVERLOOP_URL, or http://127.0.0.1:7420, when not given. */
  url?: string;
  /** The key to show; EVERLOOP_API_KEY when not given. */
  apiKey?: string;
}

/** How a task is submitted: whatever its request may say, but for kind and input. */
export type SubmitOptions = Partial<Omit<api.TaskRequest, "kind" | "input">>;

/** Which tasks. */
export interface TaskFilter {
  state?: api.State[];
  kind?: string[];
  queue?: string;
  priority?: number;
  label?: string;
  parent?: string;
  session?: string;
  key_prefix?: string;
  q?: string;
  created_by?: string;
  order?: "newest" | "oldest";
  limit?: number;
  cursor?: string;
}

/** A page of a list. */
export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
  total?: number | null;
}

/** A part of a list that is wanted. */
export interface PageOptions {
  limit?: number;
  cursor?: string;
}

/** Speaks to one server. Everything that takes a task takes its id, or `key:` and its key. */
export class Client {
  readonly transport: Transport;

  constructor(options: ClientOptions = {}, place?: Place) {
    const known = fromEnvironment();
    const endpoint: Endpoint = { url: options.url ?? known.url };
    const apiKey = options.apiKey ?? known.apiKey;
    if (apiKey !== undefined) endpoint.apiKey = apiKey;
    this.transport = new Transport(place ?? fixedPlace(endpoint));
  }

  #get<T>(path: string, query: Call["query"] = {}): Promise<T> {
    return this.transport.json<T>({ method: "GET", path: BASE + path, query });
  }

  /** Sending it again does no more than sending it once, by its key where by nothing else. */
  #post<T>(path: string, body: unknown = {}, more: Partial<Call> = {}): Promise<T> {
    const call = { method: "POST", path: BASE + path, body: canonical(body), repeatable: true } as const;
    return this.transport.json<T>({ ...call, ...more });
  }

  #keyed(key?: string): Partial<Call> {
    return { headers: { "idempotency-key": key ?? randomUUID() } };
  }

  // Tasks

  /** Submits a task: a durable function with its arguments. */
  submit<Args extends unknown[]>(
    task: Task<Args, unknown>,
    args: Args,
    options?: SubmitOptions,
  ): Promise<api.TaskView>;
  /** Submits a task of any kind. */
  submit(request: api.TaskRequest): Promise<api.TaskView>;
  submit(
    what: AnyTask | api.TaskRequest,
    args: unknown[] = [],
    options: SubmitOptions = {},
  ): Promise<api.TaskView> {
    return this.#post("/tasks", "run" in what ? requestOf(what, args, options) : what, this.#keyed());
  }

  /** Submits up to 1,000 tasks, each taken or refused by itself. */
  submitBatch(tasks: api.TaskRequest[]): Promise<api.BatchAnswer> {
    return this.#post("/tasks/batch", { tasks }, this.#keyed());
  }

  /** Does something to many tasks. Without `expect`, it only counts them. */
  bulk(request: api.BulkRequest): Promise<api.BulkAnswer> {
    return this.#post("/tasks/bulk", request);
  }

  /** A page of tasks. */
  tasks(filter: TaskFilter = {}): Promise<Page<api.TaskView>> {
    return this.#get("/tasks", { ...filter });
  }

  /** All tasks of a filter, page by page. */
  async *allTasks(filter: TaskFilter = {}): AsyncGenerator<api.TaskView> {
    for (let cursor = filter.cursor; ;) {
      const page: Page<api.TaskView> = await this.tasks(
        cursor === undefined ? filter : { ...filter, cursor },
      );
      yield* page.items;
      if (page.next_cursor == null) return;
      cursor = page.next_cursor;
    }
  }

  /** A task as it stands; with `waitMs`, when it has ended or that time has passed. */
  task(task: string, options: { waitMs?: number } = {}): Promise<api.TaskView> {
    const waitMs = options.waitMs ?? 0;
    const path = `${BASE}/tasks/${segment(task)}`;
    return this.transport.json({ method: "GET", path, query: waiting(waitMs), waitMs });
  }

  /** Changes a live task. */
  update(task: string, change: api.PatchRequest): Promise<api.TaskView> {
    const path = `${BASE}/tasks/${segment(task)}`;
    return this.transport.json({ method: "PATCH", path, body: canonical(change), repeatable: true });
  }

  /** Deletes a finished task. */
  async delete(task: string): Promise<void> {
    await this.transport.text({ method: "DELETE", path: `${BASE}/tasks/${segment(task)}` });
  }

  /** Waits for the end of a task, and of those that go on for it, as long as it takes. */
  async wait(task: string, options: { signal?: AbortSignal } = {}): Promise<api.TaskView> {
    for (let id = task; ;) {
      options.signal?.throwIfAborted();
      const view = await this.task(id, { waitMs: WAIT_MS });
      if (view.continued_as) id = view.continued_as;
      else if (isTerminal(view.state)) return view;
    }
  }

  /**
   * The result of a task, when it has ended. Throws its error if it failed, `CancelledError` if it was cancelled, and
   * `NondeterminismError` if it stands still because its code has changed under it.
   */
  async result<T = unknown>(task: string, options: { signal?: AbortSignal } = {}): Promise<T> {
    for (let view = await this.task(task); ;) {
      options.signal?.throwIfAborted();
      throwEnd(view);
      if (view.continued_as) view = await this.task(view.continued_as);
      else if (view.state === "completed") return (await this.value(view.result ?? null)) as T;
      else view = await this.#changed(view, options.signal);
    }
  }

  /** The task when it has ended, or stands still. */
  async #changed(view: api.TaskView, signal?: AbortSignal): Promise<api.TaskView> {
    const of: Follow = { after: view.last_seq, types: ENDS };
    if (signal) of.signal = signal;
    for await (const item of this.follow(view.id, of)) if (item.is === "event") break;
    return await this.task(view.id);
  }

  /** The value itself, where it was too large for its event. */
  async value(value: unknown): Promise<unknown> {
    const blob = (value as { $blob?: api.BlobName } | null)?.$blob;
    if (blob?.media_type !== VALUE) return value;
    return JSON.parse(new TextDecoder().decode(await this.blob(blob.id)));
  }

  /** Follows the events of a task to its end, however often the connection is lost. */
  follow(task: string, options: Follow = {}): AsyncGenerator<Item> {
    return follow(this.transport, task, options);
  }

  /** Follows the events of many tasks, for as long as it is read. */
  feed(options: Feed = {}): AsyncGenerator<Item> {
    return feed(this.transport, options);
  }

  /** A page of the events of a task. */
  events(
    task: string,
    options: { after?: number; types?: string[]; limit?: number } = {},
  ): Promise<api.EventPage> {
    return this.#get(`/tasks/${segment(task)}/events`, { ...options });
  }

  /** A page of the events of many tasks. */
  feedPage(options: Feed & { limit?: number } = {}): Promise<api.FeedPage> {
    return this.#get("/events", { ...options, signal: undefined });
  }

  /** Lets a task stand still at its next step. */
  pause(task: string, reason?: string): Promise<api.TaskView> {
    return this.#post(`/tasks/${segment(task)}/pause`, { reason });
  }

  /** Lets a task go on. */
  resume(task: string): Promise<api.TaskView> {
    return this.#post(`/tasks/${segment(task)}/resume`);
  }

  /** Ends a task. */
  cancel(task: string, reason?: string): Promise<api.TaskView> {
    return this.#post(`/tasks/${segment(task)}/cancel`, { reason });
  }

  /** Sends a task something that it waits for by this name, or will. */
  async sendInput(task: string, name: string, data: unknown = null, id?: string): Promise<api.InputAnswer> {
    const own = id ?? randomUUID();
    return await this.#post(`/tasks/${segment(task)}/input`, { name, data, id: own });
  }

  /** Answers a question of a task. */
  decide(task: string, request: api.DecisionRequest): Promise<api.TaskView> {
    return this.#post(`/tasks/${segment(task)}/decision`, request, { repeatable: false });
  }

  /** Begins a new task with recorded steps of this one. */
  fork(task: string, request: api.ForkRequest = {}): Promise<api.TaskView> {
    return this.#post(`/tasks/${segment(task)}/fork`, request, this.#keyed());
  }

  /** How a finished task ended. */
  output(task: string): Promise<api.OutputView> {
    return this.#get(`/tasks/${segment(task)}/output`);
  }

  /** How far a task has got. */
  progress(task: string): Promise<api.ProgressView> {
    return this.#get(`/tasks/${segment(task)}/progress`);
  }

  /** Who wants what of a task, and what it waits for. */
  controlState(task: string): Promise<api.ControlState> {
    return this.#get(`/tasks/${segment(task)}/control-state`);
  }

  /** The steps of a task. */
  steps(task: string): Promise<Page<api.StepView>> {
    return this.#get(`/tasks/${segment(task)}/steps`);
  }

  /** The attempts of a task. */
  attempts(task: string): Promise<Page<api.AttemptView>> {
    return this.#get(`/tasks/${segment(task)}/attempts`);
  }

  /** A page of the log lines of an attempt. */
  logs(
    task: string,
    attempt: number,
    options: PageOptions & { level?: string } = {},
  ): Promise<Page<api.LogLine>> {
    return this.#get(`/tasks/${segment(task)}/attempts/${attempt}/logs`, { ...options });
  }

  /** The tasks that a task has started. */
  children(task: string, options: PageOptions = {}): Promise<Page<api.TaskView>> {
    return this.#get(`/tasks/${segment(task)}/children`, { ...options });
  }

  /** The receipt of a finished task. */
  receipt(task: string): Promise<api.ReceiptView> {
    return this.#get(`/tasks/${segment(task)}/receipt`);
  }

  /** The whole history of a task, as lines of JSON. */
  export(task: string): Promise<string> {
    const path = `${BASE}/tasks/${segment(task)}/export`;
    return this.transport.text({ method: "GET", path, accept: "application/x-ndjson" });
  }

  /**
   * Checks the whole history of a task here: every hash, and the receipt's signature. Without `keys`, the keys that the server
   * shows are trusted.
   */
  async verify(task: string, options: VerifyOptions = {}): Promise<Verified> {
    const [text, keys] = await Promise.all([this.export(task), options.keys ?? this.jwks()]);
    return verifyExport(text, { ...options, keys });
  }

  // What surrounds the tasks

  /** The tasks that failed for good. */
  deadLetters(filter: TaskFilter = {}): Promise<Page<api.TaskView>> {
    return this.#get("/dead-letters", { ...filter });
  }

  /** Begins a failed task anew, with all that it has recorded. */
  redrive(task: string): Promise<api.TaskView> {
    return this.#post(`/dead-letters/${segment(task)}/redrive`, {}, { ...this.#keyed(), body: undefined });
  }

  /** The queues. */
  queues(): Promise<Page<api.QueueView>> {
    return this.#get("/queues");
  }

  /** A queue. */
  queue(name: string): Promise<api.QueueView> {
    return this.#get(`/queues/${segment(name)}`);
  }

  /** Lets nothing of a queue be claimed. */
  pauseQueue(name: string): Promise<api.QueueView> {
    return this.#post(`/queues/${segment(name)}/pause`, {}, { body: undefined });
  }

  /** Lets a queue be claimed again. */
  resumeQueue(name: string): Promise<api.QueueView> {
    return this.#post(`/queues/${segment(name)}/resume`, {}, { body: undefined });
  }

  /** The kinds of tasks that somebody runs. */
  kinds(): Promise<Page<api.KindView>> {
    return this.#get("/kinds");
  }

  /** A kind of task. */
  kind(name: string): Promise<api.KindView> {
    return this.#get(`/kinds/${segment(name)}`);
  }

  /** The workers. */
  workers(): Promise<Page<api.WorkerView>> {
    return this.#get("/workers");
  }

  /** A worker. */
  worker(id: string): Promise<api.WorkerView> {
    return this.#get(`/workers/${segment(id)}`);
  }

  /** Removes a worker: what it holds is given back at once. */
  async removeWorker(id: string): Promise<void> {
    await this.transport.text({ method: "DELETE", path: `${BASE}/workers/${segment(id)}` });
  }

  /** What waits for a person. */
  inbox(options: PageOptions = {}): Promise<Page<api.InboxItem>> {
    return this.#get("/inbox", { ...options });
  }

  /** The bytes of a blob. */
  blob(id: string): Promise<Uint8Array> {
    return this.transport.bytes({ method: "GET", path: `${BASE}/blobs/${segment(id)}`, accept: "*/*" });
  }

  /** Keeps bytes. What it gives, as an input, result or outcome of a step, keeps them for as long as the task. */
  putBlob(bytes: Uint8Array, mediaType = "application/octet-stream"): Promise<api.BlobView> {
    const call = { method: "POST", path: `${BASE}/blobs`, repeatable: true } as const;
    return this.transport.json({ ...call, body: bytes, mediaType });
  }

  /** Figures. */
  stats(): Promise<api.StatsView> {
    return this.#get("/stats");
  }

  /** What the server is. */
  about(): Promise<api.AboutView> {
    return this.#get("/about");
  }

  /** Whether the server works. */
  health(): Promise<api.HealthView> {
    return this.transport.json({ method: "GET", path: "/health" });
  }

  /** Whether its process lives. */
  live(): Promise<api.HealthView> {
    return this.transport.json({ method: "GET", path: "/health/live" });
  }

  /** Whether it can take work. */
  ready(): Promise<api.HealthView> {
    return this.transport.json({ method: "GET", path: "/health/ready" });
  }

  /** Figures in the form of Prometheus. */
  metrics(): Promise<string> {
    return this.transport.text({ method: "GET", path: "/metrics", accept: "text/plain" });
  }

  /** The public keys that sign receipts. */
  jwks(): Promise<{ keys: JsonWebKey[] }> {
    return this.transport.json({
      method: "GET",
      path: "/.well-known/jwks.json",
      accept: "application/jwk-set+json",
    });
  }

  /** The OpenAPI document. */
  openapi(): Promise<Record<string, unknown>> {
    return this.#get("/openapi.json");
  }
}

/** A public key. */
export type JsonWebKey = { kid?: string; kty: string; crv?: string; x?: string };

/** The request that submits a durable function. */
export function requestOf(task: AnyTask, args: unknown[], options: SubmitOptions): api.TaskRequest {
  const own: SubmitOptions = {};
  if (task.options.policy) own.policy = task.options.policy;
  if (task.options.queue) own.queue = task.options.queue;
  return { ...own, ...options, ...toInput(args), kind: task.kind };
}

/** Whether nothing more happens to a task. */
export function isTerminal(state: api.State): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}

/** Throws how a task ended, where it did not end well, and where it can't go on as it is. */
export function throwEnd(view: api.TaskView): void {
  if (view.state === "failed") {
    const error = view.error ?? { class: "internal", code: "internal", message: "the task failed" };
    throw fromWire(error, { task: view.id });
  }
  if (view.state === "cancelled") {
    throw new CancelledError(`task ${view.id} was cancelled`, { code: "cancelled", task: view.id });
  }
  if (view.state === "paused" && view.paused?.reason === "nondeterminism") {
    const details = view.paused.details as { what?: string; recorded?: unknown; code?: unknown } | undefined;
    const sides = `recorded: ${JSON.stringify(details?.recorded)}, in the code: ${JSON.stringify(details?.code)}`;
    const message = `task ${view.id} is paused: ${details?.what ?? "its code has changed"} (${sides})`;
    throw new NondeterminismError(message, { code: "nondeterminism", details, task: view.id });
  }
}
