// The commands that show what does not do the same again: before a deploy, and on the first run.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client, findBinary, step, task, Worker } from "everloop";
import { folder, reaches, until } from "./help.js";

const kit = fileURLToPath(new URL("../conformance/worker.js", import.meta.url));

/** A server that is started with these arguments. */
async function serve(...more: string[]): Promise<{ url: string; env: NodeJS.ProcessEnv }> {
  const own = folder();
  const env = { ...process.env, XDG_STATE_HOME: own };
  const args = ["dev", "--data-dir", join(own, "data"), "--listen", "127.0.0.1:0", ...more];
  const server = spawn(findBinary(), args, { env, stdio: "ignore" });
  after(() => server.kill("SIGKILL"));
  const file = join(own, "data", "server.json");
  await until("the server is there", () => existsSync(file) && readFileSync(file, "utf8").includes("url"));
  const { url } = JSON.parse(readFileSync(file, "utf8")) as { url: string };
  await until("it answers", () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  );
  return { url, env: { ...env, EVERLOOP_URL: url } };
}

test("code at hand is checked against tasks that live", async () => {
  const { url, env } = await serve();
  const client = new Client({ url });
  const worker = spawn(process.execPath, [kit], { env, stdio: "inherit" });
  await until("the kit works", async () =>
    (await client.kinds()).items.some((kind) => kind.name === "kit.mismatch"),
  );
  const submit = (arg: number) => client.submit({ kind: "kit.mismatch", input: { arg, wait: true } });
  const tasks = await Promise.all([1, 2].map(submit));
  for (const { id } of tasks) await reaches(client, id, "waiting");
  worker.kill("SIGTERM");
  await once(worker, "exit");
  const check = async (more: NodeJS.ProcessEnv) => {
    const args = ["replay", "--check", "--", process.execPath, kit];
    const checking = spawn(findBinary(), args, {
      env: { ...env, ...more },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    checking.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const [code] = (await once(checking, "close")) as [number];
    return { code, said };
  };
  const same = await check({});
  assert.match(same.said, /2 would go on, 0 would not/);
  assert.equal(same.code, 0);
  const other = await check({ KIT_ARG: "another" });
  assert.match(other.said, /0 would go on, 2 would not/);
  assert.equal(other.code, 1);
});

let begun = 0;
const count = step("count", (n: number) => n);
const impure = task("impure", async () => {
  begun += 1;
  return await count(begun);
});
const pure = task("pure", async (n: number) => {
  let sum = 0;
  for (let i = 0; i < n; i += 1) sum += await count(i);
  return sum;
});

test("code that is not the same twice stands still on its first run", async () => {
  const { url } = await serve("--replay-always");
  const client = new Client({ url });
  const worker = new Worker({ tasks: [impure, pure], url });
  await worker.start();
  assert.equal(await client.result((await client.submit(pure, [5])).id), 10);
  const { id } = await client.submit(impure);
  await until("it stands still", async () => (await client.task(id)).paused?.reason === "nondeterminism");
  await worker.stop();
});
