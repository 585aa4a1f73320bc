import { canonical, intent as intentOf } from "./canonical.js";
import { CancelledError, isFinal, ValidationError } from "./errors.js";
import {
  type Frame,
  frameFor,
  type Lies,
  never,
  nextKey,
  type Scope,
  stand,
  standsBeforeNew,
  standsBehindRecorded,
  within,
} from "./scope.js";
import { toInput } from "./task.js";
import { type Duration, milliseconds, sleep } from "./wait.js";

type Branch<T> = () => Promise<T> | T;
type Branches = readonly Branch<unknown>[];
type Results<B extends Branches> = { -readonly [I in keyof B]: Awaited<ReturnType<B[I]>> };

/** What became of a branch. */
interface Settled {
  index: number;
  position: number;
  result?: unknown;
  error?: unknown;
  failed: boolean;
}

/** Branches that run at the same time, each in a scope of its own. */
class Running {
  readonly #frame: Frame;
  readonly #scopes: Scope[] = [];
  readonly #settled: Settled[] = [];
  #heard: (() => void) | undefined;
  #isAbandoned = false;

  constructor(frame: Frame) {
    this.#frame = frame;
  }

  get many(): number {
    return this.#scopes.length;
  }

  /** Starts a branch; its promise never rejects. */
  start(path: string, run: Branch<unknown>, lies?: Lies): Promise<void> {
    if (this.#isAbandoned) return never();
    const { scope, cleanup } = this.#frame;
    const index = this.#scopes.length;
    const branch = scope.branch(path, lies);
    this.#scopes.push(branch);
    const settle = (of: { result?: unknown; error?: unknown; failed: boolean }) => {
      if (branch.isAbandoned) return;
      // What its code went on with is an outcome; what ended it is its caller's.
      if (of.failed) for (const held of branch.takeHeld()) scope.hold(held);
      else branch.settle();
      this.#settled.push({ index, position: branch.position, ...of });
      // Whoever waits for the branches goes on, or has to be told.
      scope.begin();
      branch.close();
      setImmediate(() => {
        scope.finish();
        this.#heard?.();
      });
    };
    const frame: Frame = cleanup ? { scope: branch, cleanup } : { scope: branch };
    return within(frame, () => Promise.resolve().then(run)).then(
      (result) => settle({ result, failed: false }),
      (error: unknown) => settle({ error, failed: true }),
    );
  }

  /**
   * Looks at what has settled, again and again, until `look` gives something. The branches whose last outcome is the earliest
   * come first, so that a replay sees them in the order in which they came.
   */
  async until<T>(look: (settled: Settled[]) => T | undefined): Promise<T> {
    for (;;) {
      this.#settled.sort((a, b) => a.position - b.position || a.index - b.index);
      const found = look(this.#settled);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  /** The code does not go on in the branches, but for this one. */
  abandon(except?: number): void {
    this.#isAbandoned = true;
    for (const [index, scope] of this.#scopes.entries()) if (index !== except) scope.abandon();
  }
}

async function allOf(running: Running, ended: () => boolean): Promise<unknown[]> {
  const settled = await running.until((all) => {
    const failed = all.find((one) => one.failed);
    return failed ?? (ended() && all.length === running.many ? all : undefined);
  });
  if (Array.isArray(settled)) {
    return settled.sort((a, b) => a.index - b.index).map((one) => one.result);
  }
  running.abandon();
  throw settled.error;
}

/**
 * Runs branches at the same time, each in a scope of its own, and gives all results. The first failure is the failure of all;
 * the other branches then stop at their next step.
 */
export async function parallel<const B extends Branches>(
  branches: B,
  options: { name?: string } = {},
): Promise<Results<B>> {
  const frame = frameFor("parallel");
  const key = nextKey(frame, options.name ?? "parallel");
  const running = new Running(frame);
  for (const [i, branch] of branches.entries()) void running.start(`${key}[${i}]`, branch);
  return (await allOf(running, () => true)) as Results<B>;
}

/** How a map runs. */
export interface MapOptions<T> {
  /** Names the map in the scopes of its items. */
  name?: string;
  /** Names an item in place of its index: for items whose order may change. */
  key?: (item: T, index: number) => string;
  /** How many items at the same time; all when not given. An item that waits for something keeps its place. */
  concurrency?: number;
}

/** Runs a function for every item at the same time, each in a scope of its own, and gives the results in the items' order. */
export async function map<T, R>(
  items: readonly T[],
  run: (item: T, index: number) => Promise<R> | R,
  options: MapOptions<T> = {},
): Promise<R[]> {
  const frame = frameFor("map");
  const key = nextKey(frame, options.name ?? "map");
  const names = items.map((item, i) => options.key?.(item, i) ?? String(i));
  const twice = new Set(names).size < names.length && names.find((name, i) => names.indexOf(name) !== i);
  if (twice) {
    throw new ValidationError(`two items of ${key} have the key ${JSON.stringify(twice)}`, {
      code: "bad_key",
    });
  }
  const running = new Running(frame);
  let next = 0;
  let done = 0;
  const begin = (): void => {
    const index = next;
    const item = items[index] as T;
    next += 1;
    void running
      .start(`${key}[${names[index]}]`, () => run(item, index))
      .then(() => {
        done += 1;
        if (next < items.length) begin();
      });
  };
  const first = Math.min(items.length, Math.max(1, options.concurrency ?? items.length));
  for (let i = 0; i < first; i += 1) begin();
  return (await allOf(running, () => next === items.length && done === items.length)) as R[];
}

/** Runs code in a scope of its own: for a helper whose steps shall not be counted with those round it. */
export async function scope<T>(name: string, run: Branch<T>): Promise<T> {
  const frame = frameFor("scope");
  const running = new Running(frame);
  void running.start(nextKey(frame, name), run);
  return (await allOf(running, () => true))[0] as T;
}

/**
 * Runs branches at the same time; the first one that ends counts, with its result or with an error that is not tried again.
 * Who has won is recorded before anybody sees it, and from then on the others are not run any more.
 */
export async function race<const B extends Branches>(
  branches: B,
  options: { name?: string } = {},
): Promise<{ winner: number; value: Awaited<ReturnType<B[number]>> }> {
  const frame = frameFor("race");
  const { attempt } = frame.scope;
  if (frame.scope.isAbandoned) return await never();
  const key = nextKey(frame, options.name ?? "race");
  if (branches.length === 0) throw new ValidationError(`${key} has no branches`, { code: "bad_race" });
  const intent = intentOf(canonical(branches.length));
  const found = attempt.journal.find(key, "race", intent);
  if (!("is" in found)) return await attempt.mismatch(found);
  type Value = { winner: number; value: Awaited<ReturnType<B[number]>> };
  const running = new Running(frame);
  if (found.is === "outcome" && "result" in found.outcome) {
    const winner = Number(found.outcome.result);
    const branch = branches[winner];
    for (const i of branches.keys()) if (i !== winner) frame.scope.branch(`${key}[${i}]`).abandon();
    if (!branch) throw new ValidationError(`${key} has no branch ${winner}`, { code: "bad_race" });
    void running.start(`${key}[${winner}]`, branch, "past");
    const [value] = await allOf(running, () => true);
    return { winner, value } as Value;
  }
  const startedAt = new Date().toISOString();
  for (const [i, branch] of branches.entries()) void running.start(`${key}[${i}]`, branch, "race");
  const first = await running.until(([one]) => one);
  if (standsBeforeNew(frame)) {
    running.abandon();
    return await stand(frame, key);
  }
  // Of an error that is tried again, nothing is known yet: it has won if the code goes on with it.
  if (first.failed && !isFinal(first.error)) {
    running.abandon();
    const write = (isOutcome: boolean) => {
      if (isOutcome) attempt.record(key, "race", intent, String(first.index), startedAt);
    };
    frame.scope.hold({ error: first.error, write });
    throw first.error;
  }
  frame.scope.begin();
  try {
    const place = attempt.record(key, "race", intent, String(first.index), startedAt);
    running.abandon(first.index);
    await attempt.outbox.flush();
    frame.scope.delivered(place);
  } finally {
    frame.scope.finish();
  }
  if (standsBehindRecorded(frame)) return await stand(frame, key);
  if (!attempt.goesOn(frame)) return await never();
  if (first.failed) throw first.error;
  return { winner: first.index, value: first.result } as Value;
}

/** Runs code, but no longer than this: then it is not run any more, and a `CancelledError` with the code `timeout` is thrown. */
export async function timeout<T>(name: string, duration: Duration, run: Branch<T>): Promise<T> {
  const ms = milliseconds(duration);
  const { winner, value } = await race([run, () => sleep("limit", ms)], { name });
  if (winner === 0) return value as T;
  throw new CancelledError(`${name} took longer than ${ms} ms`, { code: "timeout" });
}

/** Lets steps run although the task was cancelled or its time is over: for what has to be put right. There is little time. */
export async function cleanup<T>(run: Branch<T>): Promise<T> {
  const { scope: of } = frameFor("cleanup");
  return await within({ scope: of, cleanup: true }, async () => run());
}

/** Ends the task: a new one with these arguments goes on for it. Nothing behind it runs. */
export async function continueAs(...args: unknown[]): Promise<never> {
  const frame = frameFor("continueAs");
  const { attempt } = frame.scope;
  if (!attempt.goesOn(frame)) return await never();
  frame.scope.settle();
  if (attempt.replaysAgain()) return await never();
  const { input } = toInput(args);
  const text = canonical(input ?? null);
  frame.scope.begin();
  attempt.finish({ act: "finish", members: { continue_as: await attempt.aside(text) } });
  return await never();
}
