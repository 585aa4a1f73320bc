import type { KindView, TaskView } from "../src/api/types";
import { expect, open, test, violations } from "./test";

const slow = (title: string) => ({
  kind: "mock",
  title,
  input: { steps: Array.from({ length: 400 }, (_, i) => ({ name: `s${i}`, duration_ms: 200 })) },
});

test("a task is started from JSON, and a mistake is found before it is sent", async ({ page, server }) => {
  await open(page, `${server.url}/new?kind=mock`);
  await page.getByRole("button", { name: "As JSON" }).click();
  await page.getByLabel("Input").fill('{"steps": [}');
  await page.getByLabel("Title").fill("Made by hand");
  await page.getByLabel("Labels").fill("team:ui");
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.getByText(/This is no JSON/)).toBeVisible();
  await page.getByLabel("Input").fill('{"steps": [{"name": "only"}], "result": {"n": 7}}');
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.locator("h1")).toHaveText("Made by hand");
  await expect(page.getByTestId("why")).toHaveText("Completed with 1 step in 1 attempt.");
  await page.getByRole("tab", { name: "Input and result" }).click();
  await expect(page.getByLabel("result", { exact: true })).toContainText('"n": 7');
});

test("a kind with a schema has a form, and what the server refuses stands at its field", async ({
  page,
  server,
}) => {
  const schema = {
    type: "object",
    required: ["city", "days"],
    properties: {
      city: { type: "string", minLength: 2, description: "Where to look" },
      days: { type: "integer", minimum: 1, maximum: 7 },
      unit: { enum: ["celsius", "fahrenheit"], default: "celsius" },
      exact: { type: "boolean" },
    },
    additionalProperties: false,
  };
  await server.post("/api/v1/workers", {
    name: "forecaster",
    protocol: 1,
    kinds: [{ kind: "weather", versions: [1], about: "says what the weather will be", input_schema: schema }],
    max_concurrent_tasks: 1,
  });
  expect((await server.get<KindView>("/api/v1/kinds/weather")).input_schema).toBeTruthy();
  await open(page, `${server.url}/new?kind=weather`);
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.getByText("This is needed.")).toHaveCount(2);
  await page.getByLabel("city").fill("Bonn");
  await page.getByLabel("days").fill("9");
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.getByText("At most 7.")).toBeVisible();
  await page.getByLabel("days").fill("3");
  await page.getByLabel("exact").check();
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.locator("h1")).toHaveText("weather");
  const id = new URL(page.url()).pathname.split("/").pop() ?? "";
  expect((await server.task(id)).input).toEqual({ city: "Bonn", days: 3, exact: true, unit: "celsius" });
});

test("a task is paused, resumed and cancelled, and asks before it ends", async ({ page, server }) => {
  const task = await server.submit(slow("To be steered"));
  await open(page, `${server.url}/tasks/${task.id}`);
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await expect(page.getByTestId("why")).toContainText("paused");
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await expect(page.getByTestId("why")).toContainText("Runs");
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Keep as it is" }).click();
  expect((await server.task(task.id)).finished_at ?? null).toBeNull();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel the task" }).click();
  await expect(page.getByTestId("why")).toContainText("Was cancelled");
});

test("a failed task is redriven and a finished one is forked from a step", async ({ page, server }) => {
  const task = await server.submit({
    kind: "mock",
    title: "Fails for good",
    input: {
      steps: [
        { name: "kept", result: 1 },
        { name: "broken", fail_attempts: 99, error_class: "validation" },
      ],
    },
  });
  await server.until(task.id, "failed");
  await open(page, `${server.url}/dead-letters`);
  await page.getByRole("button", { name: "Redrive Fails for good" }).first().click();
  await expect(page.getByText("A new task goes on for it.")).toBeVisible();

  await open(page, `${server.url}/tasks/${task.id}`);
  await page.getByRole("button", { name: "kept#1" }).click();
  await page.getByRole("button", { name: "Fork from here" }).click();
  const dialog = page.getByRole("dialog", { name: "Fork this task" });
  await expect(dialog.getByLabel("Run again from step")).toHaveValue("kept#1");
  await dialog.getByRole("button", { name: "Fork" }).click();
  await expect(page).not.toHaveURL(new RegExp(task.id));
  const fork = await server.task(new URL(page.url()).pathname.split("/").pop() ?? "");
  expect(fork.forked_from?.task).toBe(task.id);
});

