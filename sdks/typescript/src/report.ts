import { notJson } from "./attempt.js";
import { canonical } from "./canonical.js";
import { ValidationError, wellFormed } from "./errors.js";
import { currentFrame, type StepContext } from "./scope.js";

/** How much a log line matters. */
export type Level = "debug" | "info" | "warn" | "error";

/** How far a task has got. */
export interface Progress {
  done?: number;
  total?: number;
  note?: string;
}

/** What is written between steps is not written again while they are replayed. */
function speaking() {
  const frame = currentFrame();
  if (!frame) return undefined;
  const { attempt } = frame.scope;
  if (attempt.replay === "only") return undefined;
  return frame.step || !attempt.journal.hasAhead("") ? attempt : undefined;
}

/** Says how far the task has got. Written at most ten times a second. Outside of a task nothing happens. */
export function progress(of: Progress): void {
  speaking()?.progress(of);
}

/** Writes a log line of the task. Outside of a task it goes to the console. */
export function log(text: string, level: Level = "info"): void {
  if (!currentFrame()) console[level](text);
  else {
    // A chunk has at most 16 KiB, whatever characters it has.
    for (const [chunk] of wellFormed(text).matchAll(/[^]{1,4000}/gu)) {
      speaking()?.push("log", { level, offset: 0, source: "executor", text: chunk });
    }
  }
}

/** Writes an event of your own into the task's stream: `custom.<name>`. */
export function emit(name: string, data: unknown = {}): void {
  if (!/^[a-z0-9_.]{1,64}$/.test(name)) {
    const message = `${JSON.stringify(name)} can't name an event: lower-case letters, digits, _ and . only`;
    throw new ValidationError(message, { code: "bad_name" });
  }
  try {
    speaking()?.write(`custom.${name}`, canonical(data ?? null));
  } catch (error) {
    throw notJson(`event custom.${name}`, error);
  }
}

/** Shows something to live followers: it is not stored, and may be lost. */
export function frame(type: string, data: unknown): void {
  speaking()?.show(type, data);
}

/** Shows a token of a model's answer to live followers. */
export function token(text: string): void {
  frame("token", text);
}

/** What is known inside of a step: its idempotency key, its signal, its try. */
export function stepContext(): StepContext {
  const context = currentFrame()?.step;
  if (context) return context;
  throw new ValidationError("stepContext can only be called inside of a step of a task", { code: "no_step" });
}

/** The key that makes the effect of the step that runs happen once where it is made. */
export function idempotencyKey(): string {
  return stepContext().idempotencyKey;
}

/** Aborted when what runs shall stop: the step, or the task. Outside of a task it never is. */
export function signal(): AbortSignal {
  const frame = currentFrame();
  return frame?.step?.signal ?? frame?.scope.attempt.signal ?? new AbortController().signal;
}

/** The task that runs: its id, key, attempt and labels. */
export function taskInfo(): { id: string; attempt: number; key?: string; labels: Record<string, string> } {
  const assignment = currentFrame()?.scope.attempt.assignment;
  if (!assignment)
    throw new ValidationError("taskInfo can only be called inside of a task", { code: "no_task" });
  const { task: id, attempt, spec } = assignment;
  const info = { id, attempt, labels: spec.labels ?? {} };
  return spec.key ? { ...info, key: spec.key } : info;
}
