import type { Problem } from "./api/types.js";
import { type EverloopError, errorOf, TransientError, UnreachableError } from "./errors.js";

/** Where a server is, and the key to show there. */
export interface Endpoint {
  url: string;
  apiKey?: string;
  /** Aborted when another request has found nobody there: a server that stops waits for those that it holds. */
  gone?: AbortSignal;
}

/** Where requests go. A server of ours may go away and come back elsewhere. */
export interface Place {
  /** Where it is now. */
  endpoint(): Promise<Endpoint>;
  /** Nobody answered there. */
  lost(endpoint: Endpoint): void;
}

/** One request. */
export interface Call {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  query?: Record<string, string | number | boolean | string[] | undefined>;
  headers?: Record<string, string>;
  /** JSON text, or bytes with a media type. */
  body?: string | Uint8Array;
  mediaType?: string;
  accept?: string;
  /** Whether sending it twice does no more than sending it once. A GET is always so. */
  repeatable?: boolean;
  /** How long the server is asked to hold it. */
  waitMs?: number;
  /** Whether it is sent until it is answered, however long that takes. */
  patient?: boolean;
  /** Whether the answer is a stream that may last. */
  streaming?: boolean;
  signal?: AbortSignal;
}

const TRIES = 5;
const ANSWER_MS = 30_000;
const TRANSIENT = new Set([429, 502, 503, 504]);

/** The time before a further try. */
export function backoff(tries: number, initialMs: number, maxMs: number): number {
  const delay = Math.min(maxMs, initialMs * 2 ** Math.min(tries - 1, 30));
  return delay / 2 + (Math.random() * delay) / 2;
}

/** Waits; less long when the signal says so. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/** How long a server was asked to hold a request. */
export function waiting(ms: number): Record<string, string> {
  return ms > 0 ? { wait: `${Math.round(ms)}ms` } : {};
}

/** A segment of a path, so that a key with a slash stays one segment. */
export function segment(text: string): string {
  return encodeURIComponent(text).replaceAll("%3A", ":");
}

/** Sends requests, and repeats those that may be. */
export class Transport {
  readonly place: Place;

  constructor(place: Place) {
    this.place = place;
  }

  /** Sends a request, and reads JSON. */
  async json<T>(call: Call): Promise<T> {
    const text = await this.text(call);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  /** Sends a request, and reads text. */
  async text(call: Call): Promise<string> {
    return await this.#again(call, (answer) => answer.text());
  }

  /** Sends a request, and reads bytes. */
  async bytes(call: Call): Promise<Uint8Array> {
    return await this.#again(call, async (answer) => new Uint8Array(await answer.arrayBuffer()));
  }

  /** Sends a request, and gives the answer as it begins. */
  async open(call: Call): Promise<Response> {
    return await this.#again(call, (answer) => Promise.resolve(answer));
  }

  async #again<T>(call: Call, read: (answer: Response) => Promise<T>): Promise<T> {
    const repeatable = call.repeatable ?? call.method === "GET";
    for (let tries = 1; ; tries += 1) {
      let failure: EverloopError;
      let retryAfter = 0;
      const endpoint = await this.place.endpoint();
      try {
        const answer = await this.#once(endpoint, call);
        if (answer.ok || answer.status === 304) return await read(answer);
        failure = await refusal(answer);
        if (!TRANSIENT.has(answer.status)) throw failure;
        retryAfter = Number(answer.headers.get("retry-after") ?? 0) * 1000 || 0;
      } catch (error) {
        if (call.signal?.aborted) throw call.signal.reason;
        if (error instanceof Error && "problem" in error && error.problem !== undefined) throw error;
        this.place.lost(endpoint);
        failure = new UnreachableError(`${endpoint.url} can't be reached: ${reason(error)}`, {
          cause: error,
        });
      }
      if (!repeatable || (!call.patient && tries >= TRIES)) throw failure;
      const own = call.patient ? backoff(tries, 20, 2_000) : backoff(tries, 100, 3_000);
      await pause(Math.max(own, Math.min(retryAfter, 30_000)), call.signal);
      if (call.signal?.aborted) throw call.signal.reason;
    }
  }

  async #once(endpoint: Endpoint, call: Call): Promise<Response> {
    const url = new URL(call.path, endpoint.url);
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
      url.searchParams.set(name, Array.isArray(value) ? value.join(",") : String(value));
    }
    const headers: Record<string, string> = { accept: call.accept ?? "application/json", ...call.headers };
    if (endpoint.apiKey !== undefined) headers.authorization = `Bearer ${endpoint.apiKey}`;
    if (call.body !== undefined) headers["content-type"] = call.mediaType ?? "application/json";
    const signals: AbortSignal[] = call.signal ? [call.signal] : [];
    if (endpoint.gone) signals.push(endpoint.gone);
    if (!call.streaming) signals.push(AbortSignal.timeout(ANSWER_MS + (call.waitMs ?? 0)));
    const request: RequestInit = { method: call.method, headers, redirect: "manual" };
    if (call.body !== undefined) request.body = call.body as NonNullable<RequestInit["body"]>;
    if (signals.length > 0) request.signal = AbortSignal.any(signals);
    return await fetch(url, request);
  }
}

async function refusal(answer: Response): Promise<EverloopError> {
  const text = await answer.text();
  if (answer.headers.get("content-type")?.startsWith("application/problem+json")) {
    const problem = JSON.parse(text) as Problem;
    const hint = problem.hint ? ` (${problem.hint})` : "";
    const message = `${problem.detail}${hint}`;
    return errorOf({ class: problem.class, code: problem.code, message, problem });
  }
  return new TransientError(`status ${answer.status} without a problem: ${text.slice(0, 200)}`, {
    code: "protocol",
    problem: { status: answer.status } as Problem,
  });
}

function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message || String((cause as { code?: string }).code) : String(cause);
}
