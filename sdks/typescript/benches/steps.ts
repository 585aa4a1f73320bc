// Measures journaled steps from TypeScript on loopback: one task alone, and many at once.
//
// npm run build && EVERLOOP_BIN=… node build/benches/steps.js [SECONDS]
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, LocalServer, step, task, Worker } from "everloop";

const seconds = Number(process.argv[2] ?? 5);
let samples: number[] = [];

const nothing = step("nothing", (n: number) => n);

const steps = task("steps", { policy: { retry: { max_tries: 1 } } }, async (ms: number) => {
  let count = 0;
  let before = performance.now();
  const ends = before + ms;
  while (before < ends) {
    await nothing(count);
    count += 1;
    const now = performance.now();
    samples.push(now - before);
    before = now;
  }
  return count;
});

async function measured(client: Client, atOnce: number): Promise<Record<string, number>> {
  samples = [];
  const tasks = await Promise.all(
    Array.from({ length: atOnce }, () => client.submit(steps, [seconds * 1_000])),
  );
  const counts = await Promise.all(tasks.map(({ id }) => client.result<number>(id)));
  samples.sort((a, b) => a - b);
  const cut = (part: number) => Number((samples[Math.floor(samples.length * part)] ?? 0).toFixed(2));
  return {
    at_once: atOnce,
    steps_per_second: Math.round(counts.reduce((sum, count) => sum + count, 0) / seconds),
    p50_ms: cut(0.5),
    p99_ms: cut(0.99),
    max_ms: Number((samples.at(-1) ?? 0).toFixed(1)),
  };
}

const folder = mkdtempSync(join(tmpdir(), "everloop-bench-"));
process.env.XDG_STATE_HOME = folder;
const server = LocalServer.of(join(folder, ".everloop"));
try {
  const endpoint = await server.endpoint();
  const worker = new Worker({ tasks: [steps], maxConcurrentTasks: 32, ...endpoint });
  await worker.start();
  const client = new Client(endpoint);
  for (const atOnce of [1, 16]) console.log(JSON.stringify(await measured(client, atOnce)));
  await worker.stop();
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
