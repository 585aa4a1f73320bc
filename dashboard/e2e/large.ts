import type { Page } from "@playwright/test";
import type { BatchAnswer, TaskView } from "../src/api/types";
import type { Server } from "./server";
import { expect } from "./test";

/** Tasks of the big table. */
export const TASKS = 100_000;
/** Steps of the long task. */
export const STEPS = 10_000;
/** Tasks of one request. */
const BATCH = 1000;

/** What scrolls in the list of tasks, and in a timeline. */
export const ROWS = '[aria-label="Tasks"] [role="rowgroup"]:last-child';
export const LINES = '[aria-label="Lines of the timeline"]';

/** Submits the tasks of the big table; they wait for a day that is far off. */
export async function manyTasks(server: Server): Promise<void> {
  for (let from = 0; from < TASKS; from += BATCH) {
    const tasks = Array.from({ length: BATCH }, (_, i) => ({
      kind: "mock",
      title: `Task ${from + i}`,
      not_before: "2099-01-01T00:00:00Z",
    }));
    const answer = await server.post<BatchAnswer>("/api/v1/tasks/batch", { tasks });
    expect(answer.created).toBe(BATCH);
  }
}

/** A task that has run ten thousand steps. */
export async function manySteps(server: Server): Promise<TaskView> {
  const steps = Array.from({ length: STEPS }, (_, i) => ({ name: `s${i}` }));
  const task = await server.submit({ kind: "mock", title: "Ten thousand", input: { steps } });
  return server.until(task.id, "completed");
}

/** A task that writes a thousand events a second, for as many seconds as it is told. */
export function noisy(server: Server, seconds: number): Promise<TaskView> {
  const noise = Array.from({ length: seconds / 10 }, () => ({
    name: "noise",
    events: 10_000,
    duration_ms: 10_000,
  }));
  return server.submit({ kind: "mock", title: "Noisy", input: { steps: noise } });
}

/** Nodes of the page. */
export const nodes = (page: Page) => page.evaluate(() => document.querySelectorAll("*").length);

/** Memory that scripts hold after a collection, in MB. */
export async function heap(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  return usedSize / 1e6;
}

/** The longest that a page took from a scroll to its next picture, in ms. */
export async function scrollThrough(page: Page, selector: string, rounds: number): Promise<number> {
  return page.evaluate(
    async ({ selector, rounds }) => {
      const frame = document.querySelector(selector);
      if (!frame) throw new Error(`there is no ${selector}`);
      let longest = 0;
      for (let i = 0; i < rounds; i += 1) {
        const began = performance.now();
        frame.scrollTop += 700;
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        longest = Math.max(longest, performance.now() - began);
      }
      return longest;
    },
    { selector, rounds },
  );
}
