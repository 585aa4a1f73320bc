import { canonical } from "./canonical.js";
import type { Class, Problem, TaskError as WireError } from "./api/types.js";

/** What an error of ours is made with. */
export interface ErrorParts {
  /** Stable snake_case code; made of the class's name when not given. */
  code?: string;
  /** More about it, for programs. Must be JSON. */
  details?: unknown;
  /** What caused it. Not recorded. */
  cause?: unknown;
  /** The server's answer, where it refused a request. */
  problem?: Problem;
  /** The task that ended with it. */
  task?: string;
}

/**
 * An error of a task or step, or a refusal of the server. Its class says whether trying again can help; each class is a
 * JavaScript class of its own. Throw one of them in a step, or a subclass, to choose how it is treated.
 */
export class EverloopError extends Error {
  /** What kind of trouble it is. */
  readonly class: Class = "internal";
  /** Stable snake_case code. */
  readonly code: string;
  /** More about it, for programs. */
  declare readonly details?: unknown;
  /** The server's answer, where it refused a request. */
  declare readonly problem?: Problem;
  /** The task that ended with it, where it is the end of one. */
  declare readonly task?: string;
  /** The step whose recorded failure this is. A failure that is recorded stays one: the task is not tried again for it. */
  declare step?: string;

  constructor(message: string, parts: ErrorParts = {}) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = new.target.name;
    this.code = parts.code ?? snakeCase(new.target.name);
    if (parts.details !== undefined) this.details = parts.details;
    if (parts.problem !== undefined) this.problem = parts.problem;
    if (parts.task !== undefined) this.task = parts.task;
  }
}

/** It may pass: a network, a rate, a restart. Tried again. */
export class TransientError extends EverloopError {
  override readonly class: Class = "transient";
}

/** A fault of the code itself. Tried again, because many are races. Every exception that is not one of ours counts as this. */
export class InternalError extends EverloopError {
  override readonly class: Class = "internal";
}

/** The input is wrong, and stays wrong: not tried again. */
export class ValidationError extends EverloopError {
  override readonly class: Class = "validation";
}

/** Who asks may not. Not tried again. */
export class AuthError extends EverloopError {
  override readonly class: Class = "auth";
}

/** A quota of the plan is used up. Not tried again. */
export class QuotaError extends EverloopError {
  override readonly class: Class = "quota";
}

/** The budget is used up. Not tried again. */
export class BudgetError extends EverloopError {
  override readonly class: Class = "budget";
}

/** Somebody wanted it to stop, or a time was over. Not tried again. */
export class CancelledError extends EverloopError {
  override readonly class: Class = "cancelled";
}

/** The code does not follow the recorded steps, and the task is paused. `details` shows both sides. */
export class NondeterminismError extends ValidationError {}

/** The server can't be reached. */
export class UnreachableError extends TransientError {}

const CLASSES: Record<Class, new (message: string, parts?: ErrorParts) => EverloopError> = {
  transient: TransientError,
  internal: InternalError,
  validation: ValidationError,
  auth: AuthError,
  quota: QuotaError,
  budget: BudgetError,
  cancelled: CancelledError,
};

/** The error of the class that is named. */
export function errorOf(of: { class: Class; message: string } & ErrorParts): EverloopError {
  const { class: name, message, ...parts } = of;
  // A newer server may know more classes.
  const known = CLASSES as Partial<typeof CLASSES>;
  return new (known[name] ?? InternalError)(message, parts);
}

/** The error that a record or an answer carries. */
export function fromWire(error: WireError, more: ErrorParts = {}): EverloopError {
  // A task that ended with a recorded failure says which step it was, and what class the failure had.
  const details = error.details as { recorded_step?: string; class?: Class; details?: unknown } | undefined;
  if (details?.recorded_step === undefined || details.class === undefined)
    return errorOf({ ...error, ...more });
  const shown = errorOf({ ...error, class: details.class, details: details.details, ...more });
  shown.step = details.recorded_step;
  return shown;
}

/** How many characters of a message are recorded: an event has no room for everything. */
const MESSAGE_CHARS = 10_000;

/** Text that every reader takes: half a character is none. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** What is recorded of something that was thrown. */
export function toWire(thrown: unknown): WireError {
  if (!(thrown instanceof Error))
    return { class: "internal", code: "error", message: message(String(thrown)) };
  if (thrown instanceof EverloopError) {
    const wire: WireError = { class: thrown.class, code: thrown.code, message: message(thrown.message) };
    if (thrown.details !== undefined) wire.details = details(thrown.details);
    return wire;
  }
  const name = thrown.constructor.name === "Error" ? thrown.name : thrown.constructor.name;
  return { class: "internal", code: snakeCase(name), message: message(thrown.message) };
}

function message(text: string): string {
  return wellFormed(text.length > MESSAGE_CHARS ? `${text.slice(0, MESSAGE_CHARS)}…` : text);
}

/** An error must not fail for what it says about itself. */
function details(of: unknown): unknown {
  try {
    return JSON.parse(canonical(of));
  } catch (error) {
    return { left_out: String(error) };
  }
}

/** Whether a retry policy spends a try on it. */
export function isRetried(name: Class): boolean {
  return name === "transient" || name === "internal";
}

/** Whether something that was thrown is not tried again. */
export function isFinal(thrown: unknown): boolean {
  return !isRetried(toWire(thrown).class);
}

/** `CardDeclined` as `card_declined`. */
export function snakeCase(name: string): string {
  const snake = name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").replace(/([A-Z]+)([A-Z][a-z])/g, "$1_$2");
  return snake.toLowerCase().replace(/[^a-z0-9_]+/g, "_") || "error";
}
