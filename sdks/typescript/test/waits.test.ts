import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ask,
  askForApproval,
  CancelledError,
  callChild,
  cleanup,
  continueAs,
  emit,
  frame,
  type Item,
  log,
  now,
  parallel,
  progress,
  random,
  signal,
  startChild,
  step,
  task,
  token,
  uuid,
  ValidationError,
  version,
  waitForInput,
} from "everloop";
import { harness, reaches, story, until } from "./help.js";

const approval = task("approval", async () => {
  const answer = await ask("ok", { prompt: "ok?", choices: ["yes", "no"], details: { sum: 3 } });
  return { ...answer, again: await askForApproval("sure", "sure?") };
});

const echo = task("echo", async (input: unknown) => input);
const fails = task("fails", async () => {
  throw new ValidationError("the child says no", { code: "declined" });
});
const down = task("down", async (n: number): Promise<string> => {
  await step.run("count", () => n);
  if (n > 0) await continueAs(n - 1);
  return "end";
});

const family = task("family", async () => {
  const children = [];
  for (const name of ["ada", "bob"]) children.push(await startChild(echo, [{ name }]));
  const results = await Promise.all(children.map((child) => child.result()));
  const long = await callChild(down, [2]);
  let declined = "";
  try {
    await callChild(fails, []);
  } catch (error) {
    assert.ok(error instanceof ValidationError);
    declined = error.code;
  }
  await waitForInput("go");
  return { results, long, declined };
});

const values = task("values", async () => {
  const seen = [(await now()).toISOString(), await random(), await uuid(), await uuid()];
  const first = JSON.stringify(seen);
  await waitForInput("go");
  return { seen, first };
});

let gates = { min: 1, max: 1, has: false };
const gated = task("gated", async () => {
  await step.run("before", () => 1);
  const which = gates.has ? await version("gate", gates.min, gates.max) : 0;
  await step.run("after", () => 1);
  await waitForInput("go");
  return which;
});

const said = task("said", async () => {
  progress({ done: 1, total: 2, note: "half" });
  log("hello");
  emit("kit", { a: 1 });
  await step.run("speak", async () => {
    for (const word of ["to", "ken"]) token(word);
    frame("mine", { b: 2 });
  });
  return null;
});

let cleaned: string[] = [];
let isWorking = false;
const work = task("work", async () => {
  try {
    await step.run("work", async () => {
      isWorking = true;
      signal().addEventListener("abort", () => cleaned.push("aborted"));
      await new Promise(() => {});
    });
  } finally {
    await cleanup(() =>
      step.run("tidy", () => {
        cleaned.push("tidy");
      }),
    );
  }
});

const limited = task("limited", { policy: { timeout_ms: 50, retry: { max_tries: 1 } } }, async () => {
  await step.run("hang", () => new Promise(() => {}));
});

let isRunning = false;
let mayEnd = () => {};
const paused = task("paused", async () => {
  const one = await step.run("one", async () => {
    isRunning = true;
    await new Promise<void>((resolve) => {
      mayEnd = resolve;
    });
    return 1;
  });
  return one + (await step.run("two", () => 2));
});

let mayPass = () => {};
const branched = task("branched", async () => {
  return await parallel([
    () =>
      step.run("long", async () => {
        isRunning = true;
        await new Promise<void>((resolve) => {
          mayEnd = resolve;
        });
        return "long";
      }),
    async () => {
      await step.run("short", () => new Promise<void>((resolve) => (mayPass = resolve)));
      return await step.run("next", () => "next");
    },
  ]);
});

const many = task("many", async (a: number, b: string, c?: number) => [a, b, c ?? "none"]);
const inputs = task("inputs", async () => [
  await waitForInput("n"),
  await waitForInput("n"),
  await waitForInput("n"),
]);

const tasks = [
  approval,
  echo,
  fails,
  down,
  family,
  values,
  gated,
  said,
  work,
  limited,
  paused,
  branched,
  many,
  inputs,
];
const { client, worker, work: employ } = await harness(tasks);

test("a person is asked, and the answer is kept", async () => {
  const { id } = await client.submit(approval, []);
  await reaches(client, id, "waiting");
  const { items } = await client.inbox();
  assert.deepEqual(
    [items[0]?.prompt, items[0]?.choices, items[0]?.details],
    ["ok?", ["yes", "no"], { sum: 3 }],
  );
  await client.decide(id, { id: "ok#1", decision: "yes", note: "fine", result: 5 });
  await until("it asks again", async () => (await client.task(id)).open_requests?.includes("sure#1"));
  await client.decide(id, { id: "sure#1", decision: "reject" });
  assert.deepEqual(await client.result(id), { decision: "yes", note: "fine", result: 5, again: false });
});

