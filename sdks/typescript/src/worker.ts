import type {
  AssignmentView,
  ClaimAnswer,
  JournalPage,
  RegisterRequest,
  RenewAnswer,
  SignalsAnswer,
  SignalView,
  WorkerView,
} from "./api/types.js";
import { Attempt, type Control } from "./attempt.js";
import { EverloopError } from "./errors.js";
import { type Endpoint, pause, Transport, waiting } from "./http.js";
import { offerOf } from "./offer.js";
import { outside } from "./scope.js";
import { fixedPlace, fromEnvironment } from "./server.js";
import { type AnyTask, allTasks } from "./task.js";

/** How long a request for tasks or signals is held open. */
const POLL_MS = 30_000;
const HEARTBEAT_MS = 20_000;
const LEASE_TICK_MS = 250;
/** How long the renewal of leases may take. */
const ANSWER_MS = 5_000;
/** Words about tasks that have not come yet, at most: a word may be faster than its task. */
const EARLY = 256;
const PROTOCOL = 1;
/** The capability of knowing what the field `replay` of an assignment asks for. */
const REPLAY = "replay";

/** How a worker is set up. */
export interface WorkerOptions {
  /** What it runs; every task that was defined in the process when not given. */
  tasks?: AnyTask[];
  /** The server; EVERLOOP_URL, or http://127.0.0.1:7420, when not given. */
  url?: string;
  /** The key to show; EVERLOOP_API_KEY when not given. */
  apiKey?: string;
  /** A name for people. */
  name?: string;
  /** Queues in the order in which they are tried. */
  queues?: string[];
  /** What it can do beyond its kinds. */
  capabilities?: string[];
  /** Tasks at the same time. 16 when not given. */
  maxConcurrentTasks?: number;
  /** How long running tasks may go on when the worker stops, in milliseconds, before they are given back. 10,000 when not given. */
  drainMs?: number;
}

/** What those who run a worker inside of something else know of it. */
export interface WorkerHooks {
  transport?: Transport;
  /** Told the worker's id, each time it is registered. */
  registered?: (id: string) => void;
}

