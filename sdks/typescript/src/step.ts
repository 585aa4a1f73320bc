import type { OnUnknown, TaskError as WireError } from "./api/types.js";
import { notJson } from "./attempt.js";
import { canonical, intent as intentOf, stepIdempotencyKey } from "./canonical.js";
import {
  type EverloopError,
  fromWire,
  isRetried,
  TransientError,
  toWire,
  ValidationError,
} from "./errors.js";
import type { Found } from "./journal.js";
import {
  currentFrame,
  type Frame,
  type Leaf,
  never,
  nextKey,
  type StepContext,
  standsBeforeNew,
  standsBehindRecorded,
  within,
} from "./scope.js";

/** Waits shorter than this are held instead of suspending the task. */
export const WARM_MS = 2_000;
/** What a person may answer about a step that was cut off. */
const IN_DOUBT = ["happened", "rerun", "fail"];

/** What became of a step that was cut off, as whoever made its effect knows. */
export type Verdict<T> = { happened: T } | "not_happened" | "unknown";

/** How a step is run. */
export interface StepOptions<Args extends unknown[] = unknown[], Result = unknown> {
  /** How often it is tried again after a failure that may pass. 0 when not given. */
  retries?: number;
  /** The time before the first retry, in milliseconds; it doubles with each further one. 1,000 when not given. */
  backoffMs?: number;
  /** The longest time before a retry, in milliseconds. 60,000 when not given. */
  maxBackoffMs?: number;
  /** The longest time that one try may take, in milliseconds. */
  timeoutMs?: number;
  /** What to do if it is cut off and its outcome stays unknown. `rerun` when not given, `verify` with a `verify` function. */
  onUnknown?: OnUnknown;
  /** Asked, if the step was cut off, whether it happened. */
  verify?: (...args: Args) => Promise<Verdict<Result>> | Verdict<Result>;
}

/** A function whose calls are steps: run once, recorded, and from then on replayed. */
export type Step<Args extends unknown[], Result> = (...args: Args) => Promise<Result>;

type Work<Args extends unknown[], Result> = (...args: Args) => Promise<Result> | Result;

interface MakeStep {
  /** Makes a function a step: each call within a task is recorded under this name. */
  <Args extends unknown[], Result>(name: string, work: Work<Args, Result>): Step<Args, Result>;
  <Args extends unknown[], Result>(
    name: string,
    options: StepOptions<Args, Result>,
    work: Work<Args, Result>,
  ): Step<Args, Result>;
  /** Runs a step that is written where it is used. */
  run<Result>(name: string, work: Work<[], Result>): Promise<Result>;
  run<Result>(name: string, options: StepOptions<[], Result>, work: Work<[], Result>): Promise<Result>;
}

type Loose = (...args: unknown[]) => unknown;

