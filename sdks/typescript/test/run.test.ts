import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Client, LocalServer } from "everloop";
import { folder, until } from "./help.js";
import { effects, finish, kill, serverOf, start } from "./scripts.js";

const env = (file: string) => ({ EFFECTS: file, EFFECT_MS: "5" });

test("a script needs no server, leaves none, and its second run does nothing again", async () => {
  const own = folder();
  const data = join(own, ".everloop");
  const file = join(own, "effects");
  for (let runs = 0; runs < 2; runs += 1) {
    assert.match(await finish(start("examples/agent.js", data, ["3"], env(file))), /fact 2 is 4/);
    assert.equal(effects(file).length, 7);
    assert.equal(serverOf(data), undefined);
  }
  assert.deepEqual(readdirSync(join(data, "workers")), []);
});

test("two scripts at once share a server, and the one that is left goes on alone", async () => {
  const own = folder();
  const data = join(own, ".everloop");
  const file = join(own, "effects");
  const scripts = [5, 60, 61].map((turns) => start("examples/agent.js", data, [String(turns)], env(file)));
  const said = await Promise.all(scripts.map(finish));
  assert.match(said[0] ?? "", /fact 4 is 16/);
  assert.match(said[1] ?? "", /fact 59 is 3481/);
  assert.match(said[2] ?? "", /fact 60 is 3600/);
  assert.equal(effects(file).length, 11 + 121 + 123);
});

test("a script that is killed blocks nobody: the next goes on at once", async () => {
  const own = folder();
  const data = join(own, ".everloop");
  const file = join(own, "effects");
  // The server is another script's, so that it outlives the killed one and its leases.
  const owner = start("examples/agent.js", data, ["300"], env(join(own, "other")));
  await until("a server runs", () => serverOf(data));
  const killed = start("examples/agent.js", data, ["50"], env(file));
  await until("it works", () => existsSync(file) && effects(file).length > 10);
  kill(killed.child.pid);
  await killed.ended;
  assert.ok(readdirSync(join(data, "workers")).length >= 2);
  const begun = Date.now();
  assert.match(await finish(start("examples/agent.js", data, ["50"], env(file))), /fact 49 is 2401/);
  assert.ok(Date.now() - begun < 20_000, `it took ${Date.now() - begun} ms`);
  kill(owner.child.pid);
  await owner.ended;
});

test("a server that is killed is started again by whoever uses it", async () => {
  const own = folder();
  const data = join(own, ".everloop");
  const file = join(own, "effects");
  const script = start("examples/agent.js", data, ["60"], env(file));
  for (const many of [10, 60]) {
    await until("it works", () => existsSync(file) && effects(file).length > many);
    const server = serverOf(data);
    kill(server?.pid);
    await until("another server runs", () => serverOf(data)?.pid !== server?.pid && serverOf(data));
  }
  assert.match(await finish(script), /fact 59 is 3481/);
  assert.equal(new Set(effects(file).map((effect) => effect.idempotencyKey)).size, 121);
});

test("a failure is thrown again, unless what failed shall be tried again", async () => {
  const own = folder();
  const script = join(own, "failing.mjs");
  const index = new URL("../../dist/index.js", import.meta.url).href;
  writeFileSync(
    script,
    `import { run, step, task, TransientError } from ${JSON.stringify(index)};
    const fragile = task("fragile", async () => {
      await step.run("first", () => console.log("first"));
      return await step.run("second", () => {
        if (!process.env.WORKS) throw new TransientError("down", { code: "backend_down" });
        return "up";
      });
    });
    try {
      console.log(await run(fragile, [], { key: "f", retryFailed: process.env.RETRY === "1" }));
    } catch (error) {
      console.log(error.name, error.class, error.code, error.message);
    }
    `,
  );
  const says = (more: NodeJS.ProcessEnv) => finish(start(script, join(own, ".everloop"), [], more));
  assert.equal(await says({}), "first\nTransientError transient backend_down down\n");
  assert.equal(await says({ WORKS: "1" }), "TransientError transient backend_down down\n");
  assert.equal(await says({ WORKS: "1", RETRY: "1" }), "up\n");
  assert.equal(await says({}), "up\n");
});

test("without a program there is an error that says what to do", async () => {
  const own = folder();
  const { code, err } = await start("examples/agent.js", join(own, ".everloop"), ["1"], {
    EVERLOOP_BIN: "/nowhere/everloop",
  }).ended;
  assert.notEqual(code, 0);
  assert.match(err, /EVERLOOP_BIN is \/nowhere\/everloop, and there is no such file/);
});

test("a history grows with the turns of a conversation, and not with their square", async () => {
  const own = folder();
  const data = join(own, ".everloop");
  const bytes: number[] = [];
  const index = new URL("../../dist/index.js", import.meta.url).href;
  const ask = join(own, "ask.mjs");
  writeFileSync(
    ask,
    `import { connect } from ${JSON.stringify(index)};
    console.log((await connect().task("key:agent-" + process.argv[2])).usage.event_bytes);`,
  );
  for (const turns of ["100", "500"]) {
    await finish(start("examples/agent.js", data, [turns], { EFFECT_MS: "0" }));
    bytes.push(Number(await finish(start(ask, data, [turns]))));
  }
  const [few = 0, many = 0] = bytes;
  assert.ok(many > few && many < few * 5.2, `${few} and ${many} bytes`);
});

test("with EVERLOOP_URL set, the same file runs against that server", async () => {
  const own = folder();
  const server = LocalServer.of(join(own, "server"));
  const { url, apiKey = "" } = await server.endpoint();
  const file = join(own, "effects");
  const there = { ...env(file), EVERLOOP_URL: url, EVERLOOP_API_KEY: apiKey };
  const data = join(own, ".everloop");
  try {
    assert.match(await finish(start("examples/agent.js", data, ["3"], there)), /fact 2 is 4/);
    assert.equal((await new Client({ url, apiKey }).task("key:agent-3")).state, "completed");
    assert.ok(!existsSync(data));
  } finally {
    await server.stop();
  }
});

test("a task that has gone on as others is found by its key", async () => {
  const own = folder();
  const script = join(own, "going-on.mjs");
  const index = new URL("../../dist/index.js", import.meta.url).href;
  writeFileSync(
    script,
    `import { continueAs, run, task } from ${JSON.stringify(index)};
    const down = task("down", async (n) => {
      if (n > 0) await continueAs(n - 1);
      return "end";
    });
    console.log(await run(down, [Number(process.argv[2])], { key: "d" }).catch((error) => error.code));
    `,
  );
  const says = (n: string) => finish(start(script, join(own, ".everloop"), [n]));
  assert.equal(await says("3"), "end\n");
  assert.equal(await says("3"), "end\n");
  assert.equal(await says("2"), "idempotency_conflict\n");
});
