import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CancelledError,
  map,
  parallel,
  race,
  scope,
  signal,
  sleep,
  step,
  task,
  timeout,
  ValidationError,
  waitForInput,
} from "everloop";
import { harness, reaches, story, until } from "./help.js";

let ran: string[] = [];
const pass = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const add = step("a", async (x: number) => {
  ran.push(`a${x}`);
  await pass(Math.random() * 5);
  return x + 1;
});
const double = step("b", async (x: number) => {
  ran.push(`b${x}`);
  return x * 2;
});

const stages = task("stages", async (items: number[]) => {
  const both = await map(items, async (x) => double(await add(x)));
  await waitForInput("go");
  return both;
});

const keyed = task("keyed", async (names: string[]) =>
  map(names, (name) => step.run("hello", () => `hello ${name}`), {
    key: (name) => name,
    name: "each",
    concurrency: 2,
  }),
);

const plain = task("plain", async () => {
  const both = await Promise.all([add(1), add(2), add(3)]);
  await waitForInput("go");
  return both;
});

const mixed = task("mixed", async () => {
  const [sum, , word] = await parallel([
    () => add(1),
    () => sleep("nap", 10),
    async () => {
      await waitForInput("go");
      return scope("inner", () => step.run("word", () => "done"));
    },
  ]);
  return [sum, word];
});

const first = task("first", async () => {
  const won = await race([
    () => step.run("slow", () => pass(300).then(() => "slow")),
    () => step.run("fast", () => pass(10).then(() => "fast")),
  ]);
  await waitForInput("go");
  return won;
});

const failing = task("failing", async () => {
  try {
    await parallel([
      async () => {
        await step.run("fine", () => 1);
        await step.run("late", () => new Promise(() => {}));
      },
      async () => {
        await step.run("soon", () => pass(20));
        await step.run("boom", () => {
          throw new ValidationError("no", { code: "first" });
        });
      },
      async () => {
        await step.run("then", () => new Promise(() => {}));
        throw new ValidationError("no", { code: "second" });
      },
    ]);
  } catch (error) {
    await waitForInput("go");
    return (error as ValidationError).code;
  }
});

const order = task("order", async () => {
  // Both fail at the same moment, the second one first. In a replay it must come first again.
  let begun = () => {};
  let open = () => {};
  const isWaiting = new Promise<void>((resolve) => (begun = resolve));
  const gate = new Promise<void>((resolve) => (open = resolve));
  let message = "";
  try {
    await parallel([
      async () => {
        await step.run("first", () => isWaiting);
        await step.run("tardy", async () => {
          setImmediate(open);
          await gate;
          throw new ValidationError("tardy");
        });
      },
      () =>
        step.run("hasty", async () => {
          begun();
          await gate;
          throw new ValidationError("hasty");
        }),
    ]);
  } catch (error) {
    message = (error as Error).message;
  }
  await waitForInput("go");
  return message;
});

let isAborted = false;
const limited = task("limited", async () => {
  try {
    await timeout("limit", 50, () =>
      step.run("long", async () => {
        signal().addEventListener("abort", () => {
          isAborted = true;
        });
        await new Promise(() => {});
      }),
    );
  } catch (error) {
    assert.ok(error instanceof CancelledError);
    await waitForInput("go");
    return error.code;
  }
});

const busy = task("busy", async () => {
  const started = Date.now();
  const { winner } = await race([
    () => step.run("work", () => new Promise(() => {})),
    // Longer than is held warm: it fires although the other branch keeps the task running.
    () => sleep("limit", "2100ms"),
  ]);
  const took = Date.now() - started;
  await waitForInput("go");
  return { winner, took };
});

const either = task("either", async () => {
  const { winner, value } = await race([() => waitForInput("go"), () => sleep("day", "1d")]);
  return { winner, value };
});

const nap = task("nap", async () => {
  await sleep("nap", "2500ms");
  return "rested";
});

