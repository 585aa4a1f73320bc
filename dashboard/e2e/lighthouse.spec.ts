import { faults, Lighthouse, points, type Category } from "./lighthouse";
import { expect, test } from "./test";

const GATED: Category[] = ["accessibility", "best-practices"];

test("Lighthouse gives the main pages all points, light and dark", async ({ server, launchOptions }) => {
  test.setTimeout(180_000);
  const task = await server.byKey("sample-digest");
  await server.until(task.id, "completed");
  const routes = ["/", "/tasks", `/tasks/${task.id}`, "/inbox", "/new?kind=mock", "/server"];
  const lighthouse = await Lighthouse.start(launchOptions.executablePath, launchOptions.args ?? []);
  try {
    for (const theme of ["light", "dark"] as const) {
      await lighthouse.theme(server.url, theme);
      for (const path of routes) {
        const result = await lighthouse.look(server.url + path, "desk", GATED);
        for (const category of GATED) {
          expect(faults(result, category), `${path} ${theme}`).toEqual([]);
          expect(points(result, category), `${path} ${theme}`).toBe(100);
        }
      }
    }
  } finally {
    await lighthouse.end();
  }
});
