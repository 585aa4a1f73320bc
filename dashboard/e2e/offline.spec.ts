import { Server } from "./server";
import { expect, open, test } from "./test";

test.use({ serviceWorkers: "allow" });

test("a reload while the server is away shows the shell, and the page goes on when it is back", async ({
  page,
}) => {
  const server = await Server.start("dev", "--base-path", "/ops");
  try {
    const task = await server.submit({ kind: "mock", title: "Seen before" });
    await server.until(task.id, "completed");
    await open(page, `${server.url}/ops/tasks`);
    await page.evaluate(async () => (await navigator.serviceWorker.ready).active?.state);
    await expect.poll(() => page.evaluate(() => navigator.serviceWorker.controller?.state)).toBe("activated");
    await server.kill();

    await page.reload();
    await expect(page.getByText("The server cannot be reached")).toBeVisible();
    // Nothing that the API said is shown as if it still held.
    await expect(page.getByText("Seen before")).toHaveCount(0);
    await page.getByRole("link", { name: "Settings" }).click();
    await expect(page.locator("h1")).toHaveText("Settings");
    const kept = await page.evaluate(async () => {
      const caches_ = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
      const requests = (await Promise.all(caches_.map((cache) => cache.keys()))).flat();
      return requests.map(({ url }) => new URL(url).pathname);
    });
    expect(kept).toContain("/ops/");
    expect(kept.filter((path) => path !== "/ops/" && !/^\/ops\/(assets\/|icon\.svg$)/.test(path))).toEqual(
      [],
    );

    await server.run();
    await page.getByRole("link", { name: "Tasks", exact: true }).click();
    await expect(page.getByRole("link", { name: "Seen before" })).toBeVisible();
    await expect(page.getByText("The server cannot be reached")).toHaveCount(0);
  } finally {
    await server.end();
  }
});

test("a page that is there comes from the server, and not from what was kept", async ({ page }) => {
  const server = await Server.start("dev");
  try {
    await open(page, server.url);
    await expect.poll(() => page.evaluate(() => navigator.serviceWorker.controller?.state)).toBe("activated");
    // Whoever keeps an older page: the next one is the server's all the same.
    await page.evaluate(async () => {
      for (const name of await caches.keys()) {
        const old = new Response("<h1>old</h1>", { headers: { "content-type": "text/html" } });
        await (await caches.open(name)).put("./", old);
      }
    });
    await page.reload();
    await expect(page.locator("h1")).toHaveText("Overview");
  } finally {
    await server.end();
  }
});
