// Measures the dashboard in a browser: `npm run figures`. Nothing here is a gate; docs/benchmarks.md has what it said.
import type { Browser, Page } from "@playwright/test";
import { heap, LINES, manySteps, manyTasks, nodes, noisy, ROWS, scrollThrough } from "./large";
import { Lighthouse, points } from "./lighthouse";
import { Server } from "./server";
import { expect, settled, test } from "./test";

const ROUNDS = 5;
/** A person presses keys with this much between them, in ms. */
const PACE = 60;

declare global {
  interface Window {
    /** When the page could be used, in ms since the navigation. */
    usable: number | undefined;
    /** How long each interaction took to its next picture, in ms, by its number. */
    interactions: Map<number, number>;
  }
}

/** Watches a page from its first script on. */
function watch({ shows }: { shows: string }): void {
  window.interactions = new Map();
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { interactionId: number })[]) {
      if (entry.interactionId === 0) continue;
      const before = window.interactions.get(entry.interactionId) ?? 0;
      window.interactions.set(entry.interactionId, Math.max(before, entry.duration));
    }
  }).observe({ type: "event", durationThreshold: 16, buffered: true } as PerformanceObserverInit);
  const look = () => {
    const isThere = document.querySelector("main h1") !== null && document.querySelector(shows) !== null;
    if (!isThere || document.querySelector('[aria-label="Loading"]')) requestAnimationFrame(look);
    // The next frame shows what this one has.
    else requestAnimationFrame(() => setTimeout(() => (window.usable = performance.now())));
  };
  look();
}

/** A page in a browser that has never seen the server. */
async function fresh(browser: Browser, url: string, shows: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.addInitScript(watch, { shows });
  await page.goto(url);
  await page.waitForFunction(() => window.usable !== undefined);
  return page;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const line = (...cells: (string | number)[]) => console.log(`| ${cells.join(" | ")} |`);

/** From the navigation until the page can be used: the median of some, each with nothing in the cache. */
async function navigation(browser: Browser, url: string, shows: string, name: string): Promise<void> {
  const took: number[] = [];
  for (let i = 0; i < ROUNDS; i += 1) {
    const page = await fresh(browser, url, shows);
    took.push((await page.evaluate(() => window.usable)) ?? NaN);
    await page.context().close();
  }
  line(
    `navigation to usable, ${name}`,
    `${median(took).toFixed(0)} ms`,
    `${Math.max(...took).toFixed(0)} ms`,
  );
}

/** From each interaction to the next picture. What is faster than 16 ms the browser does not tell. */
async function interactions(page: Page, name: string, act: () => Promise<void>): Promise<void> {
  const made = () =>
    page.evaluate(() => (performance as unknown as { interactionCount: number }).interactionCount);
  await page.evaluate(() => window.interactions.clear());
  const before = await made();
  await act();
  const count = (await made()) - before;
  const told = await page.evaluate(() => [...window.interactions.values()]);
  expect(count).toBeGreaterThan(10);
  const all = [...Array.from({ length: Math.max(0, count - told.length) }, () => 15), ...told];
  const word = (ms: number) => (ms < 16 ? "< 16 ms" : `${ms.toFixed(0)} ms`);
  line(`interaction to next paint, ${name} (${count})`, word(median(all)), word(Math.max(...all)));
}

async function press(page: Page, key: string, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) await page.keyboard.press(key, { delay: PACE });
}

async function performancePoints(url: string, name: string, args: string[], bin: string | undefined) {
  const lighthouse = await Lighthouse.start(bin, args);
  try {
    for (const from of ["desk", "phone"] as const) {
      const found: number[] = [];
      for (let i = 0; i < ROUNDS; i += 1) {
        found.push(points(await lighthouse.look(url, from, ["performance"]), "performance"));
      }
      const least = Math.min(...found);
      line(`Lighthouse performance, ${name}, ${from}`, median(found), least);
    }
  } finally {
    await lighthouse.end();
  }
}

