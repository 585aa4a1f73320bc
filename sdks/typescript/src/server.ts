import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, realpathSync, statSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EverloopError, UnreachableError } from "./errors.js";
import { type Endpoint, type Place, pause } from "./http.js";

/** Where a server is looked for when nothing else is known. */
export const DEFAULT_URL = "http://127.0.0.1:7420";
/** The data folder, seen from the project's folder. */
const DATA = ".everloop";
const START_MS = 30_000;
const STOP_MS = 2_000;
const LOOK_MS = 10;

/** No server could be found or started. */
export class ServerError extends EverloopError {}

/** A place that stays where it is. */
export function fixedPlace(endpoint: Endpoint): Place {
  return { endpoint: () => Promise.resolve(endpoint), lost: () => undefined };
}

/** What the environment says about the server. */
export function fromEnvironment(): Endpoint {
  const endpoint: Endpoint = { url: process.env.EVERLOOP_URL || DEFAULT_URL };
  if (process.env.EVERLOOP_API_KEY) endpoint.apiKey = process.env.EVERLOOP_API_KEY;
  return endpoint;
}

/**
 * The data folder of a script: `.everloop` in the nearest folder at or above the script that has a `package.json`, else next to
 * the script itself. EVERLOOP_DATA_DIR names another one.
 */
export function dataFolder(script = process.argv[1]): string {
  if (process.env.EVERLOOP_DATA_DIR) return resolve(process.env.EVERLOOP_DATA_DIR);
  let own = process.cwd();
  try {
    // Without a script (a prompt, `node -e`) the working folder counts.
    if (script !== undefined) own = dirname(realpathSync(script));
  } catch {
    // A script that is no file: the working folder counts.
  }
  for (let folder = own; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return join(folder, DATA);
    if (folder === dirname(folder)) return join(own, DATA);
  }
}

/** The program `everloop`: the one that EVERLOOP_BIN names, the one in this package, or the one on PATH. */
export function findBinary(): string {
  const named = process.env.EVERLOOP_BIN;
  if (named) {
    if (isFile(named)) return named;
    throw new ServerError(`EVERLOOP_BIN is ${named}, and there is no such file`, { code: "no_binary" });
  }
  const packed = packedBinary();
  if (isFile(packed)) return packed;
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const file = join(folder, "everloop");
    // `npm exec` puts our own launcher on PATH, which would look for the program again.
    if (isFile(file) && !realpathSync(file).endsWith(".js")) return file;
  }
  const remedy = "set EVERLOOP_BIN to it, put it on PATH, or set EVERLOOP_URL to use a server that runs";
  throw new ServerError(`there is no program everloop here: ${remedy}`, { code: "no_binary" });
}

/** Where the package keeps the program for this platform. */
export function packedBinary(): string {
  return fileURLToPath(new URL(`../vendor/${process.platform}-${process.arch}/everloop`, import.meta.url));
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** What a running server says about itself. */
function serverFile(folder: string): { url: string; pid: number } | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "server.json"), "utf8")) as { url: string; pid: number };
  } catch {
    return undefined;
  }
}

function endpointOf(folder: string, url: string): Endpoint {
  if (process.env.EVERLOOP_API_KEY) return { url, apiKey: process.env.EVERLOOP_API_KEY };
  try {
    return { url, apiKey: readFileSync(join(folder, "api-key"), "utf8").trim() };
  } catch {
    return { url };
  }
}

async function answers(endpoint: Endpoint): Promise<boolean> {
  try {
    const headers: Record<string, string> = {};
    if (endpoint.apiKey) headers.authorization = `Bearer ${endpoint.apiKey}`;
    const signal = AbortSignal.timeout(2_000);
    const answer = await fetch(new URL("/api/v1/about", endpoint.url), { headers, signal });
    return answer.ok && ((await answer.json()) as { name?: string }).name === "everloop";
  } catch {
    return false;
  }
}

const locals = new Map<string, LocalServer>();

/** The server of a data folder: the one that runs there, else one of our own, which stops when this process ends. */
export class LocalServer implements Place {
  readonly folder: string;
  #current: Endpoint | undefined;
  #finding: Promise<Endpoint> | undefined;
  #gone = new AbortController();
  #child: ChildProcess | undefined;
  #isStopping = false;

