import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test as base, expect, type Page } from "@playwright/test";
import { Server } from "./server";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Violation {
  id: string;
  help: string;
  nodes: { html: string; failureSummary: string }[];
}

/** Tests with a server that has the example tasks: one for each process of tests. */
export const test = base.extend<{ quiet: undefined }, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = await Server.start("dev", "--sample");
      for (;;) {
        const { total } = await server.get<{ total: number }>("/api/v1/stats");
        if (total >= 12) break;
        await new Promise((done) => setTimeout(done, 50));
      }
      await use(server);
      await server.end();
    },
    { scope: "worker" },
  ],
  // Whatever a page says on the console is a fault: a policy that was broken, an error, a request that was refused.
  quiet: [
    async ({ page }, use) => {
      const said: string[] = [];
      page.on("pageerror", (error) => said.push(error.message));
      page.on("console", (message) => {
        const isLost =
          /ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|ERR_CONNECTION_RESET|Failed to load resource/;
        if (message.type() === "error" && !isLost.test(message.text())) said.push(message.text());
      });
      await use(undefined);
      expect(said).toEqual([]);
    },
    { auto: true },
  ],
});

/** Opens a page and waits until nothing of it is loading. */
export async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await settled(page);
}

/** Waits until the page is connected and has no skeletons. */
export async function settled(page: Page): Promise<void> {
  await expect(page.locator("main h1").first()).toBeVisible();
  await expect(page.getByLabel("Loading")).toHaveCount(0);
}

/** What WCAG 2.1 and 2.2, levels A and AA, have against the page as it stands. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const runner = (
      window as unknown as { axe: { run: (options: object) => Promise<{ violations: Violation[] }> } }
    ).axe;
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    return (await runner.run({ runOnly: tags })).violations;
  });
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help}\n  ${node.html.slice(0, 200)}\n  ${node.failureSummary}`),
  );
}

export { expect };
