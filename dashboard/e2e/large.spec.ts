import type { Page } from "@playwright/test";
import type { BatchAnswer, TaskView } from "../src/api/types";
import { Server } from "./server";
import { expect, open, test } from "./test";

const TASKS = 100_000;
const STEPS = 10_000;
/** Tasks of one request. */
const BATCH = 1000;

const nodes = (page: Page) => page.evaluate(() => document.querySelectorAll("*").length);

/** Memory that scripts hold after a collection, in MB. */
async function heap(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  return usedSize / 1e6;
}

/** The longest that a page took from a scroll to its next picture, in ms. */
async function scrollThrough(page: Page, selector: string, rounds: number): Promise<number> {
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

test("ten thousand steps are few nodes, and each can be found", async ({ page }) => {
  test.setTimeout(120_000);
  const server = await Server.start("dev");
  try {
    const steps = Array.from({ length: STEPS }, (_, i) => ({ name: `s${i}` }));
    const task = await server.submit({ kind: "mock", title: "Ten thousand", input: { steps } });
    await server.until(task.id, "completed");
    await open(page, `${server.url}/tasks/${task.id}`);
    await expect(page.locator('[data-line="step"]').first()).toBeVisible();
    expect(await nodes(page)).toBeLessThan(3000);
    const longest = await scrollThrough(page, '[aria-label="Lines of the timeline"]', 30);
    await page.getByLabel("Find a step").fill("s9876#");
    await page.getByRole("button", { name: "s9876#1" }).click();
    await expect(page.getByRole("region", { name: "Step s9876#1" })).toBeVisible();
    await page.getByRole("tab", { name: "Events" }).click();
    await expect(page.getByTestId("event-count")).toHaveText("10,042 events");
    expect(await nodes(page)).toBeLessThan(3000);
    const used = await heap(page);
    expect(used).toBeLessThan(300);
    console.log(`10,000 steps: ${longest.toFixed(0)} ms at most to the next picture, ${used.toFixed(0)} MB`);
  } finally {
    await server.end();
  }
});

test("a hundred thousand tasks are a list like any other", async ({ page }) => {
  test.setTimeout(180_000);
  const server = await Server.start("dev");
  try {
    const started = Date.now();
    for (let from = 0; from < TASKS; from += BATCH) {
      const tasks = Array.from({ length: BATCH }, (_, i) => ({
        kind: "mock",
        title: `Task ${from + i}`,
        not_before: "2099-01-01T00:00:00Z",
      }));
      const answer = await server.post<BatchAnswer>("/api/v1/tasks/batch", { tasks });
      expect(answer.created).toBe(BATCH);
    }
    console.log(`${TASKS} tasks submitted in ${((Date.now() - started) / 1000).toFixed(1)} s`);
    await open(page, `${server.url}/tasks?order=oldest`);
    await expect(page.getByText("10,000 or more in all")).toBeVisible();
    await expect(page.getByRole("link", { name: "Task 0", exact: true })).toBeVisible();
    const longest = await scrollThrough(page, '[aria-label="Tasks"] [role="rowgroup"]:last-child', 60);
    await expect(page.getByText("The list stands still")).toBeVisible();
    expect(await nodes(page)).toBeLessThan(3000);
    await page.getByRole("button", { name: "Back to the newest" }).click();
    await page.getByLabel("Search tasks").fill("Task 99999");
    await expect(page.getByRole("link", { name: "Task 99999" })).toBeVisible({ timeout: 30_000 });
    const found = await server.get<{ items: TaskView[] }>("/api/v1/tasks?limit=1");
    expect(found.items[0]?.title).toBe("Task 99999");
    console.log(`${TASKS} tasks: ${longest.toFixed(0)} ms at most to the next picture`);
  } finally {
    await server.end();
  }
});

test("a thousand events a second leave the page answering", async ({ page }) => {
  const server = await Server.start("dev");
  try {
    const noisy = (n: number) => ({
      kind: "mock",
      title: `Noisy ${n}`,
      input: { steps: [{ name: "noise", events: 10_000, duration_ms: 10_000 }] },
    });
    const task = await server.submit(noisy(1));
    await open(page, `${server.url}/tasks/${task.id}?tab=events`);
    await server.untilSeq(task.id, 500);
    const began = Date.now();
    await page.getByLabel("Search events").fill("noise");
    await expect(page.getByTestId("event-count")).toContainText(" of ");
    await page.getByLabel("Search events").fill("");
    await page.getByRole("button", { name: "Pause", exact: true }).last().click();
    await expect(page.getByRole("button", { name: /^Go on/ })).toBeVisible();
    console.log(`1,000 events/s: searched and held in ${Date.now() - began} ms`);
    await page.getByRole("button", { name: /^Go on/ }).click();
    const { last_seq: last } = await server.until(task.id, "completed");
    await expect(page.getByTestId("event-count")).toHaveText(`${last.toLocaleString("en-US")} events`);
  } finally {
    await server.end();
  }
});
