import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AuthError,
  EverloopError,
  InternalError,
  idempotencyKey,
  log,
  step,
  stepContext,
  stepIdempotencyKey,
  TransientError,
  task,
  ValidationError,
  waitForInput,
} from "everloop";
import { harness, reaches, story, until } from "./help.js";

let ran: string[] = [];
const note = step("note", async (what: unknown) => {
  ran.push(`note ${JSON.stringify(what)}`);
  return what;
});

const sequence = task("sequence", async (n: number) => {
  let sum = 0;
  for (let i = 0; i < n; i += 1) sum += (await note(i)) as number;
  return sum;
});

const replayed = task("replayed", async () => {
  await note("before");
  log("once");
  const go = await waitForInput<string>("go");
  await note("after");
  return go;
});

const flaky = task("flaky", async (options: { fails: number; retries: number; backoffMs: number }) => {
  const { fails, ...more } = options;
  let tries = 0;
  return await step.run("flaky", more, () => {
    tries = stepContext().try;
    if (tries <= fails) throw new TransientError(`try ${tries}`, { code: "busy" });
    return tries;
  });
});

class CardDeclined extends ValidationError {}

const caught = task("caught", async () => {
  const seen: unknown[] = [];
  for (const thrown of [new CardDeclined("no"), new AuthError("who"), new TypeError("bug")]) {
    try {
      await step.run("boom", () => {
        throw thrown;
      });
    } catch (error) {
      assert.ok(error instanceof EverloopError);
      seen.push([error.name, error.class, error.code, error.message]);
    }
  }
  await waitForInput("go");
  return seen;
});

let booms = 0;
const uncaught = task(
  "uncaught",
  { policy: { retry: { max_tries: 3, initial_ms: 10 } } },
  async (fails: number) =>
    step.run("boom", () => {
      booms += 1;
      if (booms <= fails) throw new TypeError("it is broken");
      return booms;
    }),
);

const rethrown = task("rethrown", async () => {
  try {
    await step.run("boom", () => {
      throw new TypeError("it is broken");
    });
  } catch (error) {
    await note("caught");
    throw error;
  }
});

const broken = task("broken", { policy: { retry: { max_tries: 2, initial_ms: 10 } } }, async () => {
  throw new RangeError("outside of a step");
});

const wordy = task("wordy", async () => {
  log("ä".repeat(300_000));
  const circle: { of?: unknown } = {};
  circle.of = circle;
  try {
    await step.run("wordy", () => {
      throw new ValidationError(`\ud800${"x".repeat(1_000_000)}`, { details: circle });
    });
  } catch (error) {
    const { message, details } = error as ValidationError;
    return [message, message.length, details];
  }
});

let argument = 1;
const changed = task("changed", async () => {
  await note(argument);
  await waitForInput("go");
  return "ok";
});

const slow = task("slow", { policy: { retry: { max_tries: 1 } } }, async () => {
  await step.run("slow", { timeoutMs: 30 }, () => new Promise(() => {}));
});

const bad = task("bad", async (which: string) => {
  if (which === "argument") await note({ deep: [() => 1] });
  else await step.run("result", () => new Map());
});

const keys = task("keys", async () => [
  await step.run("pay", () => idempotencyKey()),
  await step.run("pay", () => idempotencyKey()),
]);

const large = task("large", async (bytes: number) => {
  const text = await step.run("big", () => "x".repeat(bytes));
  await waitForInput("go");
  return text;
});

let charges = 0;
const charge = task("charge", async (options: { onUnknown: "ask" | "fail" | "verify"; knows?: boolean }) => {
  const { onUnknown, knows } = options;
  const verify = () => (knows ? { happened: "known" } : ("not_happened" as const));
  return await step.run("charge", onUnknown === "verify" ? { verify } : { onUnknown }, async () => {
    charges += 1;
    if (charges === 1)
      await new Promise((_, reject) => stepContext().signal.addEventListener("abort", reject));
    return "charged";
  });
});

const unnamed = task("unnamed", async () => {
  await step.run("outer", async () => {
    await note("inside");
  });
  await assert.rejects(
    step.run("outer", () => waitForInput("go")),
    /inside of step outer#2/,
  );
});

