import { expect, test } from "vitest";
import type { AttemptView, EventShape, StepView, TaskView } from "@/api/types";
import { pieces } from "./ansi";
import { bytes, plural, rate, shortId } from "./format";
import { draftOf, fieldsOf, valueOfDraft } from "./schema";
import { python, startSnippets } from "./snippets";
import { summary } from "./summary";
import { absolute, duration, relative } from "./time";
import { lines, place, ticks } from "./waterfall";
import { awaited, awaitedInputs, why } from "./why";

const NOW = Date.parse("2026-01-31T12:00:00Z");

test.each([
  [-5, "0 ms"],
  [84, "84 ms"],
  [3200, "3.2 s"],
  [59_999, "59 s"],
  [252_000, "4 min 12 s"],
  [7_500_000, "2 h 5 min"],
  [86_400_000, "1 d"],
])("%d ms is read as %s", (ms, text) => expect(duration(ms)).toBe(text));

test("times are told from now and in any zone", () => {
  expect(relative("2026-01-31T11:59:20Z", NOW)).toBe("40 s ago");
  expect(relative("2026-01-31T12:03:00Z", NOW)).toBe("in 3 min");
  expect(relative("2026-01-31T12:00:00Z", NOW)).toBe("now");
  expect(absolute("2026-01-31T23:30:05.123456Z", "Asia/Tokyo")).toBe("2026-02-01 08:30:05.123");
});

test("figures are read easily", () => {
  expect([bytes(12), bytes(1536), bytes(20 * 2 ** 20)]).toEqual(["12 B", "1.5 KiB", "20 MiB"]);
  expect([rate(0), rate(0.44), rate(1204.4)]).toEqual(["0", "0.4", "1,204"]);
  expect([plural(1, "task"), plural(2, "task"), plural(3, "try", "tries")]).toEqual([
    "1 task",
    "2 tasks",
    "3 tries",
  ]);
  expect(shortId("task_01m7zv2hwgerg99pg48t97q6wt")).toBe("…8t97q6wt");
});

const task = (change: Partial<TaskView>): TaskView =>
  ({
    id: "task_1",
    kind: "mock",
    queue: "default",
    state: "running",
    attempt: 1,
    tries: 0,
    lost_attempts: 0,
    steps: 0,
    created_at: "2026-01-31T11:59:00Z",
    updated_at: "2026-01-31T11:59:30Z",
    ...change,
  }) as TaskView;

test.each<[Partial<TaskView>, string]>([
  [{}, "Runs: no step recorded yet."],
  [{ attempt: 2, progress: { done: 3, total: 9, note: "b" } }, "Runs in attempt 2: 3 of 9 done, now b."],
  [{ state: "queued" }, "Waits in the queue default for a worker with room, since 30 s."],
  [{ state: "queued", unclaimable: "no worker runs mock." }, "Nobody can claim it: no worker runs mock."],
  [{ state: "waiting", waiting_for: { input: { id: "i", name: "go" } } }, "Waits for an input called go."],
  [
    {
      state: "waiting",
      waiting_for: { any: [{ timer: { id: "t", at: "2026-01-31T12:01:00Z" } }, { decision: { id: "d" } }] },
    },
    "Waits for its time, in 1 min or somebody to decide.",
  ],
  [{ state: "paused", paused: { by: "usr_1", reason: "requested" } }, "Was paused by a person."],
  [
    {
      state: "pending",
      retry_at: "2026-01-31T12:00:05Z",
      error: { class: "transient", code: "x", message: "No." },
    },
    "Is tried again in 5 s. The last try failed: No.",
  ],
  [
    { state: "completed", attempt: 2, lost_attempts: 1, steps: 8 },
    "Completed with 8 steps in 2 attempts; one was lost, and nothing recorded was done twice.",
  ],
  [
    { state: "failed", tries: 3, error: { class: "internal", code: "x", message: "Boom." } },
    "Failed after 3 tries: Boom.",
  ],
])("%o is told in one sentence", (change, sentence) => expect(why(task(change), NOW)).toBe(sentence));

test("what a task waits for is found however deep it stands", () => {
  const tree = {
    all: [{ any: [{ child: { id: "c", task: "task_2" } }] }, { input: { id: "i", name: "go" } }],
  };
  expect([awaited(tree), awaitedInputs(tree)]).toEqual([["task_2"], ["go"]]);
});

const attempt = (n: number, from: number, to: number | undefined, status: string, seq: number): AttemptView =>
  ({
    attempt: n,
    status,
    started_at: new Date(from).toISOString(),
    ended_at: to === undefined ? null : new Date(to).toISOString(),
    first_seq: seq,
  }) as AttemptView;
const step = (name: string, n: number | undefined, seq: number): StepView =>
  ({ step: name, attempt: n, status: "completed", kind: "mock", seq, failed_tries: 0 }) as StepView;

test("the waterfall tells what each attempt ran and what it took from the record", () => {
  const attempts = [attempt(1, 0, 100, "lost", 2), attempt(2, 200, undefined, "running", 6)];
  const made = lines(
    attempts,
    [step("a", 1, 3), step("b", 1, 4), step("c", 2, 7), step("d", undefined, 8)],
    [],
    300,
  );
  expect(made.map((line) => (line.is === "step" ? line.step.step : line.is))).toEqual([
    "attempt", "a", "b", "attempt", "c", "d",
  ]); // prettier-ignore
  expect(made[3]).toMatchObject({ replayed: 2, ran: 2, from: 200, to: 300, isOpen: true });
});