const tasks = [stages, keyed, plain, mixed, first, failing, order, limited, busy, either, nap];
const { client } = await harness(tasks);

async function goesOn(id: string, data?: unknown) {
  await reaches(client, id, "waiting");
  await client.sendInput(id, "go", data ?? null);
  return await client.result(id);
}

test("a map with two stages gives each item its own, in any order of ends", async () => {
  ran = [];
  const items = Array.from({ length: 50 }, (_, i) => i);
  const { id } = await client.submit(stages, [items]);
  assert.deepEqual(
    await goesOn(id),
    items.map((x) => (x + 1) * 2),
  );
  assert.equal(ran.length, 100);
  assert.ok((await story(client, id)).includes("step.completed map#1[7]/b#1"));
});

test("items are named by their keys, and no more run at once than may", async () => {
  const { id } = await client.submit(keyed, [["x", "y", "z"]]);
  assert.deepEqual(await client.result(id), ["hello x", "hello y", "hello z"]);
  assert.ok((await story(client, id)).includes("step.completed each#1[z]/hello#1"));
});

test("plain Promise.all counts steps in the order of the calls", async () => {
  const { id } = await client.submit(plain, []);
  assert.deepEqual(await goesOn(id), [2, 3, 4]);
});

test("a task waits when every branch waits, and each branch has a scope", async () => {
  const { id } = await client.submit(mixed, []);
  const waiting = await reaches(client, id, "waiting");
  assert.deepEqual(waiting.waiting_for, { input: { id: "parallel#1[2]/go#1", name: "go" } });
  assert.deepEqual(await goesOn(id), [2, "done"]);
  assert.ok((await story(client, id)).includes("step.completed parallel#1[2]/inner#1/word#1"));
});

test("a race has one winner, for ever", async () => {
  const { id } = await client.submit(first, []);
  assert.deepEqual(await goesOn(id), { winner: 1, value: "fast" });
  const races = (await client.steps(id)).items.filter((one) => one.kind === "race");
  assert.deepEqual(
    races.map((one) => [one.step, one.result]),
    [["race#1", 1]],
  );
});

test("the first failure of a parallel is its failure, and the others stop", async () => {
  const { id } = await client.submit(failing, []);
  assert.equal(await goesOn(id), "first");
});

test("the failure that came first comes first in a replay", async () => {
  const { id } = await client.submit(order, []);
  assert.equal(await goesOn(id), "hasty");
  const failed = (await story(client, id)).filter((one) => one.startsWith("step.failed"));
  assert.deepEqual(failed, ["step.failed parallel#1[1]/hasty#1", "step.failed parallel#1[0]/tardy#1"]);
});

test("code has a limit in time, and hears of it", async () => {
  const { id } = await client.submit(limited, []);
  assert.equal(await goesOn(id), "timeout");
  assert.ok(isAborted);
});

test("a timer fires although another branch runs, and is known to have fired", async () => {
  const { id } = await client.submit(busy, []);
  const { winner, took } = (await goesOn(id)) as { winner: number; took: number };
  assert.equal(winner, 1);
  // The replay does not wait for it again.
  assert.ok(took < 2_000, `${took} ms`);
  assert.ok((await story(client, id)).includes("step.completed race#1[1]/limit#1"));
});

test("a race of waits suspends the task for any of them", async () => {
  const { id } = await client.submit(either, []);
  const waiting = await reaches(client, id, "waiting");
  assert.equal((waiting.waiting_for as { any: unknown[] }).any.length, 2);
  await client.sendInput(id, "go", 7);
  assert.deepEqual(await client.result(id), { winner: 0, value: 7 });
});

test("a longer sleep frees the worker and comes back in time", async () => {
  const { id } = await client.submit(nap, []);
  await until("it waits", async () => (await client.task(id)).state === "waiting");
  assert.equal(await client.result(id), "rested");
});
