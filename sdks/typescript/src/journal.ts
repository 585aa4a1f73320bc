import type { JournalItem, OnUnknown, State, Wait, TaskError as WireError } from "./api/types.js";
import type { Leaf } from "./scope.js";

/** The kind of the record that a version gate leaves. */
export const VERSION = "version";

/** What became of a step. */
export type Outcome = { result: unknown } | { error: WireError };

/** What a replay finds for a step. */
export type Found =
  | { is: "nothing"; failedTries: number; nextAt?: number }
  | { is: "outcome"; outcome: Outcome; order: number }
  | { is: "inDoubt"; policy: OnUnknown; start: number };

/** Why a task stands still: its code does not follow its journal. */
export interface Mismatch {
  what: string;
  step: string;
  recorded: unknown;
  code: unknown;
}

interface Recorded {
  kind: string;
  intent: string;
  outcome?: Outcome;
  /** Its place among the outcomes. */
  order: number;
  onUnknown: OnUnknown;
  failedTries: number;
  nextAt?: number;
  starts: number;
}

interface StepOf {
  step: string;
  kind: string;
  intent: string;
}

/** The events of the past that a replay needs. */
type Past =
  | { type: "step.started"; data: StepOf & { on_unknown: OnUnknown } }
  | { type: "step.completed"; data: StepOf & { result: unknown } }
  | { type: "step.failed"; data: StepOf & { error: WireError; next_at?: string; try: number } }
  | { type: "task.waiting"; data: { for: Wait } }
  | { type: "task.ready"; data: { cause: string; id?: string } }
  | { type: "task.forked"; data: { from: { keys_of?: string } } }
  | { type: "task.child"; data: { task: string; state: State } }
  | { type: "task.input"; data: { id: string; name: string; data: unknown } }
  | { type: "task.input_taken"; data: { id: string; step: string } }
  | { type: "approval.requested"; data: { id: string } }
  | { type: "approval.decision"; data: Decision & { id: string } };

interface Sent {
  id: string;
  name: string;
  data: unknown;
  takenBy?: string;
}

/** An answer of a person. */
export interface Decision {
  decision: string;
  note?: string;
  result?: unknown;
}

/** Whether an event of a worker is one that a replay looks at. */
export function isJournal(type: string): boolean {
  return type.startsWith("step.") || type === "task.input_taken" || type === "approval.requested";
}

/** The recorded past of a task, as a replay asks for it. */
export class Journal {
  readonly #steps = new Map<string, Recorded>();
  readonly #versions = new Map<string, unknown>();
  /** Step keys in the order in which their outcomes were recorded. */
  readonly #order: string[] = [];
  #passed = 0;
  readonly #reached = new Set<string>();
  readonly #inputs: Sent[] = [];
  readonly #decisions = new Map<string, Decision>();
  readonly #asked = new Set<string>();
  readonly #timers = new Map<string, number>();
  readonly #fired = new Set<string>();
  readonly #children = new Map<string, State>();
  readonly #taken = new Set<string>();
  /** Keys of which something is recorded and that the code has not come to yet. */
  readonly #ahead = new Set<string>();
  /** The task whose idempotency keys the steps have, where it is another one. */
  keysOf?: string;

  constructor(items: JournalItem[]) {
    for (const { type, data } of items) this.#add({ type, data } as Past);
  }

