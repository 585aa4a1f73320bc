import type { Wait } from "./api/types.js";
import { intent as intentOf } from "./canonical.js";
import { ValidationError } from "./errors.js";
import { type Frame, frameFor, never, nextKey, stand, standsBeforeNew } from "./scope.js";
import { now, timer, WARM_MS } from "./step.js";

/** The kind of the record of a sleep that passed while another branch ran. */
const SLEEP = "sleep";
const NULL_INTENT = intentOf("null");

/** Milliseconds, or a number with a unit: `250ms`, `30s`, `5m`, `2h`, `7d`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration in milliseconds. */
export function milliseconds(duration: Duration): number {
  if (typeof duration === "number" && duration >= 0) return duration;
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(duration)) ?? [];
  const factor = UNITS[unit ?? ""];
  if (digits === undefined || factor === undefined) {
    const message = `${JSON.stringify(duration)} is no duration: give milliseconds, or 250ms, 30s, 5m, 2h, 7d`;
    throw new ValidationError(message, { code: "bad_duration" });
  }
  return Number(digits) * factor;
}

/** Waits for a time to pass, across restarts. A wait of two seconds or more frees the worker. */
export async function sleep(name: string, duration: Duration): Promise<void> {
  const ms = milliseconds(duration);
  const frame = frameFor("sleep");
  const { scope } = frame;
  const { attempt } = scope;
  const id = nextKey(frame, name);
  if (!attempt.goesOn(frame)) return await never();
  const { journal } = attempt;
  const found = journal.find(id, SLEEP, NULL_INTENT);
  if (!("is" in found)) return await attempt.mismatch(found);
  if (found.is === "outcome") return scope.delivered(found.order);
  if (journal.hasFired(id)) return;
  // One that was waited for together with other things fires when it was first said to.
  const at = journal.timer(id) ?? Date.now() + ms;
  const left = at - Date.now();
  if (left < WARM_MS) {
    // What is recorded behind it was made when it was over.
    if (left <= 0 || scope.lies === "past" || journal.hasAhead(scope.path)) return;
    if (standsBeforeNew(frame)) return await stand(frame, id);
  }
  scope.begin();
  try {
    const startedAt = now();
    const passed = await timer(frame, id, at);
    // Nothing else says that it has passed.
    if (passed) scope.delivered(attempt.record(id, SLEEP, NULL_INTENT, "null", startedAt));
  } finally {
    scope.finish();
  }
}

/** Takes the next input of a name, waiting for it as long as it takes. */
export async function waitForInput<T = unknown>(name: string): Promise<T> {
  const frame = frameFor("waitForInput");
  const { scope } = frame;
  const { attempt } = scope;
  const id = nextKey(frame, name);
  if (!attempt.goesOn(frame)) return await never();
  const found = attempt.journal.input(id, name);
  if (!found) return await standby(frame, { input: { id, name } }, id);
  if (found.taken !== undefined) attempt.push("task.input_taken", { id: found.taken, step: id });
  return (await resolved(frame, found.data)) as T;
}

/** What a person is asked. */
export interface Question {
  prompt: string;
  /** Words that may be answered; any when there are none. */
  choices?: string[];
  /** What whoever decides should see. */
  details?: unknown;
}

/** What a person has answered. */
export interface Answer<T = unknown> {
  decision: string;
  /** Why, in the words of whoever decided. */
  note?: string;
  /** A value that came with it. */
  result?: T;
}

/** Asks a person and waits for the answer, as long as it takes. */
export async function ask<T = unknown>(name: string, question: Question): Promise<Answer<T>> {
  const frame = frameFor("ask");
  const { scope } = frame;
  const { attempt } = scope;
  const id = nextKey(frame, name);
  if (!attempt.goesOn(frame)) return await never();
  const answer = attempt.journal.decision(id);
  if (answer) {
    const { decision, note } = answer;
    const given: Answer<T> = { decision };
    if (note !== undefined) given.note = note;
    if (answer.result !== undefined) given.result = (await resolved(frame, answer.result)) as T;
    return given;
  }
  if (!attempt.journal.ask(id)) {
    const { prompt, choices, details } = question;
    const request: Record<string, unknown> = { choices: choices ?? [], id, prompt };
    if (details !== undefined) request.details = details;
    attempt.push("approval.requested", request);
  }
  return await standby(frame, { decision: { id } }, id);
}

/** Asks a person for an approval: whether it was given. */
export async function askForApproval(name: string, prompt: string, details?: unknown): Promise<boolean> {
  const question: Question = { prompt, choices: ["approve", "reject"] };
  if (details !== undefined) question.details = details;
  return (await ask(name, question)).decision === "approve";
}

/** Waits for what only another attempt can see. */
export async function standby<T>(frame: Frame, leaf: Wait, id: string): Promise<T> {
  await frame.scope.wait(leaf, id, frame.cleanup ?? false);
  return await never();
}

/** The value itself, where it was too large for its event. */
async function resolved(frame: Frame, value: unknown): Promise<unknown> {
  frame.scope.begin();
  try {
    return await frame.scope.attempt.resolve(value);
  } finally {
    frame.scope.finish();
  }
}
