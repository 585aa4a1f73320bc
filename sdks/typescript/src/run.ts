import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TaskRequest, TaskView } from "./api/types.js";
import { canonical } from "./canonical.js";
import { Client, requestOf, type SubmitOptions } from "./client.js";
import { EverloopError, ValidationError } from "./errors.js";
import type { Item } from "./follow.js";
import { type Place, Transport } from "./http.js";
import { currentFrame } from "./scope.js";
import { dataFolder, fixedPlace, fromEnvironment, LocalServer } from "./server.js";
import { type AnyTask, allTasks, type Task } from "./task.js";
import { Worker } from "./worker.js";

/** How a task is run. */
export interface RunOptions extends SubmitOptions {
  /** A failure of an earlier run under the same key is not thrown: what it has recorded is kept, and the rest is tried anew. */
  retryFailed?: boolean;
  /** Where its server keeps its data; see `dataFolder`. */
  dataDir?: string;
  /** Called with every event and frame of the task while it is waited for. */
  onItem?: (item: Item) => void;
  /** Stops waiting. The task itself goes on. */
  signal?: AbortSignal;
}

/**
 * Runs a durable function to its end, and gives its result or throws its error. Called again with the same key, it goes on where
 * it was, or gives the result that there is.
 *
 * With EVERLOOP_URL set, that server has the task. Else it is the one that runs in the project's folder `.everloop`, or one that
 * is started for as long as this process lives.
 */
export async function run<Args extends unknown[], Result>(
  task: Task<Args, Result>,
  args: Args,
  options: RunOptions = {},
): Promise<Awaited<Result>> {
  if (currentFrame()) {
    throw new ValidationError("run can't be called inside of a task: use startChild or callChild", {
      code: "inside_task",
    });
  }
  const { retryFailed, dataDir, signal, onItem, ...request } = options;
  const runtime = Runtime.of(process.env.EVERLOOP_URL ? undefined : (dataDir ?? dataFolder()));
  await runtime.begin(task);
  try {
    const view = await runtime.submit(task, args, request, retryFailed ?? false);
    return (await runtime.result(view.id, onItem, signal)) as Awaited<Result>;
  } finally {
    await runtime.end();
  }
}

/** A client of the server that `run` uses. */
export function connect(options: { dataDir?: string } = {}): Client {
  const folder = process.env.EVERLOOP_URL ? undefined : (options.dataDir ?? dataFolder());
  return new Client({}, folder === undefined ? undefined : LocalServer.of(folder));
}

const runtimes = new Map<string, Runtime>();

/** What this process has for one server: a client, and a worker for as long as something runs. */
class Runtime {
  readonly #place: Place;
  readonly #folder: string | undefined;
  readonly #client: Client;
  #runs = 0;
  #worker: Promise<Worker> | undefined;
  #extra: Promise<Worker>[] = [];
  #kinds = new Set<string>();
  /** The words that were left of our workers. */
  #files: string[] = [];

  private constructor(folder: string | undefined) {
    this.#folder = folder;
    this.#place = folder === undefined ? fixedPlace(fromEnvironment()) : LocalServer.of(folder);
    this.#client = new Client({}, this.#place);
  }

  static of(folder: string | undefined): Runtime {
    const name = folder ?? JSON.stringify(fromEnvironment());
    const runtime = runtimes.get(name) ?? new Runtime(folder);
    runtimes.set(name, runtime);
    return runtime;
  }

