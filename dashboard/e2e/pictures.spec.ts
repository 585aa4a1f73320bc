// Takes the pictures of the docs: `npm run pictures`.
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import type { TaskView } from "../src/api/types";
import { Server } from "./server";
import { expect, settled, test } from "./test";
import { Worker } from "./worker";

const FOLDER = fileURLToPath(new URL("../../docs/images/", import.meta.url));
/** A picture is not larger than that. */
const MOST_BYTES = 200 * 1024;
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

interface How {
  theme?: "light" | "dark";
  size?: { width: number; height: number };
  /** What is done before the picture. */
  first?: () => Promise<void>;
}

async function picture(page: Page, url: string, name: string, how: How = {}): Promise<void> {
  const { theme = "light", size = DESK, first } = how;
  await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  await page.setViewportSize(size);
  await page.goto(url);
  await settled(page);
  await expect(page.locator("[data-connection=live]").first()).toBeAttached();
  await first?.();
  await page.evaluate(() => document.fonts.ready);
  const path = `${FOLDER}${name}.png`;
  await page.screenshot({ path });
  expect(statSync(path).size, name).toBeLessThan(MOST_BYTES);
}

/** Tasks as a day brings them, so that lists and lines have something to show. */
async function traffic(server: Server, waves: number): Promise<void> {
  const names = [
    "Sort the mail",
    "Check the links",
    "Resize the pictures",
    "Refresh the prices",
    "Send the reminders",
  ];
  for (let wave = 0; wave < waves; wave += 1) {
    const many = 2 + ((wave * 7) % 5);
    const tasks = Array.from({ length: many }, (_, i) => ({
      kind: "mock",
      title: names[(wave + i) % names.length] ?? "",
      queue: i % 3 === 0 ? "high" : "default",
      labels: { team: ["search", "support", "docs"][(wave + i) % 3] ?? "docs" },
      policy: { priority: i === 1 ? 10 : 0 },
      input: {
        steps: [
          { name: "read", duration_ms: 250 + ((wave * 31) % 400), events: 4 },
          { name: "work", duration_ms: 900 + ((wave * 97) % 2300), events: 8 },
          { name: "write", duration_ms: 120 },
        ],
        result: { items: 10 + wave },
      },
    }));
    await server.post("/api/v1/tasks/batch", { tasks });
    await new Promise((done) => setTimeout(done, 1500));
  }
}

/** Four questions for a person. */
async function questions(server: Server): Promise<void> {
  const worker = await Worker.register(server, "release");
  await server.submit({ kind: "release", title: "Release 2.4" });
  const details = { changes: 12, tests: "1,204 passed", rollback: "one click" };
  await (await worker.claim()).ask("ship#1", "Ship 2.4 to everybody?", ["approve", "reject"], details);
  await server.submit({ kind: "release", title: "Monthly totals" });
  const attempt = await worker.claim();
  await attempt.step("sum#1", 41);
  await attempt.differ("sum#1", { months: ["January", "February"] }, { months: ["January"] });
}

test("pictures of a server at work", async ({ page }) => {
  test.setTimeout(400_000);
  const server = await Server.start("dev", "--sample");
  try {
    // A task whose server is killed in its middle.
    const steps = Array.from({ length: 14 }, (_, i) => ({
      name: ["fetch", "parse", "embed", "store"][i % 4] ?? "",
      duration_ms: [420, 180, 760, 130][i % 4] ?? 0,
      events: 3,
    }));
    const lost = await server.submit({
      kind: "mock",
      key: "crawl-7",
      title: "Crawl the documentation",
      labels: { team: "search" },
      input: { steps, result: { pages: 418 } },
    });
    await server.untilSeq(lost.id, 30);
    await server.kill();
    await server.run();
    await questions(server);
    await page.goto(server.url);
    const busy = traffic(server, 34);
    await server.until(lost.id, "completed");
    const [tests, digest] = [await server.byKey("sample-tests"), await server.byKey("sample-digest")];
    await server.until(tests.id, "completed");
    const at = (task: TaskView, tab = "") => `${server.url}/tasks/${task.id}${tab && `?tab=${tab}`}`;

    await page.setViewportSize(DESK);
    await busy;
    // The lines of the overview are those of the page that was open all the while.
    const more = traffic(server, 4);
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
    await settled(page);
    await page.screenshot({ path: `${FOLDER}overview-light.png` });
    await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
    await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
    await page.screenshot({ path: `${FOLDER}overview-dark.png` });
    await picture(page, `${server.url}/tasks?order=oldest`, "tasks-light", {
      size: { width: 1500, height: 800 },
    });
    await picture(page, `${server.url}/tasks`, "tasks-phone-dark", { theme: "dark", size: PHONE });
    await more;
    const chosen = async () => {
      await page.getByRole("button", { name: "embed#2" }).click();
    };
    await picture(page, at(lost), "recovered-light", { size: { width: 1280, height: 880 } });
    await picture(page, at(lost), "recovered-dark", { theme: "dark", first: chosen });
    await picture(page, at(lost, "events"), "events-light");
    await picture(page, at(tests, "output"), "output-dark", { theme: "dark" });
    const check = async () => {
      await page.getByRole("button", { name: "Check the history" }).click();
      await expect(page.getByTestId("verdict")).toContainText("Signed by this server");
    };
    await picture(page, at(digest, "receipt"), "receipt-light", { first: check });
    await picture(page, `${server.url}/inbox`, "inbox-light");
    await picture(page, `${server.url}/inbox`, "inbox-phone-dark", { theme: "dark", size: PHONE });
    await picture(page, `${server.url}/new?kind=shell`, "new-task-light");
    await picture(page, `${server.url}/server`, "health-dark", { theme: "dark" });
    const find = async () => {
      await page.keyboard.press("Control+k");
      await expect(page.getByPlaceholder(/A page, a task/)).toBeFocused();
      await page.keyboard.type("handbook");
      await expect(page.getByRole("option", { name: /Translate the handbook/ })).toBeVisible();
    };
    await picture(page, `${server.url}/queues`, "palette-light", { first: find });
  } finally {
    await server.end();
  }
});

test("a picture of a server that is new", async ({ page }) => {
  const server = await Server.start("dev");
  try {
    await picture(page, server.url, "empty-light");
  } finally {
    await server.end();
  }
});
