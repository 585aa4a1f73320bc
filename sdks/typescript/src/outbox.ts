import type { TaskError as WireError } from "./api/types.js";
import { EverloopError } from "./errors.js";
import type { Transport } from "./http.js";

/** Events of one batch, and their bytes, before it is sent without being asked for. */
const BATCH_EVENTS = 500;
const BATCH_BYTES = 4 * 1024 * 1024;
/** How long a record waits for company. The next step, or the end of the task, comes first when it comes at once. */
const GATHER_MS = 2;

/** How an attempt ends: the last part of the path, and the members of the body. */
export interface End {
  act: "finish" | "fail" | "suspend" | "release";
  members: Record<string, unknown>;
}

/** Why a batch was not taken. */
export type Refused = { is: "lost" } | { is: "refused"; error: WireError };

interface Waiter {
  upto: number;
  resolve: () => void;
}

/** Events of an attempt on their way: numbered batches, one at a time, each sent until it is answered. */
export class Outbox {
  readonly #transport: Transport;
  readonly #path: string;
  readonly #lease: string;
  readonly #worker: () => string;
  readonly #refused: (why: Refused) => void;
  #pending: string[] = [];
  #pushed = 0;
  #sent = 0;
  #batch = 0;
  #pumping: Promise<void> | undefined;
  #waiters: Waiter[] = [];
  #gather: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    transport: Transport,
    path: string,
    lease: string,
    worker: () => string,
    refused: (why: Refused) => void,
  ) {
    this.#transport = transport;
    this.#path = path;
    this.#lease = lease;
    this.#worker = worker;
    this.#refused = refused;
  }

  /** Adds an event, as JSON text. It is durable once `flush` has resolved. */
  push(type: string, data: string): void {
    if (this.#closed) return;
    this.#pending.push(`{"type":${JSON.stringify(type)},"data":${data}}`);
    this.#pushed += 1;
    this.#gather ??= setTimeout(() => {
      this.#gather = undefined;
      this.#pump();
    }, GATHER_MS);
  }

  /** Resolves when everything that was added before is durable; never if the attempt is over. */
  flush(): Promise<void> {
    if (this.#sent >= this.#pushed) return Promise.resolve();
    const upto = this.#pushed;
    return new Promise((resolve) => {
      this.#waiters.push({ upto, resolve });
      this.#pump();
    });
  }

  /** Takes no more events, and sends none. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#gather);
    this.#pending = [];
  }

  /** Ends the attempt, in one commit with what was added last. Gives why that was not taken. */
  async end(end: End): Promise<Refused | undefined> {
    clearTimeout(this.#gather);
    this.#closed = true;
    await this.#pumping;
    for (;;) {
      const events = this.#take();
      const last = this.#pending.length === 0;
      try {
        await this.#send(last ? end.act : "events", events, last ? end.members : {});
      } catch (error) {
        return why(error);
      }
      if (last) return undefined;
    }
  }

  /** Drops what was added and not sent: it might be refused again. */
  forget(): void {
    this.#pending = [];
  }

  #take(): string[] {
    let bytes = 0;
    let many = 0;
    for (const event of this.#pending) {
      bytes += event.length;
      if (many > 0 && (bytes > BATCH_BYTES || many >= BATCH_EVENTS)) break;
      many += 1;
    }
    return this.#pending.splice(0, many);
  }

  #pump(): void {
    if (this.#pumping || this.#closed) return;
    clearTimeout(this.#gather);
    this.#gather = undefined;
    this.#pumping = this.#run().finally(() => {
      this.#pumping = undefined;
    });
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0 && !this.#closed) {
      const events = this.#take();
      try {
        await this.#send("events", events, {});
      } catch (error) {
        this.#refused(why(error));
        return;
      }
      this.#sent += events.length;
      const ready = this.#waiters.filter((waiter) => waiter.upto <= this.#sent);
      this.#waiters = this.#waiters.filter((waiter) => waiter.upto > this.#sent);
      for (const waiter of ready) waiter.resolve();
    }
  }

  async #send(act: string, events: string[], members: Record<string, unknown>): Promise<void> {
    const head = JSON.stringify({ ...members, worker: this.#worker(), batch: this.#batch + 1 });
    const body = events.length > 0 ? `${head.slice(0, -1)},"events":[${events.join(",")}]}` : head;
    await this.#transport.text({
      method: "POST",
      path: `${this.#path}/${act}`,
      headers: { "everloop-lease": this.#lease },
      body,
      repeatable: true,
      patient: true,
    });
    this.#batch += 1;
  }
}

function why(error: unknown): Refused {
  if (!(error instanceof EverloopError)) {
    return { is: "refused", error: { class: "internal", code: "internal", message: String(error) } };
  }
  if (error.code === "lease_lost" || error.code === "not_found") return { is: "lost" };
  return { is: "refused", error: { class: "validation", code: error.code, message: error.message } };
}
