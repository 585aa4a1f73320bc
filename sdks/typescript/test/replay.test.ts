// What an attempt does that is asked to replay only, or always.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import {
  CancelledError,
  cleanup,
  log,
  map,
  now,
  random,
  race,
  signal,
  sleep,
  step,
  task,
  timeout,
  uuid,
  version,
} from "everloop";
import { until } from "./help.js";
import { scripted } from "./scripted.js";

let done: string[] = [];
beforeEach(() => {
  done = [];
});

const note = step("note", async (what: string) => {
  done.push(what);
  return [what];
});

async function two(name: string): Promise<string[]> {
  const first = await note(`${name}1`);
  // The next run must not see what this one made of it.
  first.push("changed");
  return [...first, ...(await note(`${name}2`))];
}

const branches = task("branches", async (names: string[]) => {
  names.push("c");
  assert.equal(names.length, 3);
  return [await map(names, two), await note("end")];
});

const beside = task("beside", async () => [await Promise.all([note("x"), note("y")]), await note("z")]);

const hurried = task("hurried", async () => {
  try {
    await timeout("limit", 50, () => sleep("long", 1_000));
  } catch (error) {
    if (error instanceof CancelledError) await note("late");
  }
  const slow = async () => [...(await two("slow")), await sleep("long", 1_000)];
  const { winner, value } = await race([slow, () => two("fast")]);
  const drawn = [await now(), await random(), await uuid(), await version("gate", 1, 2)];
  return [winner, value, drawn.length];
});

let begun = 0;
const impure = task("impure", async () => {
  begun += 1;
  await note("same");
  await note(`run ${begun}`);
  await note("behind");
});

const gated = task("gated", async () => {
  const way = await version("gate", 1, 2);
  await note("first");
  log("said once");
  await sleep("nap", 10);
  return [way, await random()];
});

const cancelled = task("cancelled", async () => {
  try {
    await note("begun");
    await step.run("work", () => pass(60_000, undefined, { signal: signal() }));
  } finally {
    await cleanup(() => note("tidied"));
  }
});

const { begin, run, tell } = await scripted([branches, beside, hurried, impure, gated, cancelled]);
const steps = (of: Awaited<ReturnType<typeof run>>) =>
  of.events.filter(({ type }) => type === "step.completed");

test("after every step everything is replayed, and nothing is done again", async () => {
  const said = await run(branches, ["a", "b"], "always");
  const lists = ["a", "b", "c"].map((name) => [`${name}1`, "changed", `${name}2`]);
  assert.deepEqual(said.body.result, [lists, ["end"]]);
  assert.deepEqual(done.sort(), ["a1", "a2", "b1", "b2", "c1", "c2", "end"]);
  assert.equal(steps(said).length, 7);
  assert.ok(said.calls <= 8, `${said.calls} calls`);
});

test("a dry run comes as far as each branch is recorded", async () => {
  const whole = await run(branches, ["a", "b"]);
  done = [];
  const past = steps(whole).filter(({ data }) => !/^note|\[1\]/.test(data.step ?? ""));
  const rest = past.filter(({ data }) => data.step !== "map#1[2]/note#2");
  const said = await run(branches, ["a", "b"], "only", rest);
  const details = { ahead: 0, at: ["map#1[1]/note#1", "map#1[2]/note#2"] };
  assert.deepEqual(said.body.paused, { by: "", reason: "replayed", details });
  assert.equal(said.calls, 1);
  assert.deepEqual((await run(branches, ["a", "b"], "only", steps(whole))).body.result, whole.body.result);
  assert.deepEqual(done, []);
});

test("steps that run beside each other are each run once", async () => {
  assert.deepEqual((await run(beside, undefined, "always")).body.result, [[["x"], ["y"]], ["z"]]);
  assert.deepEqual(done.sort(), ["x", "y", "z"]);
});

test("who wins a race wins it where everything is replayed", async () => {
  const said = await run(hurried, undefined, "always");
  assert.deepEqual(said.body.result, [1, ["fast1", "changed", "fast2"], 4]);
  assert.equal(new Set(done).size, done.length);
  const many = done.length;
  assert.deepEqual((await run(hurried, undefined, "only", steps(said))).body.result, said.body.result);
  assert.equal(done.length, many);
});

test("code that looks at a variable outside is seen at once", async () => {
  assert.equal((await run(impure, undefined)).act, "finish");
  done = [];
  const said = await run(impure, undefined, "always");
  assert.equal(said.body.paused?.reason, "nondeterminism");
  assert.equal(said.body.paused.details.step, "note#2");
  assert.deepEqual(done, ["same", "run 3"]);
});

test("a dry run passes a new gate, and draws nothing", async () => {
  const past = steps(await run(gated, undefined)).filter(({ data }) => data.step === "note#1");
  done = [];
  const said = await run(gated, undefined, "only", past);
  assert.deepEqual(said.body.paused?.details, { ahead: 0, at: ["nap#1"] });
  assert.deepEqual(said.events, []);
  assert.deepEqual(done, []);
  const logs = (await run(gated, undefined, "always")).events.filter(({ type }) => type === "log");
  assert.deepEqual(
    logs.map(({ data }) => data.text),
    ["said once"],
  );
});

test("who is cancelled cleans up once", async () => {
  const said = begin(cancelled, undefined, "always");
  await until("the first step", () => steps(said).length > 0);
  tell("cancel");
  await until("the end", () => said.act !== undefined);
  assert.equal(said.body.cancelled, true);
  assert.deepEqual(done, ["begun", "tidied"]);
});
