import type { AssignmentView, JournalItem, OnUnknown, Wait, TaskError as WireError } from "./api/types.js";
import { canonical, NotJson } from "./canonical.js";
import { CancelledError, EverloopError, fromWire, toWire, ValidationError } from "./errors.js";
import { pause, type Transport } from "./http.js";
import { idOf, isJournal, Journal, type Mismatch } from "./journal.js";
import { type End, Outbox, type Refused } from "./outbox.js";
import { type Frame, type Leaf, never, Scope, within } from "./scope.js";
import type { AnyTask } from "./task.js";

/** What an attempt was last told. */
export type Control = "run" | "pause" | "handback" | "cancel" | "timeout" | "lost";

/** The media type of a value that was too large for its event. */
const VALUE = "application/vnd.everloop.value+json";
/** What is larger is put aside before its event is written: a request has room for 16 MiB. */
const ASIDE_BYTES = 4 * 1024 * 1024;
const GRACE_MS = 10_000;
const PROGRESS_MS = 100;
const FRAME_MS = 10;

/** What a worker does for its attempts. */
export interface Host {
  readonly transport: Transport;
  readonly worker: () => string;
}

/** One attempt: run to its end, and the end written. */
export class Attempt {
  readonly assignment: AssignmentView;
  readonly outbox: Outbox;
  journal: Journal;
  root: Scope;
  /** When the lease was last renewed, by the monotonic clock: before the server was asked, never after. */
  renewedAt: number;
  #control: Control = "run";
  #leaving: "pause" | "handback" | undefined;
  #graceMs = GRACE_MS;
  #over = false;
  /** What a run of the code begins with, as JSON texts: whatever the code does to what it is given, the next run is given the same. */
  readonly #items: string[] = [];
  #hasNews = false;
  #isLooking = false;
  #progressAt = Number.NEGATIVE_INFINITY;
  readonly #host: Host;
  readonly #stop = new AbortController();
  readonly #changed = new Set<() => void>();
  #end!: (end: End | undefined) => void;
  readonly #ended: Promise<End | undefined>;
  #graceTimer: NodeJS.Timeout | undefined;
  #timeoutTimer: NodeJS.Timeout | undefined;
  #task: AnyTask | undefined;
  #frames: string[] = [];
  #showing: Promise<void> | undefined;

