// Two stages for each of a thousand items, all at the same time.
import { map, run, step, task } from "everloop";
import { effect } from "./effect.js";

const read = step("read", async (n: number) => {
  await effect(`read ${n}`);
  return n + 1;
});
const store = step("store", async (n: number) => {
  await effect(`store ${n}`);
  return n * 2;
});

const total = task("total", async (many: number) => {
  const items = Array.from({ length: many }, (_, i) => i);
  const stored = await map(items, async (n) => store(await read(n)), { concurrency: 100 });
  return stored.reduce((sum, n) => sum + n, 0);
});

console.log(await run(total, [1000], { key: "total-1000" }));
