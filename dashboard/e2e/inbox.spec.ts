import type { Locator, Page } from "@playwright/test";
import type { TaskView } from "../src/api/types";
import { Server } from "./server";
import { expect, open, test, violations } from "./test";
import { Worker } from "./worker";

/** Goes to something by the tab key, as who has no mouse does. */
async function tabTo(page: Page, to: Locator): Promise<void> {
  const isThere = () => to.evaluate((one) => one === document.activeElement);
  for (let i = 0; i < 30 && !(await isThere()); i += 1) await page.keyboard.press("Tab");
  await expect(to).toBeFocused();
}

/** The question of a task, come to by the shortcuts of the inbox. */
async function question(page: Page, task: TaskView): Promise<Locator> {
  const item = page.locator(`[data-inbox-item="${task.id}"]`);
  await expect(item).toBeVisible();
  const link = item.getByRole("link", { name: task.title ?? "", exact: true });
  const isThere = () => link.evaluate((one) => one === document.activeElement);
  for (let i = 0; i < 30 && !(await isThere()); i += 1) await page.keyboard.press("j");
  await expect(link).toBeFocused();
  return item;
}

test("a decision of the inbox reaches the task, by keyboard alone", async ({ page, server }) => {
  const worker = await Worker.register(server, "ship");
  const task = await server.submit({ kind: "ship", title: "Ship the release" });
  const first = await worker.claim();
  await first.ask("ship#1", "Ship 2.4 to everybody?", ["approve", "reject"], { changes: 12 });
  await open(page, `${server.url}/inbox`);
  const item = await question(page, task);
  await expect(item).toContainText("Ship 2.4 to everybody?");
  await expect(item).toContainText('"changes": 12');
  expect(await violations(page)).toEqual([]);
  await tabTo(page, item.getByRole("textbox", { name: "Why" }));
  await page.keyboard.type("read all of it");
  await page.keyboard.press("Shift+Tab");
  await expect(item.getByRole("button", { name: "Reject" })).toBeFocused();
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await expect(item).toHaveCount(0);
  const second = await worker.claim();
  const answer = second.recorded<{ decision: string; note?: string }>("approval.decision");
  expect(answer).toMatchObject({ decision: "approve", note: "read all of it" });
  await second.finish(answer?.decision);
  expect((await server.until(task.id, "completed")).result).toBe("approve");
});

test("an input of the inbox reaches the task, by keyboard alone", async ({ page, server }) => {
  const task = await server.submit({
    kind: "mock",
    title: "Asks for a colour",
    input: { steps: [{ name: "look" }], wait_for_input: "colour" },
  });
  await server.until(task.id, "waiting");
  await open(page, `${server.url}/inbox`);
  await expect(page).toHaveTitle(/^\(\d+\) Inbox/);
  const item = await question(page, task);
  await tabTo(page, item.getByRole("textbox", { name: "Input colour" }));
  await page.keyboard.type('{"name": "green"}');
  await page.keyboard.press("Control+Enter");
  await expect(item).toHaveCount(0);
  expect((await server.until(task.id, "completed")).result).toEqual({ name: "green" });
});

test("a step in doubt is answered in the inbox, and the task goes on as was said", async ({ page }) => {
  const server = await Server.start("dev");
  try {
    const task = await server.submit({
      kind: "mock",
      title: "Pay the invoice",
      input: { steps: [{ name: "pay", duration_ms: 600_000, result: "paid" }], result: "done" },
      policy: { on_unknown: "ask" },
    });
    await server.until(task.id, "running");
    // The step has begun once this is on the disk.
    await expect
      .poll(async () => JSON.stringify(await server.get(`/api/v1/tasks/${task.id}/events`)))
      .toContain("step.started");
    await server.kill();
    await server.run();
    await server.until(task.id, "paused", "waiting");
    await open(page, `${server.url}/inbox`);
    const item = await question(page, task);
    await tabTo(page, item.getByRole("button", { name: "It happened" }));
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press("Enter");
    await expect(item).toHaveCount(0);
    expect((await server.until(task.id, "completed")).result).toBe("done");
    const { items } = await server.get<{ items: { step: string; starts?: number }[] }>(
      `/api/v1/tasks/${task.id}/steps`,
    );
    expect(items.map(({ step }) => step)).toEqual(["pay#1"]);
  } finally {
    await server.end();
  }
});

test("a task whose code has changed is resumed or forked in the inbox", async ({ page, server }) => {
  const worker = await Worker.register(server, "totals");
  const mismatch = async (title: string) => {
    const task = await server.submit({ kind: "totals", title });
    const attempt = await worker.claim();
    await attempt.step("sum#1", 41);
    await attempt.differ("sum#1", { of: ["a", "b"] }, { of: ["a", "b", "c"] });
    await server.until(task.id, "paused");
    return task;
  };
  const [resumed, forked] = [await mismatch("Goes on"), await mismatch("Begins anew")];
  await open(page, `${server.url}/inbox`);
  const first = await question(page, resumed);
  await expect(first).toContainText("its arguments are others");
  await tabTo(page, first.getByRole("button", { name: "Resume" }));
  await page.keyboard.press("Enter");
  await expect(first).toHaveCount(0);
  const again = await worker.claim();
  await again.finish(again.recorded<{ result: number }>("step.completed")?.result);
  expect((await server.until(resumed.id, "completed")).result).toBe(41);

  const second = await question(page, forked);
  await tabTo(page, second.getByRole("button", { name: "Fork from sum#1" }));
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/tasks\/task_/);
  const fork = await server.task(new URL(page.url()).pathname.split("/").pop() ?? "");
  expect(fork.forked_from?.task).toBe(forked.id);
  const anew = await worker.claim();
  expect(anew.recorded("step.completed")).toBeUndefined();
  await anew.finish(42);
  await expect(page.getByTestId("why")).toContainText("Completed");
});