test("a live task is edited, found by its priority, and deleted when it is over", async ({
  page,
  server,
}) => {
  const task = await server.submit({
    ...slow("Misnamed"),
    labels: { team: "ui", old: "yes" },
    policy: { retry: { max_tries: 2 } },
  });
  await open(page, `${server.url}/tasks/${task.id}`);
  const more = page.getByRole("button", { name: "More to do" });
  await more.click();
  await page.getByRole("menuitem", { name: "Edit…" }).click();
  const dialog = page.getByRole("dialog", { name: "Edit this task" });
  expect(await violations(page)).toEqual([]);
  await dialog.getByLabel("Priority").fill("700");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByText("A whole number from -100 to 100.")).toBeVisible();
  await dialog.getByLabel("Priority").fill("70");
  await dialog.getByLabel("Title").fill("Well named");
  await dialog.getByLabel("Labels").fill("team:ui\nnote:has: a colon");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(page.locator("h1")).toHaveText("Well named");
  const now = await server.task(task.id);
  expect(now.labels).toEqual({ team: "ui", note: "has: a colon" });
  expect(now.policy).toEqual({ ...task.policy, priority: 70 });

  await page.getByRole("link", { name: "Priority 70" }).click();
  await expect(page).toHaveURL(/priority=70/);
  await expect(page.locator("[data-task]")).toHaveCount(1);
  await page.getByLabel("Priority", { exact: true }).fill("71");
  await page.keyboard.press("Enter");
  await expect(page.getByText("No task is like that")).toBeVisible();

  await server.post(`/api/v1/tasks/${task.id}/cancel`, {});
  await server.until(task.id, "cancelled");
  await open(page, `${server.url}/tasks/${task.id}`);
  await more.click();
  await expect(page.getByRole("menuitem", { name: "Edit…" })).toBeDisabled();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  await page.getByRole("button", { name: "Keep as it is" }).click();
  expect((await server.task(task.id)).state).toBe("cancelled");
  await more.click();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  await page.getByRole("button", { name: "Delete for ever" }).click();
  await expect(page).toHaveURL(/\/tasks$/);
  await expect(server.task(task.id)).rejects.toThrow("404");
});

test("many tasks are chosen and cancelled at once, with a count before it", async ({ page, server }) => {
  const titles = ["Bulk one", "Bulk two", "Bulk three"];
  const tasks = await Promise.all(
    titles.map((title) => server.submit({ ...slow(title), labels: { bulk: "yes" } })),
  );
  await open(page, `${server.url}/tasks?label=bulk%3Ayes`);
  await page.getByLabel("Choose Bulk one").check();
  await page.getByLabel("Choose Bulk two").check();
  await expect(page.getByText("2 tasks chosen")).toBeVisible();
  await page.getByRole("button", { name: "Choose all that match" }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel 3 tasks" }).click();
  for (const task of tasks) await server.until(task.id, "cancelled");
  await expect(page.locator("[data-task]").getByText("cancelled", { exact: true })).toHaveCount(3);
});

test("the list is filtered, sorted and searched in the address", async ({ page, server }) => {
  await open(page, `${server.url}/tasks`);
  await page.keyboard.press("f");
  await expect(page).toHaveURL(/failed/);
  await expect(page.getByRole("link", { name: "Translate the handbook" })).toBeVisible();
  await expect(page.getByRole("link", { name: "Nightly report" })).toHaveCount(0);
  await page.reload();
  await expect(page.getByRole("button", { name: "Failed" })).toHaveAttribute("aria-pressed", "true");
  await page.getByRole("button", { name: "All", exact: true }).click();
  await page.keyboard.press("/");
  await page.keyboard.type("handbook");
  await expect(page).toHaveURL(/q=handbook/);
  await expect(page.locator("[data-task]")).toHaveCount(1);
  await page.getByLabel("Search tasks").fill("nothing is called that");
  await expect(page.getByText("No task is like that")).toBeVisible();
  await page.getByRole("button", { name: "Show all tasks" }).click();
  await expect(page.locator("[data-task]").first()).toBeVisible();
});

test("rows are reached, chosen and opened by keyboard", async ({ page, server }) => {
  await open(page, `${server.url}/tasks?order=oldest`);
  await expect(page.locator("[data-task]").first()).toBeVisible();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await expect(page.getByText("1 task chosen")).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/tasks\/task_/);
});