  #step(data: StepOf): Recorded {
    const old = this.#steps.get(data.step);
    const recorded: Recorded = old ?? {
      kind: data.kind,
      intent: data.intent,
      order: 0,
      onUnknown: "rerun",
      failedTries: 0,
      starts: 0,
    };
    recorded.kind = data.kind;
    recorded.intent = data.intent;
    this.#steps.set(data.step, recorded);
    this.#comes(data.step);
    return recorded;
  }

  #ended(step: string, recorded: Recorded, outcome: Outcome): void {
    recorded.outcome = outcome;
    this.#order.push(step);
    recorded.order = this.#order.length;
  }

  #add({ type, data }: Past): void {
    switch (type) {
      case "step.started": {
        const recorded = this.#step(data);
        recorded.onUnknown = data.on_unknown;
        recorded.starts += 1;
        break;
      }
      case "step.completed":
        if (data.kind === VERSION) this.#versions.set(data.step, data.result);
        else this.#ended(data.step, this.#step(data), { result: data.result });
        break;
      case "step.failed": {
        const recorded = this.#step(data);
        recorded.failedTries = data.try;
        // Its start has an end now: what failed is not in doubt.
        recorded.onUnknown = "rerun";
        if (data.next_at === undefined) this.#ended(data.step, recorded, { error: data.error });
        else recorded.nextAt = Date.parse(data.next_at);
        break;
      }
      case "task.waiting": {
        const tree = data.for;
        for (const leaf of leaves(tree)) {
          if ("timer" in leaf) this.#timers.set(leaf.timer.id, Date.parse(leaf.timer.at));
          this.#comes(idOf(leaf));
        }
        // Only the timer ends such a wait, and whoever runs now was woken by it: no clock of a worker is asked.
        if ("timer" in tree) this.#fired.add(tree.timer.id);
        break;
      }
      case "task.ready":
        if (data.cause === "timer" && data.id !== undefined) this.#fired.add(data.id);
        break;
      case "task.forked":
        if (data.from.keys_of !== undefined) this.keysOf = data.from.keys_of;
        break;
      case "task.child":
        this.#children.set(data.task, data.state);
        break;
      case "task.input":
        this.#inputs.push({ id: data.id, name: data.name, data: data.data });
        break;
      case "task.input_taken": {
        this.#taken.add(data.id);
        const sent = this.#inputs.find((input) => input.id === data.id);
        if (sent) {
          sent.takenBy = data.step;
          this.#comes(data.step);
        }
        break;
      }
      case "approval.requested":
        this.#asked.add(data.id);
        this.#comes(data.id);
        break;
      case "approval.decision":
        this.#decisions.set(data.id, data);
        break;
    }
  }

  /** The code will come to this, as it did before. What is waited for within a step is the step's. */
  #comes(id: string): void {
    this.#ahead.add(id.split(/\/(?:start|try)-/)[0] ?? id);
  }

  /** Notes that the code has come to a key. */
  name(key: string): void {
    this.#ahead.delete(key);
  }

  /** What is recorded of a step; a mismatch where it was another one. Marks it as reached. */
  find(key: string, kind: string, intent: string): Found | Mismatch {
    this.#reached.add(key);
    const recorded = this.#steps.get(key);
    if (recorded === undefined) return { is: "nothing", failedTries: 0 };
    if (recorded.kind !== kind || recorded.intent !== intent) {
      return {
        what: `step ${key} was recorded with another kind or other arguments`,
        step: key,
        recorded: { intent: recorded.intent, kind: recorded.kind },
        code: { intent, kind },
      };
    }
    if (recorded.outcome) return { is: "outcome", outcome: recorded.outcome, order: recorded.order };
    if (recorded.onUnknown !== "rerun") {
      return { is: "inDoubt", policy: recorded.onUnknown, start: recorded.starts };
    }
    const { failedTries, nextAt } = recorded;
    return nextAt === undefined ? { is: "nothing", failedTries } : { is: "nothing", failedTries, nextAt };
  }

  /** The place of an outcome that is recorded soon. */
  soon(): number {
    return this.#order.length + 1;
  }

  /** The place of an outcome that is recorded just now. */
  recordedNow(): number {
    this.#order.length += 1;
    return this.#order.length;
  }

  /** The next recorded outcome that the code has not reached. */
  passedOver(): string | undefined {
    while (this.#passed < this.#order.length) {
      const key = this.#order[this.#passed];
      if (key !== undefined && !this.#reached.has(key)) return key;
      this.#passed += 1;
    }
    return undefined;
  }

  /** How many steps with an outcome the code has not come to. */
  get unreachedCount(): number {
    return this.#order.filter((key) => !this.#reached.has(key)).length;
  }

  /** A step that was recorded and never reached: the code has changed under its task. */
  unreached(): Mismatch | undefined {
    const step = this.passedOver();
    if (step === undefined) return undefined;
    const what = `the code came to its end without recorded step ${step}`;
    return { what, step, recorded: "recorded", code: "not reached" };
  }

  /** Whether something is recorded in this scope, or below it, that the code has not come to. */
  hasAhead(scope: string): boolean {
    if (scope === "") return this.#ahead.size > 0;
    for (const key of this.#ahead) if (key.startsWith(`${scope}/`)) return true;
    return false;
  }

  /** Counts everything below a scope as reached: the code does not go there any more. */
  abandon(scope: string): void {
    for (const key of this.#steps.keys()) if (key.startsWith(`${scope}/`)) this.#reached.add(key);
    for (const key of this.#ahead) if (key.startsWith(`${scope}/`)) this.#ahead.delete(key);
  }

  /** What a gate has decided. */
  version(key: string): number | undefined {
    return this.#versions.get(key) as number | undefined;
  }

  /** Learns what a gate has decided just now. */
  decideVersion(key: string, version: number): void {
    this.#versions.set(key, version);
  }

  /** The input that a step takes: the one that it took before, or the first of the name that nobody took. */
  input(step: string, name: string): { data: unknown; taken?: string } | undefined {
    const before = this.#inputs.find((sent) => sent.takenBy === step);
    if (before) return { data: before.data };
    const sent = this.#inputs.find((input) => input.takenBy === undefined && input.name === name);
    if (!sent) return undefined;
    sent.takenBy = step;
    return { data: sent.data, taken: sent.id };
  }

  /** The answer to a request. */
  decision(id: string): Decision | undefined {
    return this.#decisions.get(id);
  }

  /** Whether a request stands in the stream, or will. Says so from now on. */
  ask(id: string): boolean {
    const asked = this.#asked.has(id);
    this.#asked.add(id);
    return asked;
  }

  /** Whether a request stands in the stream. */
  wasAsked(id: string): boolean {
    return this.#asked.has(id);
  }

  /** How a child has ended, and whether that was taken before. */
  child(task: string): { state: State; taken: boolean } | undefined {
    const state = this.#children.get(task);
    if (state === undefined) return undefined;
    const taken = this.#taken.has(task);
    this.#taken.add(task);
    return { state, taken };
  }

  /** When a timer fires that an earlier attempt waited for. */
  timer(id: string): number | undefined {
    return this.#timers.get(id);
  }

  /** Whether an earlier attempt waited for this timer and it has fired. */
  hasFired(id: string): boolean {
    return this.#fired.has(id);
  }
}

/** The id of a condition: the key of what waits for it. */
export function idOf(leaf: Leaf): string {
  if ("replayed" in leaf) return leaf.replayed.id;
  if ("timer" in leaf) return leaf.timer.id;
  if ("input" in leaf) return leaf.input.id;
  if ("decision" in leaf) return leaf.decision.id;
  return "child" in leaf ? leaf.child.id : "";
}

/** The leaves of a tree of conditions. */
export function leaves(wait: Wait): Wait[] {
  if ("all" in wait) return wait.all.flatMap(leaves);
  if ("any" in wait) return wait.any.flatMap(leaves);
  return [wait];
}
