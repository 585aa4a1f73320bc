// A server that gives one attempt at a time, and keeps what the worker says about it: for what no real server would ask.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { type AnyTask, Worker } from "everloop";
import { until } from "./help.js";

export interface Event {
  type: string;
  data: { step?: string; text?: string; result?: unknown };
}

/** What was said about an attempt, and how it ended. */
export interface Said {
  calls: number;
  events: Event[];
  act?: string;
  body: {
    result?: unknown;
    cancelled?: boolean;
    paused?: { reason: string; details: Record<string, unknown> };
  };
}

/** Runs one attempt after the other. */
export async function scripted(tasks: AnyTask[]) {
  let given: Record<string, unknown> | undefined;
  let signals: Record<string, unknown>[] = [];
  let said: Said = { calls: 0, events: [], body: {} };
  let attempts = 0;
  const answers = (path: string, body: Said["body"] & { events?: Event[] }): unknown => {
    if (path.endsWith("/claim")) {
      const assignments = given ? [given] : [];
      given = undefined;
      return { assignments };
    }
    if (path.endsWith("/signals")) return { signals: signals.splice(0) };
    const [, act] = /attempts\/\d+\/(\w+)$/.exec(path) ?? [];
    if (act !== undefined) {
      said.calls += 1;
      said.events.push(...(body.events ?? []));
      if (act !== "events") said = Object.assign(said, { act, body });
    }
    return { id: "wkr_1" };
  };
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const body = (text === "" ? {} : JSON.parse(text)) as Said["body"];
      const send = () => response.end(JSON.stringify(answers(request.url?.split("?")[0] ?? "", body)));
      // Who asks for tasks or signals is answered a little later, so that it does not ask all the time.
      if (/wait=/.test(request.url ?? "")) setTimeout(send, 10);
      else send();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const worker = new Worker({ tasks, url, apiKey: "none", drainMs: 1_000 });
  await worker.start();
  after(async () => {
    await worker.stop();
    server.closeAllConnections();
    server.close();
  });
  const begin = (of: AnyTask, input: unknown, replay?: string, past: Event[] = []) => {
    attempts += 1;
    const journal = past.map((event, i) => ({ seq: i + 2, ...event }));
    const spec = { kind: of.kind, queue: "default", input };
    const ids = { task: `task_${attempts}`, lease: "0.1.1", attempt: 1, tries: 0 };
    said = { calls: 0, events: [], body: {} };
    given = { ...ids, spec, journal, ...(replay === undefined ? {} : { replay }) };
    return said;
  };
  return {
    begin,
    /** Runs an attempt to its end. */
    run: async (of: AnyTask, input: unknown, replay?: string, past: Event[] = []) => {
      const mine = begin(of, input, replay, past);
      await until("the attempt has ended", () => mine.act !== undefined);
      return mine;
    },
    tell: (signal: string) => {
      signals = [{ task: `task_${attempts}`, attempt: 1, signal, grace_ms: 5_000 }];
    },
  };
}
