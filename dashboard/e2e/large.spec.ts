import type { TaskView } from "../src/api/types";
import { heap, LINES, manySteps, manyTasks, nodes, noisy, ROWS, scrollThrough, TASKS } from "./large";
import { Server } from "./server";
import { expect, open, test } from "./test";

test("ten thousand steps are few nodes, and each can be found", async ({ page }) => {
  test.setTimeout(120_000);
  const server = await Server.start("dev");
  try {
    const task = await manySteps(server);
    await open(page, `${server.url}/tasks/${task.id}`);
    await expect(page.locator('[data-line="step"]').first()).toBeVisible();
    expect(await nodes(page)).toBeLessThan(3000);
    const longest = await scrollThrough(page, LINES, 30);
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
    await manyTasks(server);
    console.log(`${TASKS} tasks submitted in ${((Date.now() - started) / 1000).toFixed(1)} s`);
    await open(page, `${server.url}/tasks?order=oldest`);
    await expect(page.getByText("10,000 or more in all")).toBeVisible();
    await expect(page.getByRole("link", { name: "Task 0", exact: true })).toBeVisible();
    const longest = await scrollThrough(page, ROWS, 60);
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
    const task = await noisy(server, 10);
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
