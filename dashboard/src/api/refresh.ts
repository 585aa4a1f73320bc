import type { QueryClient } from "@tanstack/react-query";
import type { Batch, Live } from "./live";

/** The same question is asked again so often at most, whatever happens meanwhile. */
const EVERY_MS = 1000;

/** What an event may have changed, as the beginnings of query keys. */
export function touched({ events }: Batch): string[][] {
  const keys = new Map<string, string[]>();
  for (const event of events) {
    if (!event.stream.startsWith("task_")) continue;
    keys.set(event.stream, ["task", event.stream]);
    if (
      event.type.startsWith("task.") ||
      event.type.startsWith("approval.") ||
      event.type === "step.started"
    ) {
      for (const name of ["tasks", "stats", "inbox", "queues", "workers"]) keys.set(name, [name]);
    }
    const parent = (event.data as { parent?: { task?: string } } | undefined)?.parent?.task;
    if (parent) keys.set(parent, ["task", parent]);
  }
  return [...keys.values()];
}

/** Asks again for what is on the screen and has changed: at once, and then once a second at most. */
export function refresh(client: QueryClient, live: Live): () => void {
  const last = new Map<string, number>();
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  const run = (name: string, key: string[]) => {
    timers.delete(name);
    last.set(name, Date.now());
    void client.invalidateQueries({ queryKey: key });
  };
  const stopBatches = live.onBatch((batch) => {
    for (const key of touched(batch)) {
      const name = key.join(" ");
      if (timers.has(name)) continue;
      const wait = Math.max(0, (last.get(name) ?? 0) + EVERY_MS - Date.now());
      // What nobody looks at is only marked as old.
      timers.set(
        name,
        setTimeout(() => run(name, key), wait),
      );
    }
    if (last.size > 1000) last.clear();
  });
  const stopAgain = live.onAgain(() => void client.invalidateQueries());
  return () => {
    stopBatches();
    stopAgain();
    for (const timer of timers.values()) clearTimeout(timer);
  };
}