test("a queue is paused, shown so, and resumed", async ({ page, server }) => {
  await open(page, `${server.url}/queues`);
  await page.getByRole("button", { name: "Pause the queue low" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Pause the queue" }).click();
  await expect(page.getByRole("button", { name: "Resume the queue low" })).toBeVisible();
  await page.getByRole("button", { name: "Resume the queue low" }).click();
  await expect(page.getByRole("button", { name: "Pause the queue low" })).toBeVisible();
});

test("the receipt is verified in the browser, and an altered history is found out", async ({
  page,
  server,
}) => {
  const task = await server.submit({
    kind: "mock",
    title: "Signed",
    input: { steps: [{ name: "a", result: 12345 }] },
  });
  await server.until(task.id, "completed");
  await open(page, `${server.url}/tasks/${task.id}?tab=receipt`);
  const verdict = page.getByTestId("verdict");
  await page.getByRole("button", { name: "Check the history" }).click();
  await expect(verdict).toContainText("Signed by this server");
  await page
    .getByLabel("A key that you trust")
    .fill(JSON.stringify(await server.get("/.well-known/jwks.json")));
  await page.getByRole("button", { name: "Check the history" }).click();
  await expect(verdict).toContainText("Signed by a key that you trust");
  const whole = await (await fetch(`${server.url}/api/v1/tasks/${task.id}/export`)).text();
  await page
    .getByLabel("A copy of the export")
    .fill(whole.replace(/"result":12345,"started/, '"result":12346,"started'));
  await page.getByRole("button", { name: "Check the history" }).click();
  await expect(verdict).toHaveAttribute("data-verdict", "broken");
  await verdict.getByRole("button", { name: "Show event 3" }).click();
  await expect(page.locator('[data-seq="3"]')).toContainText("12345");
});

test("output is shown as a terminal shows it", async ({ page, server }) => {
  const tests = await server.byKey("sample-tests");
  await server.until(tests.id, "completed");
  await open(page, `${server.url}/tasks/${tests.id}?tab=output`);
  const output = page.getByRole("log", { name: "Output" });
  await expect(output).toContainText("12 passed in 1.8 s");
  await expect(output.getByText("ok", { exact: true }).first()).toHaveCSS("color", "rgb(129, 201, 149)");
  await page.getByLabel("Source").selectOption("stderr");
  await expect(output).toContainText("one test was slow");
  await expect(output).not.toContainText("12 passed");
});

test("a task is copied as a command that starts it again", async ({ page, context, server }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const digest = await server.byKey("sample-digest");
  await open(page, `${server.url}/tasks/${digest.id}`);
  await page.getByRole("button", { name: "More to do" }).click();
  await page.getByRole("menuitem", { name: "Copy as curl" }).click();
  await expect(page.getByText("Copied, as curl.")).toBeVisible();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toContain(`${server.url}/api/v1/tasks`);
  const body = /-d '(.*)'$/s.exec(copied)?.[1] ?? "";
  const again = await server.post<TaskView>("/api/v1/tasks", JSON.parse(body.replaceAll("'\\''", "'")));
  expect(again.title).toBe(digest.title);
});

test("the palette finds pages, tasks and acts", async ({ page, server }) => {
  await open(page, server.url);
  await page.keyboard.press("Control+k");
  await expect(page.getByPlaceholder(/A page, a task/)).toBeFocused();
  await page.keyboard.type("handbook");
  await page.getByRole("option", { name: /Translate the handbook/ }).click();
  await expect(page.locator("h1")).toHaveText("Translate the handbook");
  await page.keyboard.press("Control+k");
  await expect(page.getByPlaceholder(/A page, a task/)).toBeFocused();
  await page.keyboard.type("theme dark");
  await page.keyboard.press("Enter");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.keyboard.press("g");
  await page.keyboard.press("w");
  await expect(page.locator("h1")).toHaveText("Workers");
});

test("events are filtered, searched, jumped to, held and copied", async ({ page, context, server }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const task = await server.submit({
    kind: "mock",
    title: "Many events",
    input: {
      steps: [
        { name: "noisy", events: 400, duration_ms: 400 },
        { name: "last", result: "needle" },
      ],
    },
  });
  await server.until(task.id, "completed");
  await open(page, `${server.url}/tasks/${task.id}?tab=events`);
  const counted = page.getByTestId("event-count");
  await expect(counted).toContainText(/^40\d events$/);
  await page.getByLabel("Type of event").selectOption("custom.mock");
  await expect(counted).toContainText("400 of");
  await page.getByLabel("Type of event").selectOption("");
  await page.getByLabel("Search events").fill("needle");
  await expect(counted).toContainText("2 of");
  await page.getByRole("button", { name: "Copy these events" }).click();
  await expect(page.getByText("Copied.")).toBeVisible();
  expect((await page.evaluate(() => navigator.clipboard.readText())).split("\n")).toHaveLength(2);
  await page.getByLabel("Search events").fill("");
  await page.getByLabel("Go to event number").fill("200");
  await page.keyboard.press("Enter");
  await expect(page.locator('[data-seq="200"]')).toBeInViewport();
  await expect(page).toHaveURL(/seq=200/);
});
