import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AuthError,
  Client,
  EverloopError,
  type Item,
  step,
  task,
  UnreachableError,
  ValidationError,
  waitForInput,
} from "everloop";
import { harness, reaches, until } from "./help.js";

const two = task("two", async (n: number) => {
  await step.run("one", () => n);
  return await waitForInput("go");
});
const failing = task("failing", async () => {
  throw new ValidationError("never");
});

const { client, url, apiKey, server } = await harness([two, failing]);

/** What the client asks of the server, by method and path. */
const asked = new Set<string>();
const original = globalThis.fetch;
globalThis.fetch = (input, init) => {
  asked.add(`${init?.method} ${new URL(input).pathname}`);
  return original(input, init);
};

test("everything that the API offers can be asked of the client", async () => {
  const { id } = await client.submit(two, [1], { key: "a/b ä", labels: { of: "test" } });
  const batch = await client.submitBatch([{ kind: "two", input: 2, key: "second" }, { kind: "failing" }]);
  assert.equal(batch.created, 2);
  await reaches(client, id, "waiting");
  assert.equal((await client.task("key:a/b ä")).id, id);
  assert.equal((await client.tasks({ label: "of=test" })).items.length, 1);
  const all: string[] = [];
  for await (const one of client.allTasks({ limit: 1 })) all.push(one.id);
  assert.equal(all.length, 3);
  assert.equal((await client.update(id, { title: "A title" })).title, "A title");
  await client.pause(id, "lunch");
  assert.ok((await client.controlState(id)).allowed.includes("resume"));
  await client.resume(id);
  assert.equal((await client.progress(id)).steps, 1);
  assert.equal((await client.steps(id)).items[0]?.step, "one#1");
  assert.equal((await client.attempts(id)).items.length, 1);
  await client.logs(id, 1, { level: "info" });
  assert.equal((await client.children(id)).items.length, 0);
  const fork = await client.fork(id, { from_step: "one#1", key: "fork" });
  await client.cancel(fork.id, "enough");
  await client.sendInput(id, "go", "went", "once");
  await client.sendInput(id, "go", "went", "once");
  assert.equal(await client.result(id), "went");
  assert.equal((await client.wait(id)).state, "completed");
  assert.deepEqual(
    [(await client.output(id)).result, (await client.output(id)).unconsumed ?? []],
    ["went", []],
  );
  assert.ok((await client.receipt(id)).receipt);
  assert.deepEqual(await client.verify(id), {
    verdict: "verified",
    events: (await client.task(id)).last_seq,
    gone: [],
  });
  assert.equal((await client.events(id, { types: ["step.*"] })).items.length, 1);
  assert.ok((await client.feedPage({ kind: ["two"] })).items.length > 5);
  const failed = await until("it failed", async () => (await client.deadLetters()).items[0]);
  const again = await client.redrive(failed.id);
  assert.equal(again.forked_from?.task, failed.id);
  const counted = await client.bulk({ act: "cancel", filter: { kind: ["two"] } });
  assert.ok(counted.matched >= 1);
  await client.bulk({ act: "cancel", filter: { kind: ["two"] }, expect: counted.matched });
  await reaches(client, "key:second", "cancelled");
  await client.delete("key:second");
  await assert.rejects(client.decide(id, { id: "none", decision: "yes" }), ValidationError);
  assert.ok((await client.queues()).items.some((queue) => queue.name === "default"));
  assert.equal((await client.pauseQueue("low")).paused, true);
  assert.equal((await client.resumeQueue("low")).paused, false);
  assert.equal((await client.queue("low")).paused, false);
  assert.ok((await client.kinds()).items.length > 2);
  assert.equal((await client.kind("two")).workers, 1);
  const worker = (await client.workers()).items.find((one) => one.name === "typescript");
  assert.equal((await client.worker(worker?.id ?? "")).status, "idle");
  assert.deepEqual((await client.inbox()).items, []);
  const { $blob } = await client.putBlob(new Uint8Array([1, 2, 3]));
  assert.deepEqual([...(await client.blob($blob.id))], [1, 2, 3]);
  assert.ok((await client.stats()).total >= 3);
  assert.equal((await client.about()).mode, "dev");
  for (const health of [client.health(), client.live(), client.ready()])
    assert.equal((await health).status, "ok");
  assert.match(await client.metrics(), /everloop_/);
  assert.equal((await client.jwks()).keys.length, 1);
  const document = await client.openapi();
  await client.removeWorker(worker?.id ?? "");

  // Every operation of the document was asked for, but for those that are another form of one.
  const elsewhere = [
    "docs",
    "openapi_yaml",
    "task_events_ws",
    "suspend",
    "fail",
    "release",
    "journal",
    "heartbeat",
    "register_worker",
    "write_events",
    "renew",
  ];
  const missing: string[] = [];
  for (const [path, methods] of Object.entries(document.paths as Record<string, object>)) {
    const pattern = new RegExp(`^${path.replace(/\{[^}]+\}/g, "[^/]+")}$`);
    for (const [method, { operationId }] of Object.entries(methods) as [string, { operationId: string }][]) {
      const found = [...asked].some((one) => {
        const [verb, where] = one.split(" ");
        return verb === method.toUpperCase() && pattern.test(where ?? "");
      });
      if (!found && !elsewhere.includes(operationId)) missing.push(operationId);
    }
  }
  assert.deepEqual(missing, []);
});

