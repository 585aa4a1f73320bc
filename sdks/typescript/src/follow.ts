import type { EventShape } from "./api/types.js";
import { EverloopError } from "./errors.js";
import { backoff, pause, segment, type Transport } from "./http.js";

/** A stream that says nothing for so long is dead: the server sends a heartbeat every 25 seconds. */
const SILENCE_MS = 60_000;
const TERMINAL = new Set(["task.completed", "task.failed", "task.cancelled"]);

/** What to follow of a task. */
export interface Follow {
  /** From after this number. */
  after?: number;
  /** Only events of these types (`prefix.*` too). */
  types?: string[];
  /** Passing words as well: tokens and progress that are never stored. */
  frames?: boolean;
  signal?: AbortSignal;
}

/** What to follow of many tasks. */
export interface Feed {
  /** From after this cursor. */
  after?: string;
  task?: string[];
  session?: string;
  parent?: string;
  kind?: string[];
  label?: string;
  types?: string[];
  signal?: AbortSignal;
}

/** What a follower sees: an event, a passing word, or the server's word about the stream. */
export type Item =
  | { is: "event"; seq: number; type: string; event: EventShape; cursor?: string }
  | { is: "frame"; type: string; data: unknown }
  | { is: "notice"; type: string; data: unknown };

interface Block {
  id?: string;
  event?: string;
  data?: string;
}

/** Follows a task to its end. A lost connection is made anew from where it broke off. */
export async function* follow(transport: Transport, task: string, of: Follow): AsyncGenerator<Item> {
  let position = of.after ?? 0;
  const query: Record<string, string | number | string[] | undefined> = { types: of.types };
  if (of.frames) query.frames = 1;
  const path = `/api/v1/tasks/${segment(task)}/events`;
  const connect = () => open(transport, path, query, String(position), of.signal);
  for await (const { id, event, data } of blocks(connect, of.signal)) {
    const seq = id === undefined ? undefined : Number(id);
    if (data === undefined) {
      // Only the position moves: what lies between was filtered out.
      if (seq !== undefined) position = Math.max(position, seq);
      continue;
    }
    const type = event ?? "message";
    const isNotice = type.startsWith("stream.");
    if (isNotice && seq !== undefined) position = seq;
    if (isNotice || seq === undefined) {
      const said = JSON.parse(data) as { type: string; data: unknown };
      yield isNotice ? { is: "notice", type, data: said } : { is: "frame", type: said.type, data: said.data };
      continue;
    }
    if (seq <= position) continue;
    position = seq;
    yield { is: "event", seq, type, event: JSON.parse(data) as EventShape };
    if (TERMINAL.has(type)) return;
  }
}

/** Follows many tasks, for as long as it is read. */
export async function* feed(transport: Transport, of: Feed): AsyncGenerator<Item> {
  const { signal, after, ...filter } = of;
  let cursor = after;
  const query = { ...filter, ...(after === undefined ? {} : { after }) };
  const connect = () => open(transport, "/api/v1/events", cursor === after ? query : filter, cursor, signal);
  for await (const { id, event, data } of blocks(connect, signal)) {
    if (id !== undefined) cursor = id;
    if (data === undefined) continue;
    const type = event ?? "message";
    const read = JSON.parse(data) as EventShape;
    if (type.startsWith("stream.")) yield { is: "notice", type, data: read };
    else yield { is: "event", seq: read.seq, type, event: read, ...(id === undefined ? {} : { cursor: id }) };
  }
}

function open(
  transport: Transport,
  path: string,
  query: Record<string, string | number | string[] | undefined>,
  position: string | undefined,
  signal?: AbortSignal,
): Promise<Response> {
  const headers: Record<string, string> = position === undefined ? {} : { "last-event-id": position };
  const call = { method: "GET", path, query, headers, accept: "text/event-stream", streaming: true } as const;
  return transport.open(signal ? { ...call, signal } : call);
}

/** The blocks of a stream, however often its connection is lost. */
async function* blocks(connect: () => Promise<Response>, signal?: AbortSignal): AsyncGenerator<Block> {
  for (let fruitless = 0; !signal?.aborted; fruitless += 1) {
    if (fruitless > 1) await pause(backoff(fruitless - 1, 100, 3_000), signal);
    const answer = await connect();
    if (answer.status === 204) return;
    try {
      for await (const block of read(answer)) {
        fruitless = 0;
        yield block;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof EverloopError) throw error;
      // Broken or dead: the next connection goes on from here.
    }
  }
}

/** Reads `text/event-stream`, as the HTML standard describes it. */
async function* read(answer: Response): AsyncGenerator<Block> {
  if (!answer.body) return;
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = "";
  let block: Block | undefined;
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read());
      if (done) return;
      text += decoder.decode(value, { stream: true });
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const line = text.slice(0, end).replace(/\r$/, "");
        text = text.slice(end + 1);
        if (line !== "") block = add(block, line);
        else if (block) {
          const whole = block;
          block = undefined;
          yield whole;
        }
      }
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

function add(block: Block | undefined, line: string): Block | undefined {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "id") return { ...block, id: value };
  if (name === "event") return { ...block, event: value };
  if (name === "data")
    return { ...block, data: block?.data === undefined ? value : `${block.data}\n${value}` };
  // Comments, and fields of later times.
  return block;
}

async function inTime<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silent = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the stream is silent")), SILENCE_MS);
  });
  try {
    return await Promise.race([promise, silent]);
  } finally {
    clearTimeout(timer);
  }
}