test("a hundred thousand tasks", async ({ browser, launchOptions }) => {
  test.setTimeout(600_000);
  const server = await Server.start("dev");
  try {
    await manyTasks(server);
    const list = `${server.url}/tasks`;
    await navigation(browser, server.url, '[data-connection="live"]', "Overview, 100,000 tasks");
    await navigation(browser, list, "[data-task]", "Tasks, 100,000 tasks");
    const page = await fresh(browser, list, "[data-task]");
    await interactions(page, "100,000 tasks", async () => {
      await press(page, "j", 30);
      await press(page, "x", 1);
      await press(page, "ArrowDown", 30);
      await page.getByRole("button", { name: "Live", exact: true }).click({ delay: PACE });
      await settled(page);
      await page.getByRole("button", { name: "All", exact: true }).click({ delay: PACE });
      await settled(page);
      await page.getByLabel("Search tasks").click();
      await page.keyboard.type("Task 99999", { delay: PACE });
      await expect(page.locator("[data-task]")).toHaveCount(1);
      await page.getByLabel("Search tasks").fill("");
      await expect(page.locator("[data-task]").nth(5)).toBeVisible();
      await page.locator("[data-row-link]").first().click({ delay: PACE });
      await settled(page);
    });
    await page.goto(list);
    await settled(page);
    const longest = await scrollThrough(page, ROWS, 60);
    line("scroll to next picture, 100,000 tasks (60)", "", `${longest.toFixed(0)} ms`);
    line("nodes, 100,000 tasks", await nodes(page), "");
    line("heap, 100,000 tasks", `${(await heap(page)).toFixed(0)} MB`, "");
    const { executablePath, args = [] } = launchOptions;
    await performancePoints(server.url, "Overview", args, executablePath);
    await performancePoints(list, "Tasks", args, executablePath);
  } finally {
    await server.end();
  }
});

test("ten thousand steps", async ({ browser }) => {
  test.setTimeout(300_000);
  const server = await Server.start("dev");
  try {
    const task = await manySteps(server);
    const url = `${server.url}/tasks/${task.id}`;
    await navigation(browser, url, '[data-line="step"]', "a task of 10,000 steps");
    const page = await fresh(browser, url, '[data-line="step"]');
    await interactions(page, "10,000 steps", async () => {
      await page.locator(`${LINES} button`).first().focus();
      await press(page, "j", 30);
      await page.getByLabel("Find a step").click();
      await page.keyboard.type("s9876#", { delay: PACE });
      await page.getByRole("button", { name: "s9876#1" }).click({ delay: PACE });
      await expect(page.getByRole("region", { name: "Step s9876#1" })).toBeVisible();
      for (const tab of ["Events", "Input and result", "Timeline"]) {
        await page.getByRole("tab", { name: tab }).click({ delay: PACE });
        await settled(page);
      }
    });
    const longest = await scrollThrough(page, LINES, 60);
    line("scroll to next picture, 10,000 steps (60)", "", `${longest.toFixed(0)} ms`);
    line("nodes, 10,000 steps", await nodes(page), "");
    line("heap, 10,000 steps", `${(await heap(page)).toFixed(0)} MB`, "");
  } finally {
    await server.end();
  }
});

test("a thousand events a second", async ({ browser }) => {
  test.setTimeout(120_000);
  const server = await Server.start("dev");
  try {
    const task = await noisy(server, 30);
    await server.untilSeq(task.id, 500);
    const page = await fresh(browser, `${server.url}/tasks/${task.id}?tab=events`, "[data-seq]");
    await interactions(page, "1,000 events/s", async () => {
      await page.getByLabel("Search events").click();
      await page.keyboard.type("noise", { delay: PACE });
      await press(page, "Backspace", 5);
      for (const name of ["Pause", /^Go on/, "Follow", "Follow", "Wrap lines", "Wrap lines"]) {
        const button = page.getByRole("button", {
          name,
          ...(typeof name === "string" ? { exact: true } : {}),
        });
        await button.last().click({ delay: PACE });
      }
      for (const tab of ["Timeline", "Output", "Events"]) {
        await page.getByRole("tab", { name: tab }).click({ delay: PACE });
        await settled(page);
      }
    });
    line("nodes, 1,000 events/s", await nodes(page), "");
    line("heap, 1,000 events/s", `${(await heap(page)).toFixed(0)} MB`, "");
    expect((await server.task(task.id)).state).toBe("running");
  } finally {
    await server.end();
  }
});
