import { AsyncLocalStorage } from "node:async_hooks";
import type { Wait } from "./api/types.js";
import type { Attempt } from "./attempt.js";
import { ValidationError } from "./errors.js";

/** What is known inside of a step. */
export interface StepContext {
  /** The key that makes the effect of this step happen once where it is made: the same for every try and attempt. */
  readonly idempotencyKey: string;
  /** Aborted when the step shall stop: the task was cancelled, its time is over, the lease is lost. */
  readonly signal: AbortSignal;
  /** Which try of the step, from 1. */
  readonly try: number;
  /** Its identity: `scope/name#occurrence`. */
  readonly step: string;
}

/** What a line of code runs in. */
export interface Frame {
  readonly scope: Scope;
  readonly step?: StepContext;
  /** Whether steps may run although the task was cancelled. */
  readonly cleanup?: boolean;
}

/** What the code of a scope stands at: a wait of the task, or the end of its replay, which is never sent. */
export type Leaf = Wait | { replayed: { id: string } };

/** See `Scope.lies`. */
export type Lies = "race" | "past" | undefined;

/** Something that is waited for, by the code of one scope. */
interface Waiter {
  readonly leaf: Leaf;
  readonly cleanup: boolean;
  readonly stop: (error: Error) => void;
  timer?: NodeJS.Timeout;
}

/** A failure of which is not known yet whether the code goes on with it, or ends the try with it. */
export interface Held {
  readonly error: unknown;
  /** Records it: as an outcome, or as something that is tried again. */
  readonly write: (isOutcome: boolean) => void;
}

const frames = new AsyncLocalStorage<Frame>();

/** The frame of the code that runs, if it is a task's. */
export function currentFrame(): Frame | undefined {
  return frames.getStore();
}

/** The frame of the code that runs; an error that names what was called where there is none. */
export function frameFor(what: string): Frame {
  const frame = frames.getStore();
  if (!frame) throw new ValidationError(`${what} can only be called inside of a task`, { code: "no_task" });
  if (frame.step) {
    const message = `${what} can't be called inside of step ${frame.step.step}: call it in the task`;
    throw new ValidationError(message, { code: "inside_step" });
  }
  return frame;
}

/** Runs code in a frame. */
export function within<T>(frame: Frame, run: () => T): T {
  return frames.run(frame, run);
}

/** Runs code outside of any task. */
export function outside<T>(run: () => T): T {
  return frames.exit(run);
}

/** The identity of the next thing of a name, which the code comes to by going on. */
export function nextKey({ scope, cleanup }: Frame, name: string): string {
  if (!cleanup) scope.settle();
  return scope.next(name);
}

/** A promise of what never comes: the code behind it does not go on. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}

/** Whether the code stands where the journal does not say how it goes on: in a dry run. */
export function standsBeforeNew({ scope }: Frame): boolean {
  return scope.attempt.replay === "only";
}

/**
 * Whether the code stands behind an outcome that was added just now, until everything that stands is run again. A race goes on,
 * for whoever stands can't win it; and so does a clean-up, whose time is short.
 */
export function standsBehindRecorded({ scope, cleanup }: Frame): boolean {
  return scope.attempt.replay === "always" && scope.lies !== "race" && !cleanup;
}

/** Stands where the replay ends, as what waits for another attempt. */
export async function stand({ scope, cleanup }: Frame, id: string): Promise<never> {
  await scope.wait({ replayed: { id } }, id, cleanup ?? false);
  return await never();
}

/**
 * A branch of the code that one logical thread owns. Names are counted within it, so no scheduling can swap results; and it
 * knows what its code is at, so that a task whose branches all wait can be suspended.
 */
export class Scope {
  readonly attempt: Attempt;
  readonly path: string;
  /** What it lies in: a race that is not decided, or the branch that has won one that is recorded. */
  readonly lies: Lies;
  readonly #parent: Scope | undefined;
  readonly #counts = new Map<string, number>();
  readonly #children = new Set<Scope>();
  readonly #waiters = new Map<string, Waiter>();
  readonly #abort = new AbortController();
  /** Things under way that end by themselves. */
  #running = 0;
  #abandoned = false;
  #held: Held[] = [];
  /** The place of the last outcome that its code was given. */
  position = 0;

  constructor(attempt: Attempt, path: string, parent?: Scope, lies = parent?.lies) {
    this.attempt = attempt;
    this.path = path;
    this.lies = lies;
    this.#parent = parent;
    if (parent) parent.#children.add(this);
  }

