import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext } from "@playwright/test";
import lighthouse, { desktopConfig, type Result } from "lighthouse";

/** What Lighthouse looks at. */
export type Category = "accessibility" | "best-practices" | "performance";

/** A browser of its own, which Lighthouse drives over a port: it opens its pages itself. */
export class Lighthouse {
  readonly #folder: string;
  readonly #context: BrowserContext;

  private constructor(folder: string, context: BrowserContext) {
    this.#folder = folder;
    this.#context = context;
  }

  static async start(executablePath: string | undefined, args: string[]): Promise<Lighthouse> {
    const folder = mkdtempSync(join(tmpdir(), "everloop-lighthouse-"));
    const context = await chromium.launchPersistentContext(folder, {
      ...(executablePath === undefined ? {} : { executablePath }),
      args: [...args, "--remote-debugging-port=0"],
      // Lighthouse says how large its page is.
      viewport: null,
    });
    return new Lighthouse(folder, context);
  }

  /** Chooses the theme as a person does, for all pages of this server. */
  async theme(url: string, theme: "light" | "dark"): Promise<void> {
    const page = await this.#context.newPage();
    await page.goto(`${url}/settings`);
    await page.getByRole("radio", { name: theme }).check();
    await page.waitForFunction((theme) => document.documentElement.dataset.theme === theme, theme);
    await page.close();
  }

  /** Looks at a page, from a desk or from a phone. */
  async look(url: string, from: "desk" | "phone", onlyCategories: Category[]): Promise<Result> {
    // The first line is the port that the browser has chosen.
    const port = Number(readFileSync(join(this.#folder, "DevToolsActivePort"), "utf8").split("\n")[0]);
    // Points that are not about time need no waiting and no picture.
    const hasten = onlyCategories.includes("performance")
      ? {}
      : { pauseAfterFcpMs: 0, pauseAfterLoadMs: 0, cpuQuietThresholdMs: 0, networkQuietThresholdMs: 500 };
    const flags = { port, onlyCategories, logLevel: "error" as const, maxWaitForLoad: 15_000, ...hasten };
    const options = { ...flags, disableFullPageScreenshot: true };
    let trouble = "nothing was said";
    // A trace without its beginning happens; it says itself that one should look again.
    for (let i = 0; i < 3; i += 1) {
      const found = await lighthouse(url, options, from === "desk" ? desktopConfig : undefined);
      if (found && !found.lhr.runtimeError) return found.lhr;
      trouble = found?.lhr.runtimeError?.message ?? trouble;
    }
    throw new Error(`Lighthouse has not seen ${url}: ${trouble}`);
  }

  async end(): Promise<void> {
    await this.#context.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The points of a category, of 100. */
export function points(result: Result, category: Category): number {
  return Math.round((result.categories[category]?.score ?? 0) * 100);
}

/** What costs points in a category. */
export function faults(result: Result, category: Category): string[] {
  return (result.categories[category]?.auditRefs ?? []).flatMap(({ id, weight }) => {
    const audit = result.audits[id];
    const isFault = weight > 0 && audit?.score != null && audit.score < 1;
    return isFault
      ? [`${category}: ${audit.title} ${JSON.stringify(audit.details ?? {}).slice(0, 500)}`]
      : [];
  });
}
