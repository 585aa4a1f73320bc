// Scripts as processes of their own, to be killed.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "everloop";

/** A script that runs. */
export interface Script {
  child: ChildProcess;
  /** Its end: its status, or the signal that ended it, and what it wrote. */
  ended: Promise<{ code: number | null; out: string; err: string }>;
}

// A folder with the package installed and the scripts beside it, where it is that one that is tested, and not what was built here.
const installed = process.env.EVERLOOP_TEST_HOME;
const home = installed ?? fileURLToPath(new URL("..", import.meta.url));

/** Starts one of the compiled scripts, with its data in a folder. */
export function start(
  script: string,
  data: string,
  args: string[] = [],
  env: NodeJS.ProcessEnv = {},
): Script {
  const file = script.startsWith("/") ? script : join(home, script);
  const own: NodeJS.ProcessEnv = { ...process.env, EVERLOOP_DATA_DIR: data, XDG_STATE_HOME: data, ...env };
  // What is installed brings the program along.
  if (installed !== undefined) delete own.EVERLOOP_BIN;
  const child = spawn(process.execPath, [file, ...args], {
    env: own,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, out, err }));
  });
  return { child, ended };
}

/** Runs a script to its end; what it wrote. */
export async function finish(script: Script): Promise<string> {
  const { code, out, err } = await script.ended;
  assert.equal(code, 0, `${out}\n${err}`);
  return out;
}

/** The server of a folder, if one is said to run there. */
export function serverOf(data: string): { pid: number; url: string } | undefined {
  try {
    return JSON.parse(readFileSync(join(data, "server.json"), "utf8"));
  } catch {
    return undefined;
  }
}

/** A client of the server of a folder. */
export function clientOf(data: string): Client {
  const server = serverOf(data);
  assert.ok(server, "no server runs");
  return new Client({ url: server.url, apiKey: readFileSync(join(data, "api-key"), "utf8").trim() });
}

/** Kills a process at once, if it is there. */
export function kill(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** A line of the effect file. */
export interface Effect {
  at: number;
  idempotencyKey: string;
  step: string;
  what: string;
}

/** What was done to the world outside. */
export function effects(file: string): Effect[] {
  const text = readFileSync(file, "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
