import { randomUUID } from "node:crypto";
import { canonical, intent as intentOf } from "./canonical.js";
import { VERSION } from "./journal.js";
import {
  type Frame,
  frameFor,
  never,
  nextKey,
  stand,
  standsBeforeNew,
  standsBehindRecorded,
} from "./scope.js";

const NULL_INTENT = intentOf("null");

/** A value that differs from one run to the next, and stays as it was for every replay. */
async function value<T>(name: string, make: () => T): Promise<T> {
  const frame = frameFor(name);
  const { scope } = frame;
  const { attempt } = scope;
  if (scope.isAbandoned) return await never();
  const key = nextKey(frame, name);
  const found = attempt.journal.find(key, "value", NULL_INTENT);
  if (!("is" in found)) return await attempt.mismatch(found);
  if (found.is === "outcome" && "result" in found.outcome) {
    scope.delivered(found.order);
    return found.outcome.result as T;
  }
  if (standsBeforeNew(frame)) return await stand(frame, key);
  if (!attempt.goesOn(frame)) return await never();
  const made = make();
  scope.delivered(attempt.record(key, "value", NULL_INTENT, canonical(made), new Date().toISOString()));
  if (standsBehindRecorded(frame)) return await stand(frame, key);
  return made;
}

/** The time when the task first came by here. */
export async function now(): Promise<Date> {
  return new Date(await value("now", () => Date.now()));
}

/** A random number from 0 to 1, the same for every replay. */
export async function random(): Promise<number> {
  return await value("random", () => Math.random());
}

/** A new UUID, the same for every replay. */
export async function uuid(): Promise<string> {
  return await value("uuid", () => randomUUID());
}

/**
 * Which version of the code goes on from here: `max` where a task comes by for the first time, whatever it was then on every
 * later attempt, and `min` where it had gone on from here before there was a gate. One id decides once in a scope.
 */
export async function version(id: string, min: number, max: number): Promise<number> {
  const frame: Frame = frameFor("version");
  const { scope } = frame;
  const { attempt } = scope;
  if (scope.isAbandoned) return await never();
  const { journal } = attempt;
  if (!frame.cleanup) scope.settle();
  const key = `${scope.prefix}${id}#${VERSION}`;
  const known = journal.version(key);
  if (known !== undefined) {
    if (known >= min && known <= max) return known;
    const what = `gate ${key} was passed as version ${known}, which the code does not have`;
    return await attempt.mismatch({ what, step: key, recorded: { version: known }, code: { max, min } });
  }
  if (!attempt.goesOn(frame)) return await never();
  const decided = journal.hasAhead(scope.path) ? min : max;
  journal.decideVersion(key, decided);
  attempt.record(key, VERSION, NULL_INTENT, String(decided), new Date().toISOString());
  if (standsBehindRecorded(frame)) return await stand(frame, key);
  return decided;
}