const tasks = [
  sequence,
  replayed,
  flaky,
  caught,
  uncaught,
  rethrown,
  wordy,
  broken,
  changed,
  slow,
  bad,
  keys,
  large,
  charge,
  unnamed,
];
const { client, work, ...started } = await harness(tasks, { drainMs: 200 });
let { worker } = started;

test("a journaled step costs one call", async () => {
  ran = [];
  const original = globalThis.fetch;
  const calls: string[] = [];
  globalThis.fetch = (input, init) => {
    const { pathname } = new URL(input);
    if (pathname.includes("/attempts/")) calls.push(pathname.split("/").pop() ?? "");
    return original(input, init);
  };
  try {
    const { id } = await client.submit(sequence, [10]);
    assert.equal(await client.result(id), 45);
  } finally {
    globalThis.fetch = original;
  }
  // The outcome of each step goes with the next call, and the last one with the end: as many calls as steps.
  assert.deepEqual(calls, [...Array(9).fill("events"), "finish"]);
});

test("steps are run once and replayed, and what is said between them is said once", async () => {
  ran = [];
  const { id } = await client.submit(replayed, []);
  await reaches(client, id, "waiting");
  await client.sendInput(id, "go", "went");
  assert.equal(await client.result(id), "went");
  assert.deepEqual(ran, ['note "before"', 'note "after"']);
  const types = await story(client, id);
  assert.equal(types.filter((type) => type === "log").length, 1);
  assert.ok(
    types.includes("task.input_taken go#1") || types.some((type) => type.startsWith("task.input_taken")),
  );
});

test("a step is tried again, and what it gives is of the try that succeeded", async () => {
  const { id } = await client.submit(flaky, [{ fails: 3, retries: 4, backoffMs: 10 }]);
  assert.equal(await client.result(id), 4);
  const failed = (await client.events(id)).items.filter((event) => event.type === "step.failed");
  assert.equal(failed.length, 3);
  for (const event of failed) assert.ok((event.data as { next_at?: string }).next_at);
});

