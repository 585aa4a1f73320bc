import type { WorkerView } from "../src/api/types";
import { Server } from "./server";
import { expect, open, settled, test, violations } from "./test";

const ROUTES: [string, string][] = [
  ["/", "Overview"],
  ["/tasks", "Tasks"],
  ["/tasks?state=%5B%22cancelled%22%5D", "Tasks"],
  ["/inbox", "Inbox"],
  ["/new", "New task"],
  ["/workers", "Workers"],
  ["/queues", "Queues"],
  ["/dead-letters", "Dead letters"],
  ["/server", "Health"],
  ["/settings", "Settings"],
  ["/elsewhere", "Nothing is here"],
];
const TABS = ["timeline", "events", "output", "values", "receipt"];

async function routes(server: Server): Promise<[string, string][]> {
  const tests = await server.byKey("sample-tests");
  await server.until(tests.id, "completed");
  const room = await server.byKey("sample-room");
  const failed = await server.byKey("sample-deploy");
  return [
    ...ROUTES,
    ...TABS.map((tab): [string, string] => [`/tasks/${tests.id}?tab=${tab}`, "Run the tests"]),
    [`/tasks/${room.id}`, "Book a meeting room"],
    [`/tasks/${failed.id}?tab=values`, "Deploy to staging"],
  ];
}

test("no page has anything against it, light or dark", async ({ page, server }) => {
  test.setTimeout(180_000);
  const all = await routes(server);
  for (const theme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    for (const [path, title] of all) {
      await open(page, server.url + path);
      await expect(page.locator("h1").first()).toHaveText(title);
      await expect(page.locator("html")).toHaveAttribute("data-theme", theme);
      expect(await violations(page), `${path} ${theme}`).toEqual([]);
    }
  }
});

test("what opens over the page has nothing against it", async ({ page, server }) => {
  await open(page, `${server.url}/tasks`);
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("dialog")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Shortcuts" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
});

test("every page fits a phone, a tablet and a desk", async ({ page, server }) => {
  test.setTimeout(120_000);
  const all = await routes(server);
  for (const width of [375, 768, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    for (const [path] of all) {
      await open(page, server.url + path);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide, `${path} at ${width}`).toBeLessThanOrEqual(width);
    }
  }
});

test("what is empty says what to do next", async ({ page }) => {
  const server = await Server.start("dev");
  try {
    for (const [path, words] of [
      ["/", "Nothing has run here yet"],
      ["/tasks", "There are no tasks yet"],
      ["/inbox", "Nobody waits for you"],
      ["/dead-letters", "Nothing has failed"],
    ] as const) {
      await open(page, server.url + path);
      await expect(page.getByText(words)).toBeVisible();
      expect(await violations(page), path).toEqual([]);
    }
  } finally {
    await server.end();
  }
});

test("a worker that comes is shown with what it can do, and can be filtered by its status", async ({
  page,
  server,
}) => {
  await open(page, `${server.url}/workers`);
  const embedded = (await server.get<{ items: WorkerView[] }>("/api/v1/workers")).items[0];
  await expect(page.locator(`[data-worker="${embedded?.id}"]`)).toContainText("in the server");
  const made = await server.post<WorkerView>("/api/v1/workers", {
    name: "gpu-box",
    protocol: 1,
    kinds: [{ kind: "train", versions: [1] }],
    capabilities: ["gpu"],
    max_concurrent_tasks: 2,
  });
  const card = page.locator(`[data-worker="${made.id}"]`);
  await expect(card).toContainText("0 of 2 places");
  await expect(card).toContainText("gpu");
  await page.getByRole("button", { name: /^error/ }).click();
  await expect(page.getByText("No worker has the status error")).toBeVisible();
});

test("the figures of the overview are those of the API", async ({ page, server }) => {
  await open(page, server.url);
  const stats = await server.get<{ tasks: Record<string, number> }>("/api/v1/stats");
  const failed = page.getByRole("link", { name: /^Failed/ });
  await expect(failed).toContainText(String(stats.tasks.failed));
  await failed.click();
  await expect(page).toHaveURL(/state=/);
  await expect(page.getByText(`${stats.tasks.failed} match`)).toBeVisible();
});

test("on a phone the menu leads everywhere", async ({ page, server }) => {
  await page.setViewportSize({ width: 375, height: 740 });
  await open(page, server.url);
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("navigation").getByRole("link", { name: "Workers" }).click();
  await settled(page);
  await expect(page.locator("h1")).toHaveText("Workers");
  await expect(page.getByRole("navigation")).toHaveCount(0);
});

test("theme, density and time zone are kept", async ({ page, server }) => {
  await open(page, `${server.url}/settings`);
  await page.getByRole("radio", { name: "Dark" }).check();
  await page.getByRole("radio", { name: "Compact" }).check();
  await page.getByLabel("Time zone").selectOption("Asia/Tokyo");
  await page.reload();
  const html = page.locator("html");
  await expect(html).toHaveAttribute("data-theme", "dark");
  await expect(html).toHaveAttribute("data-density", "compact");
  await expect(page.getByLabel("Time zone")).toHaveValue("Asia/Tokyo");
});

test("the first page is at most 200 KiB", async ({ page, server }) => {
  const sizes = new Map<string, number>();
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setExtraHTTPHeaders", { headers: { "accept-encoding": "gzip" } });
  const paths = new Map<string, string>();
  session.on("Network.responseReceived", ({ requestId, response }) =>
    paths.set(requestId, new URL(response.url).pathname),
  );
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const path = paths.get(requestId) ?? "";
    if (path === "/" || path.startsWith("/assets/") || path === "/icon.svg")
      sizes.set(path, encodedDataLength);
  });
  await open(page, server.url);
  await page.evaluate(() => document.fonts.ready);
  await expect.poll(() => [...sizes.keys()].some((path) => path.endsWith(".woff2"))).toBe(true);
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  console.log(`first page: ${(total / 1024).toFixed(1)} KiB in ${sizes.size} files`);
  expect(sizes.size).toBeGreaterThan(3);
  expect(total).toBeLessThanOrEqual(200 * 1024);
});