test("refusals are errors of their class, with code, hint and what was wrong", async () => {
  await assert.rejects(client.submit({ kind: "nobody.runs" }), (error) => {
    assert.ok(error instanceof ValidationError);
    assert.deepEqual([error.code, error.problem?.status], ["unknown_kind", 400]);
    return true;
  });
  await assert.rejects(client.task("key:nothing"), (error) => (error as EverloopError).code === "not_found");
  await client.submit(two, [1], { key: "same" });
  await assert.rejects(
    client.submit(two, [2], { key: "same" }),
    (error) => error instanceof EverloopError && error.code === "idempotency_conflict",
  );
  const stranger = new Client({ url, apiKey: "evl_wrong" });
  await assert.rejects(stranger.tasks(), AuthError);
  const nobody = new Client({ url: "http://127.0.0.1:9", apiKey });
  await assert.rejects(nobody.about(), UnreachableError);
});

test("a follower sees every event once, though its connection is lost", async () => {
  const { id } = await client.submit(two, [3]);
  await reaches(client, id, "waiting");
  let lost = 0;
  const fetched = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const answer = await fetched(input, init);
    if (!new URL(input).pathname.includes("/events") || lost > 2 || !answer.body) return answer;
    lost += 1;
    // The connection breaks in the middle of a line.
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    const broken = new ReadableStream({
      async pull(controller) {
        const { value } = await reader.read();
        controller.enqueue(value?.slice(0, 300));
        controller.error(new Error("the connection is lost"));
      },
    });
    return new Response(broken, { status: answer.status });
  };
  try {
    const items: Item[] = [];
    for await (const item of client.follow(id)) {
      items.push(item);
      if (items.length === 4) await client.sendInput(id, "go");
    }
    assert.ok(lost > 1, "no connection was lost");
    const numbers = items.map((item) => (item.is === "event" ? item.seq : 0));
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
    );
    assert.equal(items.at(-1)?.type, "task.completed");
  } finally {
    globalThis.fetch = fetched;
  }
});

test("many tasks are followed over one connection", async () => {
  const ids = [];
  for (const n of [1, 2, 3]) ids.push((await client.submit(two, [n], { labels: { many: "yes" } })).id);
  const ended = new Set<string>();
  for (const id of ids) await client.sendInput(id, "go");
  for await (const item of client.feed({ label: "many=yes" })) {
    if (item.is === "event" && item.type === "task.completed") ended.add(item.event.stream);
    if (ended.size === 3) break;
  }
  assert.deepEqual([...ended].sort(), ids.sort());
  assert.ok(server.pid);
});
