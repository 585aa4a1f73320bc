import { useSession } from "@/state/session";
import type { Problem } from "./types";

/** What may stand in a query. */
export type Query = Record<string, string | number | boolean | string[] | undefined>;

/** A refusal of the server, with its remedy. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.name = "ApiError";
    this.problem = problem;
  }

  get code(): string {
    return this.problem.code;
  }
}

/** What a refusal says about single fields. */
export function fieldErrors(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries((error.problem.errors ?? []).map(({ field, message }) => [field, message]));
}

/** Nobody answered. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached.");
    this.name = "Unreachable";
  }
}

/** The address of a path of the server, whatever path the dashboard lies below. */
export function address(path: string, query: Query = {}): URL {
  const url = new URL(path.replace(/^\//, ""), document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== "") url.searchParams.append(name, String(one));
    }
  }
  return url;
}

/** Asks the server, with the key where there is one. What has a status of `also` is an answer like any other. */
export async function ask(url: URL, init: RequestInit = {}, also: number[] = []): Promise<Response> {
  const headers = new Headers(init.headers);
  const { key } = useSession.getState();
  if (key) headers.set("authorization", `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, cache: "no-store" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Unreachable();
  }
  if (response.ok || also.includes(response.status)) return response;
  const problem = await readProblem(response);
  if (response.status === 401) useSession.getState().refused();
  throw new ApiError(problem);
}

/** Why a request was refused. */
export async function readProblem(response: Response): Promise<Problem> {
  try {
    const read = (await response.json()) as Problem;
    if (typeof read.code === "string") return read;
  } catch {
    // A proxy answered, and not the server.
  }
  return {
    class: "internal",
    code: "internal",
    detail: `The answer was ${response.status} ${response.statusText}.`,
    request_id: response.headers.get("x-request-id") ?? "",
    status: response.status,
    timestamp: new Date().toISOString(),
    title: "Not an answer of Everloop",
    type: "about:blank",
  };
}

/** Reads JSON. */
export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  const response = await ask(address(path, query), signal ? { signal } : {});
  return (await response.json()) as T;
}

/** Reads text. */
export async function text(path: string): Promise<string> {
  return (await ask(address(path))).text();
}

/** Sends JSON, and reads what comes back. */
export async function send<T>(method: "POST" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.headers = { "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const response = await ask(address(path), init);
  return (response.status === 204 ? undefined : await response.json()) as T;
}