  /** The identity of the next thing of this name. */
  next(name: string): string {
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    const key = `${this.prefix}${name}#${count}`;
    if (!this.isAbandoned) this.attempt.journal.name(key);
    return key;
  }

  /** Keeps a failure until it is known what becomes of it. */
  hold(held: Held): void {
    this.#held.push(held);
  }

  /** The code goes on: failures that were held are outcomes. */
  settle(): void {
    for (const held of this.#held.splice(0)) held.write(true);
  }

  /** What is held here, which is somebody else's from now on. */
  takeHeld(): Held[] {
    return this.#held.splice(0);
  }

  get prefix(): string {
    return this.path === "" ? "" : `${this.path}/`;
  }

  /** A branch below this one, whose whole path is given. */
  branch(path: string, lies = this.lies): Scope {
    return new Scope(this.attempt, path, this, lies);
  }

  /** Whether its code does not count any more. */
  get isAbandoned(): boolean {
    return this.#abandoned || (this.#parent?.isAbandoned ?? false);
  }

  /** Aborted when the branch is abandoned. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Its code has ended. */
  close(): void {
    if (this.#parent) {
      this.#parent.#children.delete(this);
      this.#parent.delivered(this.position);
    }
    this.attempt.look();
  }

  /** Its code does not count any more: what is recorded of it counts as reached, and its next step never comes. */
  abandon(): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    if (this.#parent) this.#parent.#children.delete(this);
    this.attempt.journal.abandon(this.path);
    this.#stopTree();
    this.attempt.look();
  }

  #stopTree(): void {
    for (const waiter of this.#waiters.values()) clearTimeout(waiter.timer);
    this.#waiters.clear();
    this.#abort.abort();
    for (const child of this.#children) child.#stopTree();
  }

  /** Its code is given an outcome. */
  delivered(place: number): void {
    this.position = Math.max(this.position, place);
  }

  /** Something begins that ends by itself. */
  begin(): void {
    this.#running += 1;
  }

  /** It has ended. */
  finish(): void {
    this.#running -= 1;
    this.attempt.look();
  }

  /** How much is under way here and below. */
  get running(): number {
    let running = this.#running;
    for (const child of this.#children) running += child.running;
    return running;
  }

  /** Whether all code here and below waits for what only another attempt can see. */
  get isQuiet(): boolean {
    if (this.#running > 0) return false;
    if (this.#waiters.size === 0 && this.#children.size === 0) return false;
    for (const child of this.#children) if (!child.isQuiet) return false;
    return true;
  }

  /** What is waited for here and below. */
  get waits(): Leaf[] {
    const own = Array.from(this.#waiters.values(), (waiter) => waiter.leaf);
    return [...own, ...Array.from(this.#children, (child) => child.waits).flat()];
  }

  /**
   * Waits for something. The promise settles only if the attempt goes on for long enough: by a timer that fires meanwhile, or
   * by a cancel.
   */
  wait(leaf: Leaf, id: string, cleanup: boolean, fires = false): Promise<void> {
    return new Promise((resolve, reject) => {
      const drop = () => {
        clearTimeout(waiter.timer);
        this.#waiters.delete(id);
        this.attempt.look();
      };
      const stop = (error: Error) => {
        drop();
        reject(error);
      };
      const waiter: Waiter = { leaf, cleanup, stop };
      if ("timer" in leaf && fires) {
        const at = Date.parse(leaf.timer.at);
        const arm = () => {
          // A timer of the platform reaches no further than 2^31 milliseconds.
          const left = at - Date.now();
          waiter.timer = setTimeout(left > 2 ** 30 ? arm : fired, Math.min(Math.max(left, 0), 2 ** 30));
        };
        const fired = () => {
          drop();
          resolve();
        };
        arm();
      }
      this.#waiters.set(id, waiter);
      this.attempt.look();
    });
  }

  /** Ends what is waited for, except in clean-up code. */
  stopWaits(error: () => Error): void {
    for (const waiter of [...this.#waiters.values()]) if (!waiter.cleanup) waiter.stop(error());
    for (const child of this.#children) child.stopWaits(error);
  }

  /** Lets go of all timers. */
  release(): void {
    for (const waiter of this.#waiters.values()) clearTimeout(waiter.timer);
    for (const child of this.#children) child.release();
  }
}
