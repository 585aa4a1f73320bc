import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, open, test, violations } from "./test";

test("the demo's crash is found from the landing page with one click: what was lost, kept and run", async ({
  page,
}) => {
  const folder = mkdtempSync(join(tmpdir(), "everloop-demo-ui-"));
  const demo = spawn(process.env.EVERLOOP_BIN ?? "", ["demo", "--ui", "--seed", "7"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    let url = "";
    for await (const line of createInterface(demo.stdout)) {
      url = /Look at it in a browser: (\S+)/.exec(line)?.[1] ?? "";
      if (url !== "") break;
    }
    await open(page, url);
    const row = page.getByRole("listitem").filter({ hasText: "Measure files" });
    await expect(row).toContainText("recovered");
    await row.getByRole("link", { name: "Measure files" }).click();

    await expect(page.getByTestId("why")).toHaveText(
      "Completed with 61 steps in 2 attempts; one was lost, and nothing recorded was done twice.",
    );
    const story = page.getByTestId("story");
    await expect(story).toHaveText(
      /^Attempt 1 was lost after \d+ recorded steps. Attempt 2 took those \d+ from the record and ran \d+.$/,
    );
    const [, lost, , replayed, ran] = ((await story.textContent()) ?? "").match(/\d+/g)?.map(Number) ?? [];
    expect(replayed).toBe(lost);
    expect((replayed ?? 0) + (ran ?? 0)).toBe(61);

    // The lines say it, too: the lost attempt with what it ran, and the next one with the rest.
    const lines = page.locator("[data-line]");
    await expect(lines.first()).toContainText("Attempt 1lost");
    await expect(lines.first()).toContainText(`${lost} ran`);
    await page.getByLabel("Lines of the timeline").focus();
    const second = page.locator('[data-line="attempt"]').filter({ hasText: "Attempt 2" });
    for (let i = 0; i < 80 && (await second.count()) === 0; i += 1) await page.keyboard.press("j");
    await expect(second).toContainText(`${replayed} from the record, ${ran} ran`);
    await expect(second).toHaveAttribute("data-index", String((lost ?? 0) + 1));
    expect(await violations(page)).toEqual([]);

    demo.kill("SIGINT");
    await once(demo, "exit");
    expect(demo.exitCode).toBe(0);
  } finally {
    demo.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});

test("the samples show something of every kind on the landing page, and lead to it", async ({
  page,
  server,
}) => {
  const room = await server.byKey("sample-room");
  await server.until(room.id, "waiting");
  const failed = await server.byKey("sample-translate");
  await server.until(failed.id, "failed");
  await open(page, server.url);
  for (const name of ["Running", "Queued", "Waiting or paused", "Failed"]) {
    await expect(page.getByRole("link", { name: new RegExp(`^${name}`) })).not.toContainText("–");
  }
  await page.getByRole("link", { name: "Input room" }).click();
  await expect(page.locator(`[data-inbox-item="${room.id}"]`)).toContainText("Book a meeting room");
  await page.getByRole("link", { name: "Dead letters" }).click();
  await expect(page.getByRole("link", { name: "Translate the handbook" })).toBeVisible();
});
