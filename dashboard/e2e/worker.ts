import type { AssignmentView, ClaimAnswer, Wait, WorkerView } from "../src/api/types";
import type { Server } from "./server";

/** A worker of one kind that does what the test says, over the worker protocol (docs/worker-protocol.md). */
export class Worker {
  readonly #server: Server;
  readonly #id: string;
  #requests = 0;

  private constructor(server: Server, id: string) {
    this.#server = server;
    this.#id = id;
  }

  static async register(server: Server, kind: string): Promise<Worker> {
    const offer = { name: kind, protocol: 1, kinds: [{ kind, versions: [1] }], max_concurrent_tasks: 1 };
    return new Worker(server, (await server.post<WorkerView>("/api/v1/workers", offer)).id);
  }

  /** Waits for the next attempt. */
  async claim(): Promise<Attempt> {
    this.#requests += 1;
    const body = { max: 1, request: this.#requests };
    const path = `/api/v1/workers/${this.#id}/claim?wait=30s`;
    const { assignments } = await this.#server.post<ClaimAnswer>(path, body);
    if (!assignments[0]) throw new Error("there was nothing to claim");
    return new Attempt(this.#server, this.#id, assignments[0]);
  }
}

/** One attempt, with what was recorded before it. */
export class Attempt {
  readonly #server: Server;
  readonly #worker: string;
  readonly #of: AssignmentView;
  #batch = 0;

  constructor(server: Server, worker: string, of: AssignmentView) {
    this.#server = server;
    this.#worker = worker;
    this.#of = of;
  }

  /** The data of the newest recorded event of a type. */
  recorded<T>(type: string): T | undefined {
    const found = this.#of.journal.filter((item) => (item as { type: string }).type === type).at(-1);
    return (found as { data: T } | undefined)?.data;
  }

  /** Records a step, and waits until it is on the disk. */
  step(step: string, result: unknown): Promise<unknown> {
    const data = { attempt: this.#of.attempt, intent: "0".repeat(64), kind: "step", result, step };
    const started_at = new Date().toISOString();
    return this.#send("events", { events: [{ type: "step.completed", data: { ...data, started_at } }] });
  }

  /** Asks a person, and waits for the decision. */
  ask(id: string, prompt: string, choices: string[], details: unknown): Promise<unknown> {
    const events = [{ type: "approval.requested", data: { choices, details, id, prompt } }];
    const wait: Wait = { decision: { id } };
    return this.#send("suspend", { events, for: wait });
  }

  /** Stands still: the code does something else than what was recorded. */
  differ(step: string, recorded: unknown, code: unknown): Promise<unknown> {
    const details = { code, recorded, step, what: "its arguments are others" };
    return this.#send("suspend", { paused: { by: "", reason: "nondeterminism", details } });
  }

  finish(result: unknown): Promise<unknown> {
    return this.#send("finish", { result });
  }

  #send(what: string, body: object): Promise<unknown> {
    this.#batch += 1;
    const path = `/api/v1/tasks/${this.#of.task}/attempts/${this.#of.attempt}/${what}`;
    const lease = { "everloop-lease": this.#of.lease };
    return this.#server.post(path, { ...body, worker: this.#worker, batch: this.#batch }, lease);
  }
}
