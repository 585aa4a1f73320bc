import type { Policy } from "./api/types.js";
import { ValidationError } from "./errors.js";
import type { Schema } from "./offer.js";

/** How a task of a kind is run. */
export interface TaskOptions {
  /** Version of the code, offered to the server. 1 when not given. */
  version?: number;
  /** The policy that its tasks get, whoever submits them: retries, timeout, deadline, grace. */
  policy?: Policy;
  /** Where its tasks wait for a worker, whoever submits them. */
  queue?: string;
  /** What it does, in a line. */
  about?: string;
  /**
   * What an input must be; the server refuses others. A function of one argument has that argument as its input, one of more has
   * `{ $args: [...] }`.
   */
  inputSchema?: Schema;
  /** What its result is, for those who read it. */
  outputSchema?: Schema;
  /** Where it is offered as something of its own: `mcp` makes it a tool. */
  expose?: "mcp"[];
}

/** A durable function: its name is the kind of its tasks. */
export interface Task<Args extends unknown[], Result> {
  readonly kind: string;
  readonly version: number;
  readonly options: TaskOptions;
  /** The function itself. */
  readonly run: (...args: Args) => Promise<Result> | Result;
  /** Calls it with the input of a task. */
  readonly call: (input: unknown) => Promise<Result>;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a task of any arguments
export type AnyTask = Task<any, unknown>;

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const tasks = new Map<string, AnyTask>();

/** Makes a function durable. What has an effect belongs into steps; what stands between them may run again. */
export function task<Args extends unknown[], Result>(
  kind: string,
  run: (...args: Args) => Promise<Result> | Result,
): Task<Args, Result>;
export function task<Args extends unknown[], Result>(
  kind: string,
  options: TaskOptions,
  run: (...args: Args) => Promise<Result> | Result,
): Task<Args, Result>;
export function task<Args extends unknown[], Result>(
  kind: string,
  second: TaskOptions | ((...args: Args) => Promise<Result> | Result),
  third?: (...args: Args) => Promise<Result> | Result,
): Task<Args, Result> {
  const options = typeof second === "function" ? {} : second;
  const run = typeof second === "function" ? second : third;
  if (!run) throw new TypeError(`task ${JSON.stringify(kind)} has no function`);
  if (!NAME.test(kind)) {
    const rule = "lower-case letters, digits, . _ and -, at most 64, and a letter or digit first";
    throw new ValidationError(`${JSON.stringify(kind)} can't name a kind of task: ${rule}`, {
      code: "bad_name",
    });
  }
  if (tasks.has(kind)) {
    throw new ValidationError(`there are two tasks called ${JSON.stringify(kind)}`, { code: "bad_name" });
  }
  const call = async (input: unknown): Promise<Result> => await run(...(fromInput(input) as Args));
  const made = { kind, version: options.version ?? 1, options, run, call };
  tasks.set(kind, made);
  return made;
}

/** Every task that was defined in this process. */
export function allTasks(): AnyTask[] {
  return [...tasks.values()];
}

/** The input of a task with these arguments: the argument itself where it is one. */
export function toInput(args: readonly unknown[]): { input?: unknown } {
  let many = args.length;
  while (many > 0 && args[many - 1] === undefined) many -= 1;
  if (many === 0) return {};
  return { input: many === 1 ? args[0] : { $args: args.slice(0, many) } };
}

function fromInput(input: unknown): unknown[] {
  if (input === undefined) return [];
  const isMany =
    typeof input === "object" && input !== null && "$args" in input && Array.isArray(input.$args);
  return isMany ? (input.$args as unknown[]) : [input];
}