test("a long delay before a retry frees the worker", async () => {
  const { id } = await client.submit(flaky, [{ fails: 1, retries: 1, backoffMs: 4_200 }]);
  const waiting = await reaches(client, id, "waiting");
  assert.match(JSON.stringify(waiting.waiting_for), /timer.*flaky#1\/try-2/);
  assert.equal(await client.result(id), 2);
});

test("failures are of the class that was thrown, the first time and in every replay", async () => {
  const { id } = await client.submit(caught, []);
  await reaches(client, id, "waiting");
  await client.sendInput(id, "go");
  assert.deepEqual(await client.result(id), [
    ["ValidationError", "validation", "card_declined", "no"],
    ["AuthError", "auth", "auth_error", "who"],
    ["InternalError", "internal", "type_error", "bug"],
  ]);
});

test("a failure that ends the try is tried again with the next one", async () => {
  booms = 0;
  assert.equal(await client.result((await client.submit(uncaught, [2])).id), 3);
  booms = 0;
  const { id } = await client.submit(uncaught, [9]);
  await assert.rejects(client.result(id), (error) => {
    assert.ok(error instanceof InternalError);
    assert.deepEqual([error.code, error.message, error.task], ["type_error", "it is broken", id]);
    return true;
  });
  assert.deepEqual([booms, (await client.task(id)).tries], [3, 3]);
});

test("a failure that the code went on with is recorded, and fails the task at once", async () => {
  const { id } = await client.submit(rethrown, []);
  await assert.rejects(client.result(id), (error) => {
    assert.ok(error instanceof InternalError);
    assert.deepEqual([error.code, error.message, error.step], ["type_error", "it is broken", "boom#1"]);
    return true;
  });
  assert.equal((await client.task(id)).tries, 1);
});

test("an error outside of steps is tried again by the task's policy", async () => {
  const { id } = await client.submit(broken, []);
  await assert.rejects(client.result(id), /outside of a step/);
  assert.equal((await client.task(id)).tries, 2);
});

test("code that has changed under its task pauses it, with both sides shown", async () => {
  argument = 1;
  const { id } = await client.submit(changed, []);
  await reaches(client, id, "waiting");
  argument = 2;
  await client.sendInput(id, "go");
  await assert.rejects(client.result(id), (error) => {
    assert.ok(error instanceof ValidationError);
    assert.equal(error.code, "nondeterminism");
    const { step: of, recorded, code } = error.details as Record<string, { intent: string }>;
    assert.equal(of, "note#1");
    assert.notEqual(recorded?.intent, code?.intent);
    return true;
  });
  argument = 1;
  await client.resume(id);
  assert.equal(await client.result(id), "ok");
});

test("what an error or a log line says can't keep it from being recorded", async () => {
  const { id } = await client.submit(wordy, []);
  const said = await client.result<[string, number, object]>(id);
  assert.deepEqual(said[0].slice(0, 3), "\ufffdxx");
  assert.deepEqual([said[1], Object.keys(said[2])], [10_001, ["left_out"]]);
  const { items } = await client.events(id, { types: ["log"] });
  const logged = items.map((event) => (event.data as { text: string }).text).join("");
  assert.equal(logged, "ä".repeat(300_000));
});

test("a try has a limit", async () => {
  const { id } = await client.submit(slow, []);
  await assert.rejects(client.result(id), /try 1 of step slow#1 took longer than 30 ms/);
});

test("what is no JSON is named with its step", async () => {
  const first = await client.submit(bad, ["argument"]);
  await assert.rejects(
    client.result(first.id),
    /argument 1 of step note#1 can't be recorded: \$\.deep\[0\] is a function/,
  );
  const second = await client.submit(bad, ["result"]);
  await assert.rejects(
    client.result(second.id),
    /the result of step result#1 can't be recorded: \$ is a Map/,
  );
});

test("each step shows the outside a key of its own", async () => {
  const { id } = await client.submit(keys, []);
  const expected = [stepIdempotencyKey(id, "pay#1"), stepIdempotencyKey(id, "pay#2")];
  assert.deepEqual(await client.result(id), expected);
});

test("values of any size are kept", async () => {
  for (const bytes of [300 * 1024, 20 * 1024 * 1024]) {
    const { id } = await client.submit(large, [bytes]);
    await reaches(client, id, "waiting");
    await client.sendInput(id, "go");
    assert.equal((await client.result<string>(id)).length, bytes);
  }
});

test("a step that was cut off is asked about, verified or failed, as it says", async () => {
  const cut = async (options: { onUnknown: "ask" | "fail" | "verify"; knows?: boolean }) => {
    charges = 0;
    const { id } = await client.submit(charge, [options]);
    await until("the step runs", () => charges === 1);
    // It has too little time to come to the end of the step: the worker leaves, and another one goes on.
    await worker.stop();
    worker = await work();
    return id;
  };
  const asked = await cut({ onUnknown: "ask" });
  const item = await until("it is asked", async () => (await client.inbox()).items[0]);
  assert.match(item.prompt ?? "", /charge was started and cut off/);
  await client.decide(asked, { id: item.id, decision: "happened", result: "by hand" });
  assert.equal(await client.result(asked), "by hand");
  assert.equal(charges, 1);

  const failed = await cut({ onUnknown: "fail" });
  await assert.rejects(client.result(failed), (error) => (error as EverloopError).code === "outcome_unknown");

  assert.equal(await client.result(await cut({ onUnknown: "verify", knows: true })), "known");
  assert.equal(charges, 1);
  assert.equal(await client.result(await cut({ onUnknown: "verify" })), "charged");
  assert.equal(charges, 2);
});

test("a step inside of a step is part of it, and waits have no place there", async () => {
  const { id } = await client.submit(unnamed, []);
  await client.result(id);
  assert.deepEqual(
    (await client.steps(id)).items.map((one) => one.step),
    ["outer#1", "outer#2"],
  );
});

test("outside of a task, a step is its function", async () => {
  assert.equal(await note(3), 3);
});