function makeStep(name: string, second: unknown, third?: unknown): Step<unknown[], unknown> {
  const work = (typeof second === "function" ? second : third) as Loose | undefined;
  const options = (typeof second === "function" ? {} : second) as StepOptions;
  if (typeof work !== "function") throw new TypeError(`step ${JSON.stringify(name)} has no function`);
  if (name === "" || name.length > 64 || /[/#[\]]/.test(name)) {
    const message = `${JSON.stringify(name)} can't name a step: 1 to 64 characters, and none of / # [ ]`;
    throw new ValidationError(message, { code: "bad_name" });
  }
  return (...args: unknown[]) => {
    const frame = currentFrame();
    // Outside of a task, and inside of another step, it is the function itself.
    if (!frame || frame.step) return Promise.resolve().then(() => work(...args));
    return runStep(frame, { name, kind: "step", options, args, work });
  };
}

/** Makes steps. */
export const step: MakeStep = Object.assign(makeStep as MakeStep, {
  run: (name: string, second: unknown, third?: unknown) => makeStep(name, second, third)() as Promise<never>,
});

/** A step that is about to be run, or replayed. */
export interface Planned {
  name: string;
  kind: string;
  options: StepOptions;
  args: unknown[];
  work: Loose;
  /** The key, where it is not the next one of the name. */
  key?: string;
}

/** Runs a step, or gives what was recorded of it. The key is taken at once, in the order of the calls. */
export async function runStep(frame: Frame, planned: Planned): Promise<unknown> {
  const { scope } = frame;
  const { attempt } = scope;
  if (scope.isAbandoned) return await never();
  const key = planned.key ?? nextKey(frame, planned.name);
  const intent = intentOf(argumentsOf(key, planned.args));
  const found = attempt.journal.find(key, planned.kind, intent);
  if (!("is" in found)) return attempt.mismatch(found);
  const run = new Run(frame, planned, key, intent);
  scope.begin();
  try {
    return await run.whatever(found);
  } finally {
    scope.finish();
  }
}

function argumentsOf(key: string, args: unknown[]): string {
  let many = args.length;
  while (many > 0 && args[many - 1] === undefined) many -= 1;
  const written = args.slice(0, many).map((arg, i) => {
    try {
      return canonical(arg);
    } catch (error) {
      throw notJson(`argument ${i + 1} of step ${key}`, error);
    }
  });
  return `[${written.join(",")}]`;
}

class Run {
  readonly #frame: Frame;
  readonly #planned: Planned;
  readonly #key: string;
  readonly #intent: string;

  constructor(frame: Frame, planned: Planned, key: string, intent: string) {
    this.#frame = frame;
    this.#planned = planned;
    this.#key = key;
    this.#intent = intent;
  }

  get #attempt() {
    return this.#frame.scope.attempt;
  }

  async whatever(found: Found): Promise<unknown> {
    const { scope } = this.#frame;
    if (found.is === "outcome") {
      scope.delivered(found.order);
      if ("error" in found.outcome) throw this.#failed(found.outcome.error);
      return await this.#attempt.resolve(found.outcome.result);
    }
    if (standsBeforeNew(this.#frame)) return await this.#stand();
    if (found.is === "inDoubt") {
      const known = await this.#inDoubt(found.policy, found.start);
      if (known !== undefined) return await this.#completed(known.result, now());
      return await this.#tries(0);
    }
    if (found.nextAt !== undefined) await this.#until(found.nextAt, found.failedTries);
    return await this.#tries(found.failedTries);
  }

  async #tries(failed: number): Promise<unknown> {
    const { options } = this.#planned;
    for (let tries = failed + 1; ; tries += 1) {
      if (!this.#attempt.goesOn(this.#frame)) return this.#stopped();
      const ahead = this.#attempt.journal.passedOver();
      if (ahead !== undefined) this.#warn(ahead);
      const onUnknown = this.#attempt.onUnknown(options.onUnknown ?? (options.verify ? "verify" : "rerun"));
      const startedAt = now();
      if (onUnknown !== "rerun") {
        const { kind } = this.#planned;
        const data = { at: startedAt, intent: this.#intent, kind, on_unknown: onUnknown, step: this.#key };
        this.#attempt.push("step.started", data);
      }
      await this.#attempt.outbox.flush();
      // Whoever was heard while waiting for the disk is heard before anything happens.
      if (!this.#attempt.goesOn(this.#frame)) return this.#stopped();
      let thrown: unknown;
      try {
        return await this.#completed(await this.#work(tries), startedAt);
      } catch (error) {
        thrown = error;
      }
      // Who is told to stop hears of that, and not of what stopping did to the step.
      const { control } = this.#attempt;
      const mayEnd = control === "pause" || control === "handback";
      if (!mayEnd && !this.#attempt.goesOn(this.#frame)) return this.#stopped();
      const error = toWire(thrown);
      const again = isRetried(error.class) && tries <= (options.retries ?? 0);
      const delay = Math.min((options.backoffMs ?? 1_000) * 2 ** (tries - 1), options.maxBackoffMs ?? 60_000);
      const nextAt = again ? Date.now() + delay / 2 + (Math.random() * delay) / 2 : undefined;
      if (nextAt === undefined) throw this.#fails(error, tries, thrown);
      this.#failedTry(error, tries, nextAt);
      await this.#until(nextAt, tries);
    }
  }

  /** Lets the code end here, for this attempt. */
  async #stopped(): Promise<never> {
    this.#frame.scope.finish();
    return await never();
  }

  #failedTry(error: WireError, tries: number, nextAt?: number): void {
    const { kind } = this.#planned;
    const data: Record<string, unknown> = { error, intent: this.#intent, kind, step: this.#key, try: tries };
    if (nextAt !== undefined) data.next_at = new Date(nextAt).toISOString();
    this.#attempt.push("step.failed", data);
  }

  /**
   * The failure of the last try. It is an outcome if the code goes on with it. If it ends the try of the task instead, the step is
   * run again with the next one: so nothing is written before that is known.
   */
  #fails(error: WireError, tries: number, thrown: unknown): EverloopError {
    const { scope } = this.#frame;
    const failed = this.#failed(error, thrown);
    const write = (isOutcome: boolean) => {
      this.#failedTry(error, tries, isOutcome ? undefined : Date.now());
      if (isOutcome) this.#attempt.journal.recordedNow();
      else delete failed.step;
    };
    scope.delivered(this.#attempt.journal.soon());
    if (isRetried(error.class)) scope.hold({ error: failed, write });
    else write(true);
    return failed;
  }

  #failed(error: WireError, cause?: unknown): EverloopError {
    const failed = fromWire(error, cause instanceof Error ? { cause } : {});
    failed.step = this.#key;
    return failed;
  }

  async #completed(value: unknown, startedAt: string): Promise<unknown> {
    let text: string;
    try {
      text = canonical(value ?? null);
    } catch (error) {
      throw notJson(`the result of step ${this.#key}`, error);
    }
    const kept = await this.#attempt.asideText(text);
    const place = this.#attempt.record(this.#key, this.#planned.kind, this.#intent, kept, startedAt);
    this.#frame.scope.delivered(place);
    if (standsBehindRecorded(this.#frame)) return await this.#stand();
    // What a replay will give, and not an object that somebody may still change.
    return JSON.parse(text);
  }

  /** Calls the function, for as long as somebody wants that. */
  #work(tries: number): Promise<unknown> {
    const { options, args, work } = this.#planned;
    const { scope, cleanup } = this.#frame;
    const stop = new AbortController();
    const signals = [stop.signal, scope.signal];
    if (!cleanup) signals.push(this.#attempt.signal);
    const signal = AbortSignal.any(signals);
    const idempotencyKey = stepIdempotencyKey(this.#attempt.journal.keysOf ?? this.#attempt.task, this.#key);
    const context: StepContext = { idempotencyKey, signal, try: tries, step: this.#key };
    return new Promise((resolve, reject) => {
      const late = () => {
        const message = `try ${tries} of step ${this.#key} took longer than ${options.timeoutMs} ms`;
        stop.abort(new TransientError(message, { code: "timeout" }));
      };
      const timer = options.timeoutMs === undefined ? undefined : setTimeout(late, options.timeoutMs);
      // Who doesn't listen to the signal is not waited for.
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      within({ scope, step: context }, () => Promise.resolve().then(() => work(...args)))
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
    });
  }

  /** Waits for the time of the next try: in this attempt where that is soon. */
  async #until(at: number, failed: number): Promise<void> {
    const id = `${this.#key}/try-${failed + 1}`;
    this.#attempt.journal.name(id);
    if (this.#attempt.journal.hasFired(id)) return;
    await timer(this.#frame, id, at);
  }

  #warn(ahead: string): void {
    const text = `step ${this.#key} is new and stands before recorded step ${ahead}`;
    this.#attempt.push("log", { level: "warn", offset: 0, source: "executor", text });
  }

  /** A step that was started and never recorded: gives its outcome if somebody knows it, nothing if it shall run again. */
  async #inDoubt(policy: OnUnknown, start: number): Promise<{ result: unknown } | undefined> {
    const { journal } = this.#attempt;
    // An answer is about the start that it was asked for: one that is cut off again is asked about again.
    const id = start <= 1 ? this.#key : `${this.#key}/start-${start}`;
    const { verify } = this.#planned.options;
    if (policy === "fail") throw this.#unknown();
    if (policy === "verify" && verify && !journal.wasAsked(id)) {
      if (!this.#attempt.goesOn(this.#frame)) return this.#stopped();
      const verdict = await within({ scope: this.#frame.scope, step: this.#contextOf() }, async () =>
        verify(...this.#planned.args),
      );
      if (verdict === "not_happened") return undefined;
      if (typeof verdict === "object") return { result: verdict.happened };
    }
    const prompt = `Step ${this.#planned.name} was started and cut off. Did it happen?`;
    const answer = journal.decision(id);
    if (!answer) {
      if (!journal.ask(id)) this.#attempt.push("approval.requested", { choices: IN_DOUBT, id, prompt });
      return await this.#standby({ decision: { id } }, id);
    }
    if (answer.decision === "happened") return { result: await this.#attempt.resolve(answer.result ?? null) };
    if (answer.decision === "rerun") return undefined;
    throw this.#unknown();
  }

  /** Stands where the replay ends. */
  #stand(): Promise<never> {
    return this.#standby({ replayed: { id: this.#key } }, this.#key);
  }

  /** Waits for what only another attempt can see. */
  async #standby(leaf: Leaf, id: string): Promise<never> {
    const { scope, cleanup } = this.#frame;
    scope.finish();
    try {
      await scope.wait(leaf, id, cleanup ?? false);
      return await never();
    } finally {
      scope.begin();
    }
  }

  #contextOf(): StepContext {
    const idempotencyKey = stepIdempotencyKey(this.#attempt.journal.keysOf ?? this.#attempt.task, this.#key);
    return { idempotencyKey, signal: this.#attempt.signal, try: 0, step: this.#key };
  }

  #unknown(): EverloopError {
    const message = `step ${this.#key} was cut off, and nobody knows whether it happened`;
    return new ValidationError(message, { code: "outcome_unknown" });
  }
}

/** Now, as the server writes it. */
export function now(): string {
  return new Date().toISOString();
}

/**
 * Waits for a point in time: in this attempt where that is soon, else as a wait of the task. Gives whether the task could have
 * been suspended for it, and was not because another of its branches ran.
 */
export async function timer(frame: Frame, id: string, at: number): Promise<boolean> {
  const { scope, cleanup } = frame;
  const { attempt } = scope;
  const left = at - Date.now();
  if (left < WARM_MS) {
    await held(frame, left);
    return false;
  }
  // What waits does not run.
  scope.finish();
  try {
    await scope.wait({ timer: { at: new Date(at).toISOString(), id } }, id, cleanup ?? false, true);
  } finally {
    scope.begin();
  }
  if (!attempt.goesOn(frame)) {
    scope.finish();
    await never();
  }
  return true;
}

async function held(frame: Frame, ms: number): Promise<void> {
  const { attempt } = frame.scope;
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(soon);
      unhear();
      resolve();
    };
    const soon = setTimeout(done, Math.max(0, ms));
    const unhear = attempt.onTold(() => {
      if (!frame.cleanup) done();
    });
  });
  if (!attempt.goesOn(frame)) {
    frame.scope.finish();
    await never();
  }
}
