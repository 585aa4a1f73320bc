import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Live, useLive } from "./live";
import { touched } from "./refresh";
import { Blocks } from "./sse";
import type { EventShape } from "./types";

const event = (seq: number, change: Partial<EventShape> = {}): EventShape =>
  ({ stream: "task_1", seq, type: "step.completed", data: {}, ...change }) as EventShape;

test("a stream is cut into blocks wherever the network cut it", () => {
  const text = 'retry: 1000\n\nid: 1\nevent: a\ndata: {"x":1}\n\n: hb\nid: 2\n\n';
  const blocks = new Blocks();
  const found = Array.from(text).flatMap((char) => blocks.push(char));
  expect(found).toEqual([{}, { id: "1", event: "a", data: '{"x":1}' }, { id: "2" }]);
});

test("an event says which questions have to be asked again", () => {
  const names = (events: EventShape[]) => touched({ events }).map((key) => key.join(" "));
  expect(names([event(1)])).toEqual(["task task_1"]);
  expect(names([event(1, { type: "task.completed" })])).toEqual(
    expect.arrayContaining(["task task_1", "tasks", "stats", "inbox"]),
  );
  expect(names([event(1, { type: "task.submitted", data: { parent: { task: "task_9" } } })])).toContain(
    "task task_9",
  );
  expect(names([event(1, { stream: "audit/ten_1/1" })])).toEqual([]);
});

/** A server of which each answer is written down. */
class Script {
  readonly asked: { path: string; after: string | null }[] = [];
  readonly streams: ReadableStreamDefaultController<Uint8Array>[] = [];
  isDown = false;

  readonly fetch = (input: URL | string, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input);
    const headers = new Headers(init.headers);
    this.asked.push({ path: url.pathname, after: headers.get("last-event-id") });
    if (this.isDown) return Promise.reject(new TypeError("refused"));
    if (url.pathname.endsWith("/about")) return Promise.resolve(Response.json({ version: "1" }));
    if (headers.get("accept") === "text/event-stream") {
      const body = new ReadableStream<Uint8Array>({ start: (stream) => void this.streams.push(stream) });
      return Promise.resolve(new Response(body));
    }
    if (url.pathname.endsWith("/events"))
      return Promise.resolve(Response.json({ items: [], next_cursor: "c0" }));
    return Promise.resolve(new Response("", { headers: { etag: '"1"' } }));
  };

  say(id: string, ...events: EventShape[]): void {
    const text = events
      .map((one) => `id: ${id}\nevent: ${one.type}\ndata: ${JSON.stringify(one)}\n\n`)
      .join("");
    this.streams.at(-1)?.enqueue(new TextEncoder().encode(text));
  }
}

let server: Script;
beforeEach(() => {
  server = new Script();
  vi.stubGlobal("fetch", server.fetch);
});
afterEach(() => vi.unstubAllGlobals());

test("a stream that breaks off goes on from the last cursor, and nothing is left out", async () => {
  const live = new Live();
  const seen: number[] = [];
  let again = 0;
  live.onBatch(({ events }) => seen.push(...events.map(({ seq }) => seq)));
  live.onAgain(() => (again += 1));
  live.start();
  await vi.waitFor(() => expect(useLive.getState().connection).toBe("live"));
  server.say("c1", event(1), event(2));
  await vi.waitFor(() => expect(seen).toEqual([1, 2]));

  server.isDown = true;
  server.streams[0]?.close();
  await vi.waitFor(() => expect(useLive.getState().connection).toBe("lost"));
  expect(useLive.getState().lostSince).toBeTypeOf("number");
  server.isDown = false;
  await vi.waitFor(() => expect(useLive.getState().connection).toBe("live"), 5000);
  server.say("c3", event(3));
  await vi.waitFor(() => expect(seen).toEqual([1, 2, 3]));
  expect(again).toBe(2);
  expect(server.asked.filter(({ after }) => after !== null).map(({ after }) => after)).toEqual(["c0", "c1"]);
  live.stop();
});

test("thousands of events come in few batches, and the stream is not read while many wait", async () => {
  const live = new Live();
  const batches: number[] = [];
  live.onBatch(({ events }) => batches.push(events.length));
  live.start();
  await vi.waitFor(() => expect(server.streams).toHaveLength(1));
  for (let i = 0; i < 100; i += 1) {
    server.say(`c${i}`, ...Array.from({ length: 100 }, (_, n) => event(i * 100 + n)));
  }
  await vi.waitFor(() => expect(batches.reduce((sum, n) => sum + n, 0)).toBe(10_000), 10_000);
  expect(batches.length).toBeLessThan(12);
  expect(Math.max(...batches)).toBeLessThanOrEqual(2100);
  live.stop();
}, 15_000);