  private constructor(folder: string) {
    this.folder = folder;
    process.on("beforeExit", () => void this.stop());
  }

  /** The one of a folder. */
  static of(folder: string): LocalServer {
    const server = locals.get(folder) ?? new LocalServer(folder);
    locals.set(folder, server);
    return server;
  }

  /** The process of our own server, where we have started one. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async endpoint(): Promise<Endpoint> {
    if (this.#current) return this.#current;
    this.#finding ??= this.#settle().finally(() => {
      this.#finding = undefined;
    });
    return await this.#finding;
  }

  async #settle(): Promise<Endpoint> {
    const found = await this.#find();
    this.#gone = new AbortController();
    this.#current = { ...found, gone: this.#gone.signal };
    return this.#current;
  }

  lost(endpoint: Endpoint): void {
    if (this.#current !== endpoint) return;
    this.#current = undefined;
    this.#gone.abort(new Error("the server has gone"));
  }

  async #find(): Promise<Endpoint> {
    const until = Date.now() + START_MS;
    let failures = 0;
    for (;;) {
      const running = serverFile(this.folder);
      if (running) {
        const endpoint = endpointOf(this.folder, running.url);
        if (await answers(endpoint)) return endpoint;
      }
      const said = await this.#start(until);
      if (typeof said !== "string") return said;
      // Whoever has the folder is attached to, as soon as it answers or has gone.
      // Two that start at the same time may also meet before either has it.
      if (!said.includes("another process")) failures += 1;
      if (failures > 2) {
        throw new ServerError(`the server stopped at once: ${said}`, { code: "server_ended" });
      }
      if (Date.now() > until)
        throw new UnreachableError(`the server in ${this.folder} does not answer: ${said}`);
      await pause(50);
    }
  }

  /** Starts a server. Gives its last words where it ends at once. */
  async #start(until: number): Promise<Endpoint | string> {
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    const name = join(this.folder, "server.log");
    const log = openSync(name, "a");
    const environment = { ...process.env };
    // Ours, and not settings of the server.
    delete environment.EVERLOOP_BIN;
    delete environment.EVERLOOP_URL;
    const address = ["--data-dir", this.folder, "--listen", "127.0.0.1:0", "--with-parent"];
    const child = spawn(findBinary(), ["dev", ...address], {
      // When this process dies, however it dies, the pipe closes and the server stops.
      stdio: ["pipe", "ignore", log],
      // What the terminal says to us, it does not say to the server.
      detached: true,
      env: environment,
    });
    closeSync(log);
    let ended: string | undefined;
    child.on("error", (error) => {
      ended = error.message;
    });
    child.on("exit", (code, signal) => {
      ended ??= `${lastWords(name)} (${signal ?? `status ${code}`})`;
      if (this.#child === child) this.#child = undefined;
    });
    child.unref();
    (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
    while (Date.now() < until) {
      const running = serverFile(this.folder);
      if (running && running.pid === child.pid) {
        const endpoint = endpointOf(this.folder, running.url);
        if (await answers(endpoint)) {
          this.#child = child;
          return endpoint;
        }
      }
      if (ended !== undefined) return ended;
      await pause(LOOK_MS);
    }
    child.kill("SIGKILL");
    throw new UnreachableError(`the server did not answer within ${START_MS / 1000} seconds`);
  }

  /** Stops our own server, where we have one: who started it stops it. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || this.#isStopping || child.exitCode !== null) return;
    this.#isStopping = true;
    child.ref();
    const exited = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill("SIGTERM");
    // It may have to wait for what others have asked it. It stops by itself then: nobody needs to stay for that.
    const enough = new AbortController();
    await Promise.race([exited, pause(STOP_MS, enough.signal)]);
    enough.abort();
    child.unref();
    this.#current = undefined;
    this.#isStopping = false;
  }
}

function lastWords(file: string): string {
  try {
    const lines = readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.trim() !== "");
    const start = lines.findLastIndex((line) => line.startsWith("error:"));
    return lines
      .slice(start < 0 ? -1 : start)
      .join("\n")
      .replace(/^error: /, "");
  } catch {
    return "it said nothing";
  }
}
