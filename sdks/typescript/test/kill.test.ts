import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import { LocalServer, stepIdempotencyKey } from "everloop";
import { folder } from "./help.js";
import { clientOf, effects, finish, kill, serverOf, start } from "./scripts.js";

const pages = createServer((_, answer) => answer.end("x".repeat(7)));
await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
after(() => pages.close());
const page = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
const urls = Array.from({ length: 30 }, (_, i) => `${page}/${i}`);

const seed = Number(process.env.KILL_SEED ?? Date.now() % 1_000_000);
let state = seed;
/** Numbers that one seed gives again. */
function chance(below: number): number {
  state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
  return Math.floor((state / 2_147_483_648) * below);
}

/** Answers whatever is asked, as a person would, where a server runs. */
async function answerAll(data: string): Promise<void> {
  const client = clientOf(data);
  const { items } = await client.inbox();
  for (const item of items) await client.decide(item.task, { id: item.id, decision: "approve" });
}

interface Case {
  script: string;
  args?: string[];
  key: string;
  /** How many effects there must be in the end, at least. */
  steps: number;
  /** What the script says in the end. */
  says: RegExp;
}

const cases: Case[] = [
  { script: "hello", args: urls, key: "digest-1", steps: 30, says: /: 7/ },
  { script: "map", key: "total-1000", steps: 2_000, says: /^1001000$/m },
  { script: "approval", key: "invoice-7", steps: 2, says: /^paid$/m },
  { script: "children", key: "book-1", steps: 6, says: /^2100$/m },
  {
    script: "tokens",
    key: "answer-1",
    steps: 3,
    says: /What is done twice\? Everything that matters is kept/,
  },
  { script: "agent", args: ["40"], key: "agent-40", steps: 81, says: /fact 39 is 1521/ },
  { script: "agent-ai", key: "agent-ai-1", steps: 7, says: /turns: 4/ },
];

for (const { script, args = [], key, steps, says } of cases) {
  test(`${script} survives SIGKILL of the script and of the server (KILL_SEED=${seed})`, async () => {
    const own = folder();
    const data = join(own, ".everloop");
    const file = join(own, "effects");
    const env = { EFFECTS: file, EFFECT_MS: "15" };
    for (let kills = 0; kills < 4; kills += 1) {
      const running = start(`examples/${script}.js`, data, args, env);
      const ended = running.ended.then(() => true);
      await Promise.race([ended, pass(150 + chance(500))]);
      if (script === "approval" && kills === 3) await answerAll(data).catch(() => {});
      if (kills % 2 === 0) {
        kill(running.child.pid);
        await ended;
      } else {
        // The script starts another server and goes on; then it is killed, too.
        kill(serverOf(data)?.pid);
        await Promise.race([ended, pass(200 + chance(400))]);
        kill(running.child.pid);
        await ended;
      }
    }
    const last = start(`examples/${script}.js`, data, args, env);
    let isOver = false;
    const out = finish(last).finally(() => {
      isOver = true;
    });
    const answers = async () => {
      for (; script === "approval" && !isOver; await pass(50)) await answerAll(data).catch(() => {});
    };
    const [said] = await Promise.all([out, answers()]);
    assert.match(said, says);
    await holds(data, file, key, steps);
  });
}

/** Every effect was made, none after it was recorded, and each again under the same key only. */
async function holds(data: string, file: string, key: string, steps: number): Promise<void> {
  const server = LocalServer.of(data);
  await server.endpoint();
  try {
    const client = clientOf(data);
    const root = await client.task(`key:${key}`);
    const tasks = [root, ...(await client.children(root.id)).items];
    const recorded = new Map<string, number>();
    for (const { id } of tasks) {
      assert.equal((await client.verify(id)).verdict, "verified");
      for (let after = 0; ;) {
        const page = await client.events(id, { after, limit: 1000 });
        for (const event of page.items) {
          const data = event.data as { step?: string } | undefined;
          if (event.type !== "step.completed" || data?.step === undefined) continue;
          const name = stepIdempotencyKey(id, data.step);
          assert.ok(!recorded.has(name), `${data.step} was recorded twice`);
          recorded.set(name, Date.parse(event.ts));
        }
        if (page.next_after >= page.last_seq) break;
        after = page.next_after;
      }
    }
    const made = effects(file);
    const names = new Set(made.map((effect) => effect.idempotencyKey));
    assert.equal(names.size, steps);
    for (const { idempotencyKey, at, step } of made) {
      const then = recorded.get(idempotencyKey);
      assert.ok(then !== undefined, `the effect of ${step} is not recorded`);
      assert.ok(at <= then + 1, `${step} was done ${at - then} ms after it was recorded`);
    }
  } finally {
    await server.stop();
  }
}
