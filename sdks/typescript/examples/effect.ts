// What the examples do to the world outside: a line in a file, with the key that tells it from a second one.
import { appendFileSync } from "node:fs";
import { setTimeout as pass } from "node:timers/promises";
import { stepContext } from "everloop";

/** Does something that takes a while, and that must not be done twice. */
export async function effect(what: string): Promise<void> {
  await pass(Number(process.env.EFFECT_MS ?? 5));
  const { idempotencyKey, step } = stepContext();
  const line = JSON.stringify({ at: Date.now(), idempotencyKey, step, what });
  if (process.env.EFFECTS) appendFileSync(process.env.EFFECTS, `${line}\n`);
}
