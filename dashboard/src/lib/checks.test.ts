import { expect, test } from "vitest";
import type { HealthView, QueueView, StatsView } from "@/api/types";
import { checks } from "./checks";

const health = (change: Partial<HealthView> = {}): HealthView => ({
  status: "ok",
  checks: { database: "ok", pipeline: "ok" },
  version: "1",
  ...change,
});
const stats = (workers: number) => ({ workers }) as StatsView;
const queue = (change: Partial<QueueView>) =>
  ({ name: "default", queued: 0, workers: 1, paused: false, ...change }) as QueueView;
const words = (...[view, figures, queues]: Parameters<typeof checks>) =>
  checks(view, figures, queues).map(({ name, is }) => `${name} ${is}`);

test("a server that is well is good in every line, and figures that have not come say nothing", () => {
  expect(words(health(), stats(1), [queue({})])).toEqual([
    "database good",
    "pipeline good",
    "workers good",
    "queues good",
  ]);
  expect(words(health(), undefined, undefined)).toEqual(["database good", "pipeline good"]);
});

test("what is wrong has its words and what to do, also where the part is a new one", () => {
  const ill = health({ status: "degraded", checks: { database: "gone", clock: "slow" } });
  const [database, clock] = checks(ill, undefined, undefined);
  expect(database).toMatchObject({ is: "bad", found: "gone" });
  expect(database?.remedy).toContain("Is it running");
  expect(clock).toMatchObject({ is: "bad", found: "slow" });
  expect(clock?.remedy).toBeTruthy();
  expect(words(health({ status: "stopping" }), undefined, undefined)).toContain("server bad");
});

test("tasks that wait where nobody comes are told, and queues that are empty are not", () => {
  expect(words(health(), stats(0), [queue({ workers: 0 })]).slice(2)).toEqual([
    "workers warn",
    "queues good",
  ]);
  const alone = [queue({ name: "a", queued: 2, workers: 0 }), queue({ name: "b", queued: 1, paused: true })];
  expect(checks(health(), stats(1), alone).at(-1)).toMatchObject({
    is: "warn",
    found: "2 tasks with nobody to come",
  });
  expect(checks(health(), stats(1), alone.slice(1)).at(-1)).toMatchObject({ is: "warn", found: "b paused" });
});