/** Claims tasks, runs them, renews their leases and listens for signals. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #hooks: WorkerHooks;
  readonly #transport: Transport;
  readonly #tasks: Map<string, AnyTask>;
  readonly #attempts = new Map<string, { attempt: Attempt; done: Promise<void> }>();
  readonly #early = new Map<string, SignalView>();
  /** It takes no more tasks. */
  readonly #stop = new AbortController();
  /** Nothing that it holds goes on any more. */
  readonly #drained = new AbortController();
  #id = "";
  #request = 0;
  #registering: Promise<void> | undefined;
  #room: (() => void) | undefined;
  #timers: NodeJS.Timeout[] = [];
  #renewing = false;
  #loops: Promise<void>[] = [];
  #stopped: Promise<void> | undefined;

  constructor(options: WorkerOptions = {}, hooks: WorkerHooks = {}) {
    this.#options = options;
    this.#hooks = hooks;
    this.#transport = hooks.transport ?? new Transport(fixedPlace(given(options)));
    this.#tasks = new Map((options.tasks ?? allTasks()).map((task) => [task.kind, task]));
  }

  /** Its id, once it is registered. */
  get id(): string {
    return this.#id;
  }

  /** The kinds that it runs. */
  get kinds(): string[] {
    return [...this.#tasks.keys()];
  }

  /** Registers, and begins to work. Resolves when the server knows the worker. */
  async start(): Promise<void> {
    await outside(async () => {
      await this.#register();
      this.#loops = [this.#claims(), this.#signals()];
      this.#timers = [
        setInterval(() => void this.#heartbeat(), HEARTBEAT_MS),
        setInterval(() => void this.#renew(), LEASE_TICK_MS),
      ];
    });
  }

  /** Works until SIGTERM or SIGINT comes, then lets running tasks go on for a while, and gives back the rest. */
  async serve(): Promise<void> {
    await this.start();
    await new Promise<void>((resolve) => {
      const stop = () => {
        process.off("SIGTERM", stop).off("SIGINT", stop);
        resolve();
      };
      process.on("SIGTERM", stop).on("SIGINT", stop);
      this.#stop.signal.addEventListener("abort", stop);
    });
    await this.stop();
  }

  /** Takes no more tasks, lets the running ones come to a step, gives back the rest, and leaves. */
  stop(): Promise<void> {
    this.#stopped ??= this.#leave();
    return this.#stopped;
  }

  async #leave(): Promise<void> {
    this.#stop.abort(new Error("the worker stops"));
    for (const { attempt } of this.#attempts.values())
      if (attempt.control === "run") attempt.tell("handback");
    const ended = Promise.all(Array.from(this.#attempts.values(), ({ done }) => done));
    await Promise.race([ended, pause(this.#options.drainMs ?? 10_000, this.#drained.signal)]);
    this.#drained.abort();
    for (const timer of this.#timers) clearInterval(timer);
    for (const { attempt } of this.#attempts.values()) attempt.tell("lost");
    await Promise.allSettled(this.#loops);
    const path = `/api/v1/workers/${this.#id}`;
    // What it still holds is given back at once; a server that is gone does that by itself.
    await this.#transport.text({ method: "DELETE", path, repeatable: false }).catch(() => undefined);
  }

  #register(): Promise<void> {
    this.#registering ??= this.#registerNow().finally(() => {
      this.#registering = undefined;
    });
    return this.#registering;
  }

  async #registerNow(): Promise<void> {
    const request: RegisterRequest = {
      capabilities: [...new Set([...(this.#options.capabilities ?? []), REPLAY])].sort(),
      kinds: Array.from(this.#tasks.values(), offerOf),
      max_concurrent_tasks: this.#options.maxConcurrentTasks ?? 16,
      name: this.#options.name ?? "typescript",
      protocol: PROTOCOL,
      version: process.version,
    };
    if (this.#options.queues) request.queues = this.#options.queues;
    const worker = await this.#transport.json<WorkerView>({
      method: "POST",
      path: "/api/v1/workers",
      body: JSON.stringify(request),
      repeatable: true,
      patient: true,
      signal: this.#stop.signal,
    });
    this.#id = worker.id;
    this.#hooks.registered?.(worker.id);
  }

  /** The server does not know us any more: what we held is lost, and we begin anew. */
  async #anew(id: string): Promise<void> {
    if (this.#id !== id) return;
    for (const { attempt } of this.#attempts.values()) attempt.tell("lost");
    await this.#register();
  }

  async #claims(): Promise<void> {
    const { signal } = this.#stop;
    const isStopped = () => signal.aborted;
    const most = this.#options.maxConcurrentTasks ?? 16;
    // A request whose answer was lost is repeated under its number: what it was given is given again.
    let repeat = false;
    while (!signal.aborted) {
      const max = most - this.#attempts.size;
      if (max <= 0) {
        await new Promise<void>((resolve) => {
          this.#room = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
        continue;
      }
      if (!repeat) this.#request += 1;
      repeat = false;
      const id = this.#id;
      const asked = performance.now();
      try {
        const answer = await this.#transport.json<ClaimAnswer>({
          method: "POST",
          path: `/api/v1/workers/${id}/claim`,
          query: waiting(POLL_MS),
          waitMs: POLL_MS,
          body: JSON.stringify({ max, request: this.#request }),
          repeatable: true,
          signal,
        });
        const held = await this.#confirm(answer.assignments, asked);
        // Who leaves gives back what came too late.
        if (isStopped()) return;
        for (const assignment of held.assignments) await this.#begin(assignment, held.renewed);
      } catch (error) {
        if (isStopped()) return;
        if (error instanceof EverloopError && error.code === "not_found") {
          await this.#anew(id).catch(() => undefined);
          continue;
        }
        repeat = true;
        await pause(500, signal);
      }
    }
  }

  /**
   * Leases may be older than their answer: it may have been long on its way. They count from when they were asked for; those
   * that would be old by that are renewed before anything is begun.
   */
  async #confirm(
    assignments: AssignmentView[],
    asked: number,
  ): Promise<{ assignments: AssignmentView[]; renewed: number }> {
    const now = performance.now();
    const old = (of: AssignmentView) => of.lease_ttl_ms != null && now - asked >= of.lease_ttl_ms / 3;
    if (!assignments.some(old)) return { assignments, renewed: asked };
    const lost = await this.#renewed(assignments.map(({ task, lease }) => ({ task, lease })));
    return { assignments: assignments.filter(({ task }) => !lost.includes(task)), renewed: now };
  }

  async #renewed(leases: { task: string; lease: string }[]): Promise<string[]> {
    const answer = await this.#transport.json<RenewAnswer>({
      method: "POST",
      path: `/api/v1/workers/${this.#id}/renew`,
      body: JSON.stringify({ leases }),
      repeatable: true,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return answer.lost;
  }

  async #begin(assignment: AssignmentView, renewed: number): Promise<void> {
    const { task } = assignment;
    const running = this.#attempts.get(task)?.attempt;
    // A claim that was repeated gives again what was begun already.
    if (running?.assignment.attempt === assignment.attempt) return;
    // Word of its loss may come later, and would not be for this attempt.
    running?.tell("lost");
    await this.#wholeJournal(assignment);
    const host = { transport: this.#transport, worker: () => this.#id };
    const attempt = new Attempt(host, assignment, renewed);
    const run = attempt.run(this.#tasks.get(assignment.spec.kind)).catch((error: unknown) => {
      console.error(`everloop: the end of an attempt of ${task} could not be written:`, error);
    });
    const entry = { attempt, done: run };
    entry.done = run.then(() => {
      if (this.#attempts.get(task) === entry) this.#attempts.delete(task);
      this.#room?.();
    });
    this.#attempts.set(task, entry);
    const early = this.#early.get(`${task}/${assignment.attempt}`);
    if (early) this.#tell(early);
  }

  async #wholeJournal(assignment: AssignmentView): Promise<void> {
    let after = assignment.journal_after;
    while (after !== undefined && after !== null) {
      const from = after;
      const page = await this.#transport.json<JournalPage>({
        method: "GET",
        path: `/api/v1/tasks/${assignment.task}/attempts/${assignment.attempt}/journal`,
        query: { after: from },
        headers: { "everloop-lease": assignment.lease },
      });
      assignment.journal.push(...page.items);
      after = page.next_after != null && page.next_after > from ? page.next_after : undefined;
    }
  }

  async #signals(): Promise<void> {
    const { signal } = this.#drained;
    const isStopped = () => signal.aborted;
    while (!signal.aborted) {
      const id = this.#id;
      try {
        const answer = await this.#transport.json<SignalsAnswer>({
          method: "GET",
          path: `/api/v1/workers/${id}/signals`,
          query: waiting(POLL_MS),
          waitMs: POLL_MS,
          signal,
        });
        for (const word of answer.signals) {
          if (this.#tell(word)) continue;
          this.#early.set(`${word.task}/${word.attempt}`, word);
          const [oldest] = this.#early.keys();
          if (this.#early.size > EARLY && oldest !== undefined) this.#early.delete(oldest);
        }
      } catch (error) {
        if (isStopped()) return;
        const isUnknown = error instanceof EverloopError && error.code === "not_found";
        if (isUnknown && !this.#stop.signal.aborted) await this.#anew(id).catch(() => undefined);
        else await pause(500, signal);
      }
    }
  }

  #tell(word: SignalView): boolean {
    const attempt = this.#attempts.get(word.task)?.attempt;
    if (!attempt || attempt.assignment.attempt !== word.attempt) return false;
    const controls: Record<SignalView["signal"], Control> = {
      pause: "pause",
      // Who goes on does so elsewhere, once this worker stops.
      resume: this.#stop.signal.aborted ? "handback" : "run",
      cancel: "cancel",
      lease_lost: "lost",
    };
    attempt.tell(controls[word.signal], word.grace_ms ?? undefined);
    return true;
  }

  async #heartbeat(): Promise<void> {
    const path = `/api/v1/workers/${this.#id}/heartbeat`;
    await this.#transport
      .text({ method: "POST", path, body: "{}", repeatable: false })
      .catch(() => undefined);
  }

  /** Renews leases that are a third through, and stops what was not renewed for two thirds. */
  async #renew(): Promise<void> {
    const now = performance.now();
    const due: Attempt[] = [];
    for (const { attempt } of this.#attempts.values()) {
      const life = attempt.assignment.lease_ttl_ms;
      if (life == null) continue;
      if (attempt.isExpired(now)) attempt.tell("lost");
      else if (now - attempt.renewedAt >= life / 3) due.push(attempt);
    }
    if (due.length === 0 || this.#renewing) return;
    this.#renewing = true;
    try {
      const lost = await this.#renewed(
        due.map(({ task, assignment }) => ({ task, lease: assignment.lease })),
      );
      for (const attempt of due) {
        if (lost.includes(attempt.task)) attempt.tell("lost");
        else attempt.renewedAt = now;
      }
    } catch {
      // They are asked for again with the next tick, while they last.
    } finally {
      this.#renewing = false;
    }
  }
}

function given(options: WorkerOptions): Endpoint {
  const known = fromEnvironment();
  const endpoint: Endpoint = { url: options.url ?? known.url };
  const apiKey = options.apiKey ?? known.apiKey;
  return apiKey === undefined ? endpoint : { ...endpoint, apiKey };
}
