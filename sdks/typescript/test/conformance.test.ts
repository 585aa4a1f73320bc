import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CancelledError, Client, LocalServer } from "everloop";
import { folder, reaches, story, until } from "./help.js";

const data = join(folder(), ".everloop");
const server = LocalServer.of(data);
const endpoint = await server.endpoint();
const client = new Client(endpoint);

function startWorker(more: NodeJS.ProcessEnv = {}) {
  const script = fileURLToPath(new URL("../conformance/worker.js", import.meta.url));
  const env = { ...process.env, EVERLOOP_URL: endpoint.url, EVERLOOP_API_KEY: endpoint.apiKey, ...more };
  const child = spawn(process.execPath, [script], { env, stdio: "inherit" });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  return { child, ended };
}

let worker = startWorker();
await until("the kit works", async () =>
  (await client.kinds()).items.some((kind) => kind.name === "kit.echo"),
);
after(async () => {
  worker.child.kill("SIGTERM");
  // A worker that is asked to stop ends well.
  assert.equal(await worker.ended, 0);
  await server.stop();
});

const start = async (kind: string, input: unknown = {}) => (await client.submit({ kind, input })).id;
const gives = async (kind: string, input: unknown = {}) => client.result(await start(kind, input));

test("the kinds of the kit do what the kit says", async () => {
  assert.deepEqual(await gives("kit.echo", { a: [1, null] }), { a: [1, null] });
  assert.equal(await gives("kit.steps", { n: 5 }), 30);
  assert.deepEqual(await gives("kit.two_stage_map", { items: [1, 2, 3] }), [4, 6, 8]);
  assert.deepEqual(await gives("kit.race"), { winner: 1, value: "fast" });
  assert.deepEqual(await gives("kit.failing_step"), { caught: "boom" });
  assert.equal(await gives("kit.retry_step", { fails: 3 }), 4);
  const policy = { retry: { max_tries: 1 } };
  const flaky = await client.submit({ kind: "kit.retry_step", input: { fails: 5 }, policy });
  await assert.rejects(client.result(flaky.id), /try 5/);
  assert.equal(await gives("kit.sleep", { ms: 5 }), null);
  assert.equal(await gives("kit.in_doubt", { on_unknown: "rerun" }), "charged");
  assert.equal(await gives("kit.large", { bytes: 1_000_000 }), 1_000_000);
  assert.equal(await gives("kit.child"), "hi");
  assert.equal(await gives("kit.version"), 2);
  assert.equal(await gives("kit.progress"), null);
  assert.equal(await gives("kit.continue", { n: 3 }), "end");
  const waiting = await start("kit.wait_input");
  await client.sendInput(waiting, "go", { x: 1 });
  assert.deepEqual(await client.result(waiting), { x: 1 });
  const asked = await start("kit.ask");
  await until("it asks", async () => (await client.task(asked)).open_requests?.includes("ok#1"));
  await client.decide(asked, { id: "ok#1", decision: "yes", result: 2 });
  assert.deepEqual(await client.result(asked), { decision: "yes", result: 2 });
});

test("a cancelled task of the kit cleans up and ends cancelled", async () => {
  const id = await start("kit.cleanup");
  await reaches(client, id, "running");
  await client.cancel(id);
  await assert.rejects(client.result(id), CancelledError);
  assert.ok((await story(client, id)).includes("step.completed tidy#1"));
});

test("a worker that is killed gives way to another, which asks about what was cut off", async () => {
  const id = await start("kit.in_doubt", { on_unknown: "ask", ms: 60_000 });
  await until("it has begun", async () => (await story(client, id)).includes("step.started charge#1"));
  const { items } = await client.workers();
  worker.child.kill("SIGKILL");
  await worker.ended;
  worker = startWorker();
  for (const one of items) if (one.tasks.includes(id)) await client.removeWorker(one.id);
  const item = await until("it asks", async () =>
    (await client.inbox()).items.find((one) => one.task === id),
  );
  await client.decide(id, { id: item.id, decision: "happened", result: "charged once" });
  assert.equal(await client.result(id), "charged once");
});