  /** Makes sure that somebody here runs the kind. */
  async begin(task: AnyTask): Promise<void> {
    this.#runs += 1;
    try {
      if (!this.#worker) {
        this.#kinds = new Set(allTasks().map((one) => one.kind));
        this.#worker = this.#start(allTasks());
      } else if (!this.#kinds.has(task.kind)) {
        // It was defined after the others had been offered.
        this.#kinds.add(task.kind);
        this.#extra.push(this.#start([task]));
      }
      await Promise.all([this.#worker, ...this.#extra]);
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  /** Lets the worker go when nothing runs any more. */
  async end(): Promise<void> {
    this.#runs -= 1;
    if (this.#runs > 0) return;
    const workers = this.#worker ? [this.#worker, ...this.#extra] : [];
    this.#worker = undefined;
    this.#extra = [];
    const files = this.#files.splice(0);
    for (const worker of await Promise.allSettled(workers)) {
      if (worker.status === "rejected") continue;
      await worker.value.stop();
    }
    for (const file of files) rmSync(file, { force: true });
  }

  async #start(tasks: AnyTask[]): Promise<Worker> {
    const transport = new Transport(this.#place);
    await this.#bury(transport);
    const worker = new Worker(
      { tasks, name: `run ${process.pid}` },
      {
        transport,
        registered: (id) => this.#sign(id),
      },
    );
    await worker.start();
    return worker;
  }

  /** Leaves word of whose worker it is, for the next script if this one is killed. */
  #sign(worker: string): void {
    if (this.#folder === undefined) return;
    mkdirSync(join(this.#folder, "workers"), { recursive: true });
    const { pid } = process;
    const text = JSON.stringify({ pid, start: startOf(pid), boot: bootId(), worker });
    const file = join(this.#folder, "workers", `${worker}.json`);
    this.#files.push(file);
    writeFileSync(file, text);
  }

  /** Removes the workers whose process is gone: what they held is given back at once. */
  async #bury(transport: Transport): Promise<void> {
    if (this.#folder === undefined) return;
    for (const name of list(join(this.#folder, "workers"))) {
      const file = join(this.#folder, "workers", name);
      const known = read(file);
      if (!known || lives(known)) continue;
      const path = `/api/v1/workers/${known.worker}`;
      try {
        await transport.text({ method: "DELETE", path, repeatable: true });
      } catch (error) {
        if (!(error instanceof EverloopError && error.problem)) throw error;
        // The server does not know it any more.
      }
      rmSync(file, { force: true });
    }
  }

  async submit(
    task: AnyTask,
    args: unknown[],
    request: SubmitOptions,
    retryFailed: boolean,
  ): Promise<TaskView> {
    const wanted = requestOf(task, args, request);
    const view = await this.#client.submit(wanted).catch((error: unknown) => this.#successor(wanted, error));
    return view.state === "failed" && retryFailed ? await this.#client.redrive(view.id) : view;
  }

  /**
   * The task that has the key by now: one that goes on for the task of this very request, or does it again. The server knows
   * that only of the request's own task.
   */
  async #successor(wanted: TaskRequest, error: unknown): Promise<TaskView> {
    if (!(error instanceof EverloopError) || error.code !== "idempotency_conflict" || !wanted.key)
      throw error;
    const holder = await this.#client.task(`key:${wanted.key}`);
    let first = holder;
    for (let before: string | null | undefined; ; first = await this.#client.task(before)) {
      before = first.continues ?? first.forked_from?.task;
      if (!before) break;
    }
    const same = first.id !== holder.id && first.kind === wanted.kind;
    if (same && canonical({ of: first.input }) === canonical({ of: wanted.input })) return holder;
    throw error;
  }

  async result(id: string, onItem?: (item: Item) => void, signal?: AbortSignal): Promise<unknown> {
    const given = signal ? { signal } : {};
    if (!onItem) return await this.#client.result(id, given);
    const enough = new AbortController();
    const show = async () => {
      for await (const item of this.#client.follow(id, { frames: true, signal: enough.signal })) onItem(item);
    };
    const shown = show();
    try {
      const result = await this.#client.result(id, given);
      await shown;
      return result;
    } finally {
      enough.abort();
      await shown.catch(() => undefined);
    }
  }
}

interface Signed {
  pid: number;
  /** A number where another SDK wrote it so. */
  start?: string | number | null;
  boot?: string | null;
  worker: string;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".json"));
  } catch {
    return [];
  }
}

function read(file: string): Signed | undefined {
  try {
    const known = JSON.parse(readFileSync(file, "utf8")) as Signed;
    return /^wkr_[0-9a-z]+$/.test(known.worker) && Number.isInteger(known.pid) ? known : undefined;
  } catch {
    return undefined;
  }
}

function lives(known: Signed): boolean {
  try {
    process.kill(known.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const [boot, start] = [bootId(), startOf(known.pid)];
  // A number that another process has by now.
  if (boot !== undefined && known.boot != null && boot !== known.boot) return false;
  return start === undefined || known.start == null || start === `${known.start}`;
}

/** When a process began, where the platform says it: field 22 of its stat. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}