test("ten thousand steps are laid out at once", () => {
  const many = Array.from({ length: 10_000 }, (_, i) => step(`s${i}`, 1, i + 3));
  const began = performance.now();
  expect(lines([attempt(1, 0, 1000, "completed", 2)], many, [], 0)).toHaveLength(10_001);
  expect(performance.now() - began).toBeLessThan(1000);
});

test("lines are placed on the axis, and those beside it are left out", () => {
  expect(place({ from: 50, to: 75 }, { from: 0, to: 100 })).toEqual({ left: 50, width: 25 });
  expect(place({ from: -50, to: 50 }, { from: 0, to: 100 })).toEqual({ left: 0, width: 50 });
  expect(place({ from: 200, to: 300 }, { from: 0, to: 100 })).toBeUndefined();
  expect(ticks({ from: 0, to: 60_000 }, 6).map(({ ms }) => ms)).toEqual([
    0, 10_000, 20_000, 30_000, 40_000, 50_000,
  ]);
});

test("terminal output keeps its colours over chunks, and nothing else of its control sequences", () => {
  const first = pieces("\x1b[1;31mred\x1b[2K");
  expect(first.pieces).toEqual([{ text: "red", bold: true, colour: 1 }]);
  expect(pieces("still\x1b[0m plain", first.look).pieces).toEqual([
    { text: "still", bold: true, colour: 1 },
    { text: " plain" },
  ]);
  expect(pieces("10%\r50%\r100%\nok\r\n").pieces).toEqual([{ text: "100%\nok\n" }]);
  expect(pieces("\x1b]8;;http://x\x07link\x1b]8;;\x07").pieces).toEqual([{ text: "link" }]);
});

const SCHEMA = {
  type: "object",
  required: ["city", "days"],
  properties: {
    city: { type: "string", minLength: 2, description: "Where" },
    days: { type: "integer", minimum: 1, maximum: 7 },
    unit: { $ref: "#/$defs/Unit" },
    exact: { type: "boolean" },
    more: { anyOf: [{ type: "object" }, { type: "null" }] },
  },
  $defs: { Unit: { enum: ["c", "f"], default: "c" } },
};

test("a field whose default is null is empty, and what is empty is not sent", () => {
  const fields =
    fieldsOf({ type: "object", properties: { cwd: { type: ["string", "null"], default: null } } }) ?? [];
  expect(draftOf(fields)).toEqual({ cwd: "" });
  expect(draftOf(fields, { cwd: null })).toEqual({ cwd: "" });
  expect(valueOfDraft(fields, draftOf(fields)).value).toEqual({});
});

test("a form is made of a schema, and says what is wrong with which field", () => {
  const fields = fieldsOf(SCHEMA) ?? [];
  expect(fields.map(({ name, control, isRequired }) => [name, control, isRequired])).toEqual([
    ["city", "text", true],
    ["days", "integer", true],
    ["unit", "choice", false],
    ["exact", "flag", false],
    ["more", "json", false],
  ]);
  const draft = draftOf(fields);
  expect(draft).toEqual({ city: "", days: "", unit: "c", exact: false, more: "" });
  expect(valueOfDraft(fields, { ...draft, city: "B", days: "8", more: "{" }).errors).toEqual({
    city: "At least 2 characters.",
    days: "At most 7.",
    more: expect.stringContaining("no JSON") as string,
  });
  expect(valueOfDraft(fields, { ...draft, city: "Bonn", days: "3", more: '{"a":1}' })).toEqual({
    value: { city: "Bonn", days: 3, unit: "c", more: { a: 1 } },
    errors: {},
  });
  expect(fieldsOf({ type: "string" })).toBeUndefined();
});

test("a task is written down for shells and languages without being changed", () => {
  const snippets = startSnippets(
    {
      ...task({}),
      input: { text: "it's", flag: true, none: null },
      queue: "high",
      title: "A",
      labels: { team: "x" },
    },
    "http://127.0.0.1:7420",
  );
  const [curl, cli] = snippets.map(({ text }) => text);
  expect(curl).toContain(String.raw`"text":"it'\''s"`);
  expect(cli).toBe(
    String.raw`everloop task start mock --input '{"text":"it'\''s","flag":true,"none":null}' --queue 'high' --title 'A' --label 'team=x' --follow`,
  );
  expect(python({ a: [true, null, 1.5], b: "x" })).toBe('{"a": [True, None, 1.5], "b": "x"}');
});

test.each([
  ["step.completed", { step: "read#1", result: { n: 3 } }, 'read#1 → {"n":3}'],
  ["step.failed", { step: "read#1", error: { message: "No." } }, "read#1: No."],
  ["log", { source: "stderr", text: "late\n" }, "stderr: late"],
  ["task.progress", { done: 3, total: 9, note: "b" }, "3 of 9, b"],
  ["custom.x", { any: 1 }, '{"any":1}'],
  ["custom.gone", undefined, "(its data is gone)"],
])("%s is told in a line", (type, data, line) => {
  expect(summary({ type, data } as EventShape)).toBe(line);
});
