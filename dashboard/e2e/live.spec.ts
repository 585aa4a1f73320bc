import type { Page } from "@playwright/test";
import { Server } from "./server";
import { expect, open, test } from "./test";

const connection = (page: Page) => page.locator("[data-connection]").first();

/** Every event that the page has, by its number, as the copy button gives them. */
async function numbers(page: Page): Promise<number[]> {
  await page.getByRole("button", { name: "Copy these events" }).click();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  return text.split("\n").map((line) => (JSON.parse(line) as { seq: number }).seq);
}

test("a server that is killed and comes back leaves no gap in what is followed", async ({
  page,
  context,
}) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const server = await Server.start("dev");
  try {
    const steps = Array.from({ length: 60 }, (_, i) => ({ name: `s${i}`, duration_ms: 120, events: 2 }));
    const task = await server.submit({ kind: "mock", title: "Survives", input: { steps, result: "whole" } });
    await open(page, `${server.url}/tasks/${task.id}?tab=events`);
    await expect(connection(page)).toHaveAttribute("data-connection", "live");
    await server.untilSeq(task.id, 30);
    await expect(page.locator('[data-seq="25"]')).toHaveCount(1);
    await server.kill();
    await expect(connection(page)).toHaveAttribute("data-connection", "lost");
    await expect(page.getByText("The server cannot be reached")).toBeVisible();
    await expect(page.locator("h1")).toHaveText("Survives");
    await server.run();
    await expect(connection(page)).toHaveAttribute("data-connection", "live");
    await expect(page.getByText("The server cannot be reached")).toHaveCount(0);
    await expect(page.getByTestId("why")).toContainText("nothing recorded was done twice", {
      timeout: 30_000,
    });
    const { last_seq: last } = await server.task(task.id);
    await expect(page.getByTestId("event-count")).toHaveText(`${last} events`);
    expect(await numbers(page)).toEqual(Array.from({ length: last }, (_, i) => i + 1));

    await page.getByRole("tab", { name: "Timeline" }).click();
    await expect(page.getByTestId("story")).toHaveText(
      /^Attempt 1 was lost after (\d+) recorded steps. Attempt 2 took those \1 from the record and ran \d+.$/,
    );
  } finally {
    await server.end();
  }
});

test("two tabs share one stream, and the second goes on when the first is closed", async ({
  page,
  context,
  server,
}) => {
  let streams = 0;
  context.on("request", (request) => {
    if (request.headers().accept === "text/event-stream") streams += 1;
  });
  await open(page, `${server.url}/tasks`);
  await expect(connection(page)).toHaveAttribute("data-connection", "live");
  const second = await context.newPage();
  await open(second, `${server.url}/tasks`);
  await expect(connection(second)).toHaveAttribute("data-connection", "live");
  expect(streams).toBe(1);
  const one = await server.submit({ kind: "mock", title: "Seen by both" });
  await expect(page.locator(`[data-task="${one.id}"]`)).toBeVisible();
  await expect(second.locator(`[data-task="${one.id}"]`)).toBeVisible();
  await page.close();
  const two = await server.submit({ kind: "mock", title: "Seen by one" });
  await expect(second.locator(`[data-task="${two.id}"]`)).toBeVisible();
  expect(streams).toBe(2);
});

test("in serve mode the page asks for the key, refuses a wrong one, and forgets it with the tab", async ({
  page,
  context,
}) => {
  const server = await Server.start("serve");
  try {
    await page.goto(`${server.url}/tasks`);
    const gate = page.getByRole("form", { name: "API key" });
    await gate.getByLabel("API key").fill("evl_wrong");
    await gate.getByRole("button", { name: "Go on" }).click();
    await expect(gate.getByText("The server did not take this key.")).toBeVisible();
    await gate.getByLabel("API key").fill(server.key());
    await gate.getByRole("button", { name: "Go on" }).click();
    await expect(page.getByText("There are no tasks yet")).toBeVisible();
    await expect(connection(page)).toHaveAttribute("data-connection", "live");
    const kept = await page.evaluate(() => JSON.stringify([Object.entries(localStorage), document.cookie]));
    expect(kept).not.toContain(server.key());
    const other = await context.newPage();
    await other.goto(`${server.url}/tasks`);
    await expect(other.getByRole("form", { name: "API key" })).toBeVisible();
  } finally {
    await server.end();
  }
});

test("below a path everything works, and links stay below it", async ({ page }) => {
  const server = await Server.start("dev", "--base-path", "/ops/everloop");
  try {
    const task = await server.submit({ kind: "mock", title: "Below" });
    await open(page, `${server.url}/ops/everloop/tasks`);
    await page.getByRole("link", { name: "Below" }).click();
    await expect(page).toHaveURL(`${server.url}/ops/everloop/tasks/${task.id}`);
    await page.reload();
    await expect(page.locator("h1")).toHaveText("Below");
    await expect(connection(page)).toHaveAttribute("data-connection", "live");
  } finally {
    await server.end();
  }
});

test("a refusal of the server is a toast with its remedy, and the page stays", async ({ page, server }) => {
  await open(page, `${server.url}/tasks/task_00000000000000000000000000`);
  await expect(page.getByRole("alert")).toContainText("task");
  await expect(page.getByRole("button", { name: "Try again" })).toBeVisible();
  await page.route("**/api/v1/stats", (route) => route.fulfill({ status: 500, body: "oops" }));
  await page.goto(server.url);
  await expect(page.getByRole("alert")).toContainText("Not an answer of Everloop");
});

test("slow answers show where something will be", async ({ page, server }) => {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  await page.route("**/api/v1/workers", async (route) => {
    await gate;
    await route.continue();
  });
  await page.goto(`${server.url}/workers`);
  await expect(page.getByLabel("Loading").first()).toBeVisible();
  go();
  await expect(page.getByText("embedded")).toBeVisible();
});
