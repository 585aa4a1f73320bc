// What a worker says of its kinds, and what becomes of inputs that are not of the schema.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Schema, type TaskOptions, task, ValidationError, Worker } from "everloop";
import { z } from "zod";
import { harness } from "./help.js";
import { start } from "./scripts.js";

const order = {
  type: "object",
  required: ["lines"],
  properties: { lines: { type: "array", items: { type: "string", minLength: 1 } } },
};
const said: TaskOptions = {
  about: "Ships an order.",
  inputSchema: order,
  outputSchema: { type: "integer" },
  queue: "low",
  policy: { timeout_ms: 5000, retry: { max_tries: 9 } },
  expose: ["mcp"],
};
const ship = task("of.ship", said, ({ lines }: { lines: string[] }) => lines.length);
const Trip = z.object({ to: z.string(), days: z.number().int().default(1) });
const trip = task(
  "of.trip",
  { inputSchema: Trip, outputSchema: z.string() },
  (of: z.input<typeof Trip>) => `${Trip.parse(of).days} in ${of.to}`,
);
const silent = task("of.silent", (any: unknown) => any);
const { client, url, apiKey } = await harness([ship, trip, silent]);

test("the server knows what is said of a kind, and nothing of one that says nothing", async () => {
  const kind = await client.kind("of.ship");
  assert.equal(kind.about, said.about);
  assert.deepEqual(kind.input_schema, order);
  assert.deepEqual(kind.output_schema, said.outputSchema);
  assert.deepEqual(kind.expose, ["mcp"]);
  assert.equal(kind.defaults?.queue, "low");
  const { about, input_schema } = await client.kind("of.silent");
  assert.deepEqual([about ?? null, input_schema ?? null], [null, null]);
  const { id } = await client.submit(silent, [{ any: ["thing"] }]);
  assert.deepEqual(await client.result(id), { any: ["thing"] });
});

test("a task gets the defaults of its kind, whoever submits it", async () => {
  const view = await client.submit({ kind: "of.ship", input: { lines: ["tea"] } });
  assert.deepEqual([view.queue, view.policy?.timeout_ms, view.policy?.retry?.max_tries], ["low", 5000, 9]);
  assert.equal(await client.result(view.id), 1);
});

test("an input that is not of the schema is refused, with its path", async () => {
  for (const [input, field] of [
    [{ lines: ["tea", ""] }, "input.lines[1]"],
    [{ lines: "tea" }, "input.lines"],
    [{}, "input"],
    [undefined, "input"],
  ] as const) {
    await assert.rejects(client.submit({ kind: "of.ship", input }), (error) => {
      assert.ok(error instanceof ValidationError);
      assert.equal(error.problem?.errors?.[0]?.field, field);
      return true;
    });
  }
});

test("a schema of zod stands for its JSON Schema: what is read, and what is written", async () => {
  const kind = await client.kind("of.trip");
  assert.deepEqual((kind.input_schema as typeof order).required, ["to"]);
  assert.equal((kind.output_schema as typeof order).type, "string");
  assert.equal(await client.result((await client.submit(trip, [{ to: "Rome" }])).id), "1 in Rome");
  await assert.rejects(client.submit({ kind: "of.trip", input: { to: 3 } }), /input\.to/);
});

test("a schema of a library that can't write it is refused by name", async () => {
  const foreign = { "~standard": { version: 1, vendor: "another" } } as unknown as Schema;
  const odd = task("of.odd", { inputSchema: foreign }, () => null);
  await assert.rejects(new Worker({ tasks: [odd], url, apiKey }).start(), /of\.odd: inputSchema/);
});

test("a worker whose schema is wrong ends, and says why", async () => {
  const made = fileURLToPath(new URL("../../build/scripts", import.meta.url));
  mkdirSync(made, { recursive: true });
  const script = join(made, "wrong-schema.mjs");
  writeFileSync(
    script,
    `import { task, Worker } from "everloop";
     task("of.wrong", { inputSchema: { type: "text" } }, () => null);
     await new Worker().serve();`,
  );
  const { code, err } = await start(script, made, [], { EVERLOOP_URL: url, EVERLOOP_API_KEY: apiKey }).ended;
  assert.equal(code, 1);
  assert.match(err, /kinds\[0\]\.input_schema/);
});