  constructor(host: Host, assignment: AssignmentView, renewedAt: number) {
    this.assignment = assignment;
    this.renewedAt = renewedAt;
    this.#host = host;
    this.journal = new Journal(assignment.journal);
    if (this.replay === "always") this.#items = assignment.journal.map((item) => JSON.stringify(item));
    const path = `/api/v1/tasks/${assignment.task}/attempts/${assignment.attempt}`;
    const refused = (why: Refused) => this.#refused(why);
    this.outbox = new Outbox(host.transport, path, assignment.lease, host.worker, refused);
    this.root = new Scope(this, "");
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get task(): string {
    return this.assignment.task;
  }

  /** How it is to be replayed: without anything new, or again after every step. */
  get replay(): AssignmentView["replay"] {
    return this.assignment.replay;
  }

  get transport(): Transport {
    return this.#host.transport;
  }

  get control(): Control {
    return this.#control;
  }

  /** Aborted when the task shall stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Runs the code of the task, and writes how it ended. */
  async run(task: AnyTask | undefined): Promise<void> {
    const limit = this.assignment.spec.policy?.timeout_ms;
    if (limit !== undefined && limit !== null) {
      this.#timeoutTimer = setTimeout(() => this.tell("timeout"), limit);
    }
    this.#task = task;
    this.#begin();
    const end = await this.#ended;
    clearTimeout(this.#timeoutTimer);
    clearTimeout(this.#graceTimer);
    this.root.release();
    if (end === undefined) return this.outbox.close();
    this.#stop.abort(this.#cancelled());
    await this.#showing;
    const refused = await this.outbox.end(end);
    if (refused?.is === "refused") {
      // What could not be written is the end of the try, if that can be.
      this.outbox.forget();
      await this.outbox.end({ act: "fail", members: { error: refused.error } });
    }
  }

  /** Lets the code begin at its top. */
  #begin(): void {
    const { root } = this;
    // The code of an earlier run has no say any more.
    const ended = (end: () => End) => {
      if (this.root === root) this.finish(end());
    };
    void this.#code(root).then(
      (end) => ended(() => end),
      (error: unknown) => ended(() => this.#failure(error)),
    );
  }

  /** Whether the code is run again before the attempt may end: something was recorded that it was not replayed over yet. */
  replaysAgain(): boolean {
    if (!this.#hasNews || this.#over) return false;
    this.#hasNews = false;
    this.root.abandon();
    this.root = new Scope(this, "");
    this.journal = new Journal(JSON.parse(`[${this.#items.join(",")}]`) as JournalItem[]);
    this.#begin();
    return true;
  }

  async #code(root: Scope): Promise<End> {
    const { kind, input: given } = this.assignment.spec;
    const task = this.#task;
    if (!task) throw new ValidationError(`this worker does not run kind ${kind}`, { code: "unknown_kind" });
    const input = await this.resolve(this.replay === "always" ? structuredClone(given) : given);
    const result = await within({ scope: root }, () => task.call(input));
    if (this.root !== root) return await never();
    let text: string;
    try {
      text = canonical(result ?? null);
    } catch (error) {
      throw notJson(`the result of task ${kind}`, error);
    }
    root.settle();
    if (this.replaysAgain()) return await never();
    const left = this.journal.unreached();
    if (left) return paused(left);
    return { act: "finish", members: { result: await this.aside(text) } };
  }

  #failure(thrown: unknown): End {
    // The step that has failed is run again with the next try of the task; of others, the code knows how they failed.
    const causes = causesOf(thrown);
    for (const held of this.root.takeHeld()) held.write(!causes.includes(held.error));
    if (this.#control === "timeout") return { act: "fail", members: { error: this.#timedOut() } };
    const cancelled: End = { act: "finish", members: { cancelled: true } };
    const error = toWire(thrown);
    if (this.#control === "cancel") {
      const stays = error.class !== "cancelled" && error.class !== "internal" && error.class !== "transient";
      if (!stays) return cancelled;
    }
    if (thrown instanceof EverloopError && thrown.step !== undefined) {
      // The failure is recorded, and every replay would come to it again.
      const details: Record<string, unknown> = { recorded_step: thrown.step, class: error.class };
      if (error.details !== undefined) details.details = error.details;
      return { act: "fail", members: { error: { ...error, class: "validation", details } } };
    }
    return { act: "fail", members: { error } };
  }

  /** Ends the attempt, once. */
  finish(end: End | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#end(end);
  }

  /** The code does not follow its journal: the task stands still, with both sides shown. */
  mismatch<T>(of: Mismatch): Promise<T> {
    this.finish(paused(of));
    return never();
  }

  #refused(why: Refused): void {
    if (why.is === "lost") this.tell("lost");
    else this.finish({ act: "fail", members: { error: why.error } });
  }

  /** Tells the attempt something. Who was told to stop does not go on again. */
  tell(control: Control, graceMs?: number): void {
    const stopped = this.#control === "cancel" || this.#control === "timeout" || this.#control === "lost";
    if (this.#over || (stopped && control !== "lost")) return;
    this.#control = control;
    if (control === "lost") {
      this.#stop.abort(this.#cancelled());
      this.finish(undefined);
    } else if (control === "cancel" || control === "timeout") {
      this.#graceMs = graceMs ?? this.assignment.spec.policy?.grace_ms ?? GRACE_MS;
      this.#graceTimer = setTimeout(() => this.finish(this.#failure(this.#cancelled())), this.#graceMs);
      this.#stop.abort(this.#cancelled());
      this.root.stopWaits(() => this.#cancelled());
    }
    for (const heard of [...this.#changed]) heard();
    this.look();
  }

  /** Calls when the attempt is told something. */
  onTold(heard: () => void): () => void {
    this.#changed.add(heard);
    return () => this.#changed.delete(heard);
  }

  #cancelled(): EverloopError {
    if (this.#control === "timeout") return fromWire(this.#timedOut());
    const message = this.#control === "lost" ? "the attempt is over" : "the task was cancelled";
    return new CancelledError(message, { code: "cancelled" });
  }

  #timedOut(): WireError {
    const limit = this.assignment.spec.policy?.timeout_ms ?? 0;
    const message = `attempt ${this.assignment.attempt} ran longer than ${limit} ms`;
    return { class: "cancelled", code: "timeout", message };
  }

  /** Whether the lease can't be counted on any more. */
  isExpired(now: number): boolean {
    const life = this.assignment.lease_ttl_ms;
    return life !== undefined && life !== null && now - this.renewedAt >= (life * 2) / 3;
  }

  /**
   * What stands between two steps: whoever wants the task to stop is heard here. Gives whether the code goes on; where it does
   * not, it must never come back.
   */
  goesOn(frame: Frame): boolean {
    if (this.#over || frame.scope.isAbandoned) return false;
    if (this.isExpired(performance.now())) this.tell("lost");
    switch (this.#control) {
      case "run":
        return true;
      case "cancel":
      case "timeout":
        if (frame.cleanup) return true;
        throw this.#cancelled();
      case "pause":
      case "handback":
        // The code has stopped here, and does not go on in this attempt, whatever is said later.
        this.#leaving ??= this.#control;
        this.look();
        return false;
      case "lost":
        return false;
    }
  }

  /** Looks, once the code has come to rest, whether anything is left to do in this attempt. */
  look(): void {
    if (this.#isLooking || this.#over) return;
    this.#isLooking = true;
    setImmediate(() => {
      this.#isLooking = false;
      if (this.#over) return;
      const told = this.#control === "pause" || this.#control === "handback" ? this.#control : undefined;
      const leaving = this.#leaving ?? told;
      if (leaving) {
        // What runs may come to its end: its outcome is worth keeping.
        if (this.root.running === 0) this.finish(leaving === "pause" ? requested() : released());
      } else if (this.root.isQuiet && !this.replaysAgain()) {
        this.#suspend(this.root.waits);
      }
    });
  }

  #suspend(leaves: Leaf[]): void {
    const [first] = leaves;
    if (!first) return;
    const waits = leaves.filter((leaf): leaf is Wait => !("replayed" in leaf));
    if (waits.length < leaves.length) {
      const at = leaves.map(idOf).sort();
      const details = { ahead: this.journal.unreachedCount, at };
      this.finish({ act: "suspend", members: { paused: { by: "", reason: "replayed", details } } });
    } else this.finish({ act: "suspend", members: { for: waits.length === 1 ? first : { any: waits } } });
  }

  /** Writes an event. */
  push(type: string, data: Record<string, unknown>): void {
    this.write(type, JSON.stringify(data));
  }

  /** The same, of JSON text. A dry run says nothing. */
  write(type: string, data: string): void {
    if (this.replay === "only") return;
    if (this.replay === "always" && isJournal(type)) {
      this.#items.push(`{"type":${JSON.stringify(type)},"data":${data}}`);
      this.#hasNews = true;
    }
    this.outbox.push(type, data);
  }

  /** Records an outcome, whose result is JSON text. */
  record(step: string, kind: string, intent: string, result: string, startedAt: string): number {
    const data = { attempt: this.assignment.attempt, intent, kind, started_at: startedAt, step };
    this.write("step.completed", `${JSON.stringify(data).slice(0, -1)},"result":${result}}`);
    return this.journal.recordedNow();
  }

  /** The task's policy before a step's own. */
  onUnknown(own: OnUnknown): OnUnknown {
    return this.assignment.spec.policy?.on_unknown ?? own;
  }

  /** The value itself, where it was too large for its event. */
  async resolve(value: unknown): Promise<unknown> {
    const blob = (value as { $blob?: { id: string; media_type: string } } | null | undefined)?.$blob;
    if (!blob || blob.media_type !== VALUE) return value;
    const path = `/api/v1/blobs/${blob.id}`;
    return JSON.parse(await this.transport.text({ method: "GET", path, accept: "*/*", patient: true }));
  }

  /** The value, or what names it where it is too large for a request. */
  async aside(text: string): Promise<unknown> {
    return JSON.parse(await this.asideText(text));
  }

  /** The same as JSON text. */
  async asideText(text: string): Promise<string> {
    if (text.length <= ASIDE_BYTES) return text;
    const call = { method: "POST", path: "/api/v1/blobs", mediaType: VALUE, repeatable: true } as const;
    return await this.transport.text({ ...call, body: new TextEncoder().encode(text), patient: true });
  }

  /** Says how far the task has got, at most ten times a second. */
  progress(data: { done?: number; total?: number; note?: string }): void {
    const now = performance.now();
    const isEnd = data.total !== undefined && data.done === data.total;
    if (!isEnd && now - this.#progressAt < PROGRESS_MS) return;
    this.#progressAt = now;
    this.push("task.progress", { ...data });
  }

  /** Shows something to live followers. It is not stored, and may be lost. */
  show(type: string, data: unknown): void {
    if (this.#over) return;
    this.#frames.push(`{"type":${JSON.stringify(type)},"data":${canonical(data ?? null)}}`);
    this.#showing ??= this.#showAll().finally(() => {
      this.#showing = undefined;
    });
  }

  async #showAll(): Promise<void> {
    while (this.#frames.length > 0) {
      await pause(this.#over ? 0 : FRAME_MS);
      const frames = this.#frames.splice(0, 500);
      const body = `{"worker":${JSON.stringify(this.#host.worker())},"frames":[${frames.join(",")}]}`;
      const path = `/api/v1/tasks/${this.task}/attempts/${this.assignment.attempt}/events`;
      const headers = { "everloop-lease": this.assignment.lease };
      // A frame that is lost is a frame that is lost.
      await this.transport.text({ method: "POST", path, headers, body }).catch(() => undefined);
    }
  }
}

/** What was thrown, and what it says that caused it. */
function causesOf(thrown: unknown): unknown[] {
  const causes = [thrown];
  for (let of = thrown; of instanceof Error && of.cause !== undefined && causes.length < 10; of = of.cause) {
    causes.push(of.cause);
  }
  return causes;
}

function paused(details: Mismatch): End {
  return { act: "suspend", members: { paused: { by: "", reason: "nondeterminism", details } } };
}

function requested(): End {
  return { act: "suspend", members: { paused: { by: "", reason: "requested" } } };
}

function released(): End {
  return { act: "release", members: {} };
}

/** The error about a value that JSON has no form for; any other error as it is. */
export function notJson(of: string, error: unknown): unknown {
  if (!(error instanceof NotJson)) return error;
  return new ValidationError(`${of} can't be recorded: ${error.message}`, { code: "not_json", cause: error });
}
