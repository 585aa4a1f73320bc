import { create } from "zustand";
import { address, ask, get, Unreachable } from "./http";
import { Blocks } from "./sse";
import type { AboutView, EventShape, FeedPage } from "./types";

/** How it stands with the stream. */
export type Connection = "connecting" | "live" | "lost";

/** What was written, in the order of the database. */
export interface Batch {
  events: EventShape[];
}

interface LiveState {
  connection: Connection;
  /** Since when the server has not been heard from. */
  lostSince: number | undefined;
  about: AboutView | undefined;
  /** Events in the last second. */
  rate: number;
}

/** What the shell shows of the stream. */
export const useLive = create<LiveState>()(() => ({
  connection: "connecting",
  lostSince: undefined,
  about: undefined,
  rate: 0,
}));

type Told =
  | { is: "events"; events: EventShape[]; cursor: string }
  | { is: "state"; connection: Connection; about: AboutView | undefined; cursor: string | undefined }
  | { is: "again" }
  | { is: "hello" };

/** Events are handed on so often at most. */
const EVERY_MS = 100;
/** So many events may wait to be handed on; while there are more, nothing is read, and the server waits. */
const WAITING = 2000;
/** The server sends something every 25 s: what is silent for so long is dead. */
const SILENCE_MS = 60_000;

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/**
 * The one stream of this browser: the tab that holds the lock follows the feed of all tasks and tells the others.
 *
 * Where a tab loses the stream, or the lock goes to another one, it goes on from the last cursor, so that nothing is left out.
 */
export class Live {
  readonly #listeners = new Set<(batch: Batch) => void>();
  readonly #again = new Set<() => void>();
  readonly #stop = new AbortController();
  readonly #channel: BroadcastChannel | undefined;
  #cursor: string | undefined;
  #leads = false;
  #waiting: EventShape[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #room: (() => void) | undefined;
  #second: number[] = [];
  #page: string | undefined;

  constructor() {
    if (typeof BroadcastChannel === "function") {
      this.#channel = new BroadcastChannel(`everloop.live ${document.baseURI}`);
      this.#channel.onmessage = (message) => this.#hear(message.data as Told);
    }
  }

  /** Begins; the tab becomes the one that follows once no other is. */
  start(): void {
    this.#tell({ is: "hello" });
    const lead = async () => {
      this.#leads = true;
      await this.#follow();
    };
    // Only pages of this machine or over TLS have locks; others follow by themselves.
    const locks = (navigator as { locks?: LockManager }).locks;
    if (locks) {
      const options = { signal: this.#stop.signal };
      locks.request(`everloop.live ${document.baseURI}`, options, lead).catch(() => undefined);
    } else {
      void lead();
    }
  }

  stop(): void {
    this.#stop.abort();
    this.#channel?.close();
    clearTimeout(this.#timer);
  }

  /** Hears of every batch of events. */
  onBatch(listener: (batch: Batch) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Hears when the stream stands (again): whatever was read before may be old. */
  onAgain(listener: () => void): () => void {
    this.#again.add(listener);
    return () => this.#again.delete(listener);
  }

  #tell(told: Told): void {
    this.#channel?.postMessage(told);
  }

  #hear(told: Told): void {
    if (told.is === "hello") {
      const { connection, about } = useLive.getState();
      if (this.#leads) this.#tell({ is: "state", connection, about, cursor: this.#cursor });
    } else if (this.#leads) {
      return;
    } else if (told.is === "events") {
      this.#cursor = told.cursor;
      this.#take(told.events);
    } else if (told.is === "state") {
      this.#cursor = told.cursor;
      this.#show(told.connection, told.about);
    } else {
      for (const listener of this.#again) listener();
    }
  }

  #show(connection: Connection, about = useLive.getState().about): void {
    const before = useLive.getState();
    const lostSince = connection === "lost" ? (before.lostSince ?? Date.now()) : undefined;
    useLive.setState({ connection, lostSince, about });
    if (this.#leads) this.#tell({ is: "state", connection, about, cursor: this.#cursor });
  }

  async #follow(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#connect(() => (failures = 0));
      } catch {
        failures += 1;
      }
      this.#show("lost");
      await pause(Math.min(200 * 2 ** Math.min(failures, 4), 2000));
    }
  }

  async #connect(connected: () => void): Promise<void> {
    const signal = this.#stop.signal;
    const about = await get<AboutView>("/api/v1/about", {}, signal);
    await this.#reloadIfNew(about);
    this.#cursor ??= (await get<FeedPage>("/api/v1/events", { after: "now", limit: 1 }, signal)).next_cursor;
    const connection = new AbortController();
    const end = () => connection.abort();
    signal.addEventListener("abort", end, { once: true });
    try {
      const headers = { accept: "text/event-stream", "last-event-id": this.#cursor };
      // Whatever somebody asks for goes before it.
      const how: RequestInit = { headers, signal: connection.signal, priority: "low" };
      const response = await ask(address("/api/v1/events"), how);
      if (!response.body) throw new Unreachable();
      connected();
      this.#show("live", about);
      this.#tell({ is: "again" });
      for (const listener of this.#again) listener();
      await this.#read(response.body, connection);
    } finally {
      signal.removeEventListener("abort", end);
      connection.abort();
    }
  }

  async #read(body: ReadableStream<Uint8Array>, connection: AbortController): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const blocks = new Blocks();
    for (;;) {
      const silence = setTimeout(() => connection.abort(), SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      const events: EventShape[] = [];
      for (const block of blocks.push(decoder.decode(value, { stream: true }))) {
        if (block.id !== undefined) this.#cursor = block.id;
        if (block.data !== undefined) events.push(JSON.parse(block.data) as EventShape);
      }
      if (events.length > 0 && this.#cursor !== undefined) {
        this.#tell({ is: "events", events, cursor: this.#cursor });
        this.#take(events);
        if (this.#waiting.length > WAITING) await new Promise<void>((room) => (this.#room = room));
      }
    }
  }

  #take(events: EventShape[]): void {
    for (const event of events) this.#waiting.push(event);
    this.#timer ??= setTimeout(() => this.#flush(), EVERY_MS);
  }

  #flush(): void {
    this.#timer = undefined;
    const events = this.#waiting;
    this.#waiting = [];
    for (const listener of this.#listeners) listener({ events });
    const now = Date.now();
    for (let i = 0; i < events.length; i += 1) this.#second.push(now);
    this.#second = this.#second.filter((at) => at > now - 1000);
    useLive.setState({ rate: this.#second.length });
    this.#room?.();
    this.#room = undefined;
    setTimeout(() => {
      this.#second = this.#second.filter((at) => at > Date.now() - 1000);
      useLive.setState({ rate: this.#second.length });
    }, 1100);
  }

  /** Another version of the server has another page. */
  async #reloadIfNew(about: AboutView): Promise<void> {
    const response = await fetch(document.baseURI, { method: "HEAD", cache: "no-store" }).catch(
      () => undefined,
    );
    const page = `${about.version} ${response?.headers.get("etag") ?? ""}`;
    if (this.#page !== undefined && this.#page !== page) window.location.reload();
    this.#page = page;
  }
}
