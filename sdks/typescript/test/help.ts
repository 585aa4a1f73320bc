// A server and a worker for tests, in folders of their own.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { type AnyTask, Client, LocalServer, Worker, type WorkerOptions } from "everloop";

// The program that was built here, where no other one is named.
const built = fileURLToPath(new URL("../../../../target/debug/everloop", import.meta.url));
if (!process.env.EVERLOOP_BIN && existsSync(built)) process.env.EVERLOOP_BIN = built;
delete process.env.EVERLOOP_URL;
delete process.env.EVERLOOP_API_KEY;
delete process.env.EVERLOOP_DATA_DIR;

/** A folder that is gone when the file's tests have ended. */
export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "everloop-sdk-"));
  process.env.XDG_STATE_HOME = made;
  after(() => rmSync(made, { recursive: true, force: true, maxRetries: 5 }));
  return made;
}

/** A server, a client of it, and a worker. */
export interface Harness {
  client: Client;
  server: LocalServer;
  url: string;
  apiKey: string;
  worker: Worker;
  /** Starts another worker. */
  work(options?: WorkerOptions): Promise<Worker>;
}

/** Starts a server and a worker, for all tests of a file. */
export async function harness(tasks: AnyTask[], options: WorkerOptions = {}): Promise<Harness> {
  const own = folder();
  const server = LocalServer.of(join(own, ".everloop"));
  const endpoint = await server.endpoint();
  const apiKey = endpoint.apiKey ?? "";
  const client = new Client(endpoint);
  const workers: Worker[] = [];
  const work = async (more: WorkerOptions = {}) => {
    const worker = new Worker({ tasks, ...endpoint, ...options, ...more });
    await worker.start();
    workers.push(worker);
    return worker;
  };
  const worker = await work();
  after(async () => {
    await Promise.all(workers.map((one) => one.stop()));
    await server.stop();
  });
  return { client, server, url: endpoint.url, apiKey, worker, work };
}

/** Waits until something is so. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
) {
  const end = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as T;
    if (Date.now() > end) assert.fail(`it did not come to this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Waits until a task is in a state. */
export async function reaches(client: Client, task: string, state: string) {
  return await until(`${task} is ${state}`, async () => {
    const view = await client.task(task);
    return view.state === state && view;
  });
}

/** The types of a task's events, with the steps that they are about. */
export async function story(client: Client, task: string): Promise<string[]> {
  const { items } = await client.events(task, { limit: 1000 });
  return items.map((event) => {
    const data = event.data as { step?: string; id?: string } | undefined;
    const of = data?.step ?? data?.id;
    return of ? `${event.type} ${of}` : event.type;
  });
}