test("children are started, awaited and heard when they fail or go on", async () => {
  const { id } = await client.submit(family, []);
  await until("it waits for go", async () =>
    JSON.stringify((await client.task(id)).waiting_for ?? null).includes("go"),
  );
  await client.sendInput(id, "go");
  assert.deepEqual(await client.result(id), {
    results: [{ name: "ada" }, { name: "bob" }],
    long: "end",
    declined: "declined",
  });
  assert.equal((await client.children(id)).items.length, 6);
  const story_ = await story(client, id);
  assert.ok(story_.includes("step.completed echo#2/result#1"), story_.join("\n"));
});

test("a task goes on as another, and whoever waits gets the end", async () => {
  const { id } = await client.submit(down, [3], { key: "down" });
  assert.equal(await client.result(id), "end");
  assert.equal((await client.wait(id)).state, "completed");
});

test("time, chance and ids stay as they were", async () => {
  const { id } = await client.submit(values, []);
  await reaches(client, id, "waiting");
  await client.sendInput(id, "go");
  const { seen, first } = await client.result<{ seen: string[]; first: string }>(id);
  assert.equal(JSON.stringify(seen), first);
  assert.notEqual(seen[2], seen[3]);
});

test("a gate lets old tasks go the old way and new ones the new", async () => {
  gates = { has: false, min: 1, max: 1 };
  const old = await client.submit(gated, []);
  await reaches(client, old.id, "waiting");
  gates = { has: true, min: 1, max: 2 };
  const young = await client.submit(gated, []);
  await reaches(client, young.id, "waiting");
  for (const { id } of [old, young]) await client.sendInput(id, "go");
  assert.deepEqual([await client.result(old.id), await client.result(young.id)], [1, 2]);
});

test("what a task says is heard: progress, logs, events and frames", async () => {
  // The follower is there before the task runs: frames are for those who listen.
  const { id } = await client.submit(said, [], { not_before: new Date(Date.now() + 600).toISOString() });
  const items: Item[] = [];
  for await (const item of client.follow(id, { frames: true })) items.push(item);
  const types = items.map((item) => item.type);
  for (const type of ["task.progress", "log", "custom.kit", "token", "mine", "task.completed"]) {
    assert.ok(types.includes(type), `${type} in ${types}`);
  }
  const tokens = items.filter((item) => item.is === "frame" && item.type === "token");
  assert.deepEqual(
    tokens.map((item) => (item.is === "frame" ? item.data : "")),
    ["to", "ken"],
  );
});

test("a cancelled task stops, cleans up and ends cancelled", async () => {
  cleaned = [];
  isWorking = false;
  const { id } = await client.submit(work, []);
  await until("it works", () => isWorking);
  await client.cancel(id, "enough");
  await assert.rejects(client.result(id), (error) => error instanceof CancelledError && error.task === id);
  assert.deepEqual(cleaned, ["aborted", "tidy"]);
  assert.ok((await story(client, id)).includes("step.completed tidy#1"));
});

test("a worker that stops hears that its task was cancelled", async () => {
  isWorking = false;
  const { id } = await client.submit(work, []);
  await until("it works", () => isWorking);
  const stopped = worker.stop();
  await client.cancel(id, "enough");
  await stopped;
  await employ();
  await assert.rejects(client.result(id), (error) => error instanceof CancelledError && error.task === id);
  const happened = await story(client, id);
  assert.ok(happened.includes("step.completed tidy#1"), happened.join());
  assert.ok(!happened.includes("task.lease_lost"), happened.join());
});

test("an attempt that runs too long fails with timeout", async () => {
  const { id } = await client.submit(limited, []);
  await assert.rejects(client.result(id), (error) => (error as CancelledError).code === "timeout");
});

test("a paused task stands still at its next step and goes on from there", async () => {
  isRunning = false;
  const { id } = await client.submit(paused, []);
  await until("it runs", () => isRunning);
  await client.pause(id, "lunch");
  await reaches(client, id, "pausing");
  mayEnd();
  const view = await reaches(client, id, "paused");
  assert.equal(view.steps, 1);
  await client.resume(id);
  assert.equal(await client.result(id), 3);
});

test("a task that is resumed before it stood still goes on", async () => {
  isRunning = false;
  const { id } = await client.submit(branched, []);
  await until("it runs", () => isRunning);
  await client.pause(id);
  await reaches(client, id, "pausing");
  mayPass();
  await until("the other branch has come to its next step", async () => (await client.task(id)).steps === 1);
  await client.resume(id);
  mayEnd();
  assert.deepEqual(await client.result(id), ["long", "next"]);
});

test("arguments come as they were given", async () => {
  assert.deepEqual(await client.result((await client.submit(many, [1, "b"])).id), [1, "b", "none"]);
  assert.deepEqual(await client.result((await client.submit(many, [1, "b", 3])).id), [1, "b", 3]);
  assert.deepEqual(await client.result((await client.submit(echo, [[1, 2]])).id), [1, 2]);
  assert.equal(await client.result((await client.submit(echo, [undefined])).id), null);
});

test("inputs are taken in their order, whoever is first", async () => {
  const { id } = await client.submit(inputs, []);
  for (const n of [1, 2, 3]) await client.sendInput(id, "n", n);
  assert.deepEqual(await client.result(id), [1, 2, 3]);
});
