import { Database } from "./database";
import { Server } from "./server";
import { expect, open, test, violations } from "./test";

test("a database that stops turns Health red, and green again when it is back", async ({ page }) => {
  const database = new Database();
  const server = await Server.start("dev", "--database-url", database.url);
  try {
    await open(page, `${server.url}/server`);
    const check = (name: string) => page.locator(`[data-check="${name}"]`);
    for (const name of ["database", "pipeline", "workers", "queues"]) {
      await expect(check(name)).toHaveAttribute("data-is", "good");
    }
    const dot = page.getByRole("navigation").getByRole("img", { name: "something is wrong" });
    await expect(dot).toHaveCount(0);

    database.stop();
    await expect(check("database")).toHaveAttribute("data-is", "bad");
    await expect(check("database")).toContainText("Is it running");
    await expect(dot).toBeVisible();
    expect(await violations(page)).toEqual([]);

    database.start();
    await expect(check("database")).toHaveAttribute("data-is", "good");
    const task = await server.submit({ kind: "mock", title: "Taken again" });
    await server.until(task.id, "completed");
    await expect(check("pipeline")).toHaveAttribute("data-is", "good");
    await expect(dot).toHaveCount(0);
  } finally {
    await server.end();
    database.drop();
  }
});

test("a queue that nobody serves is told, with what to do", async ({ page }) => {
  const server = await Server.start("dev");
  try {
    await server.submit({ kind: "mock", title: "Alone", queue: "nobodys" });
    await open(page, `${server.url}/server`);
    const queues = page.locator('[data-check="queues"]');
    await expect(queues).toHaveAttribute("data-is", "warn");
    await expect(queues).toContainText("No worker serves nobodys");
  } finally {
    await server.end();
  }
});
