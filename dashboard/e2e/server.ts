import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PageOf } from "../src/api/queries";
import type { EventPage, State, TaskRequest, TaskView } from "../src/api/types";

/** A server of the real program, with a folder of its own. */
export class Server {
  readonly folder = mkdtempSync(join(tmpdir(), "everloop-ui-"));
  url = "";
  #mode: string;
  #args: string[];
  #process: ChildProcess | undefined;

  private constructor(mode: string, args: string[]) {
    this.#mode = mode;
    this.#args = args;
  }

  static async start(mode: "dev" | "serve", ...args: string[]): Promise<Server> {
    const server = new Server(mode, args);
    await server.run("127.0.0.1:0");
    return server;
  }

  /** Starts the program, and waits until it says where it listens. */
  async run(listen = new URL(this.url).host): Promise<void> {
    const bin = process.env.EVERLOOP_BIN;
    if (!bin) throw new Error("EVERLOOP_BIN must name the program");
    const args = [this.#mode, "--data-dir", join(this.folder, "data"), "--listen", listen, ...this.#args];
    const child = spawn(bin, args, {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    this.url = await new Promise<string>((resolve, reject) => {
      let said = "";
      const hear = (bytes: Buffer) => {
        said += bytes.toString();
        const url = /ready at (http:\/\/\S+)/.exec(said)?.[1];
        if (url) resolve(url);
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.on("exit", () => reject(new Error(`the server ended: ${said}`)));
    });
  }

  /** Pulls the plug. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null) return;
    await new Promise((done) => {
      child.removeAllListeners("exit");
      child.once("exit", done);
      child.kill("SIGKILL");
    });
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The API key, as it lies in the data folder. */
  key(): string {
    return readFileSync(join(this.folder, "data/api-key"), "utf8").trim();
  }

  async #call<T>(method: string, path: string, body?: unknown, headers: object = {}): Promise<T> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { "content-type": "application/json", authorization: `Bearer ${this.key()}`, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  get<T>(path: string): Promise<T> {
    return this.#call<T>("GET", path);
  }

  post<T>(path: string, body: unknown, headers: object = {}): Promise<T> {
    return this.#call<T>("POST", path, body, headers);
  }

  submit(request: TaskRequest): Promise<TaskView> {
    return this.post<TaskView>("/api/v1/tasks", request);
  }

  task(id: string): Promise<TaskView> {
    return this.get<TaskView>(`/api/v1/tasks/${id}`);
  }

  async byKey(key: string): Promise<TaskView> {
    const page = await this.get<PageOf<TaskView>>(`/api/v1/tasks?key_prefix=${key}&limit=1`);
    if (!page.items[0]) throw new Error(`there is no task ${key}`);
    return page.items[0];
  }

  /** Waits until a task is in one of these states. */
  async until(id: string, ...states: State[]): Promise<TaskView> {
    for (;;) {
      const task = await this.task(id);
      if (states.includes(task.state)) return task;
      if (task.finished_at) throw new Error(`${id} is ${task.state}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** Waits until a task has so many events. */
  async untilSeq(id: string, seq: number): Promise<number> {
    for (;;) {
      const page = await this.get<EventPage>(`/api/v1/tasks/${id}/events?after=${seq - 1}&limit=1`);
      if (page.last_seq >= seq) return page.last_seq;
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}
