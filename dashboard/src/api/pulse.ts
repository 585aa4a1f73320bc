import { useQuery } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { statsQuery } from "./queries";
import type { StatsView } from "./types";

/** What happened between two looks at the figures. */
export interface Beat {
  at: number;
  events: number;
  ended: number;
  running: number;
  queued: number;
}

/** Looks that are kept, one every two seconds. */
const KEPT = 60;
const EVERY_MS = 2000;

const terminal = ({ tasks }: StatsView) =>
  (tasks.completed ?? 0) + (tasks.failed ?? 0) + (tasks.cancelled ?? 0);

let beats: Beat[] = [];
let before: { at: number; stats: StatsView } | undefined;
const listeners = new Set<() => void>();

/** Takes a look; gives whether it says anything new. */
function take(stats: StatsView, at: number): void {
  if (before && at - before.at < EVERY_MS / 2) return;
  const last = before;
  before = { at, stats };
  // After a restart the counters begin anew.
  if (!last || stats.pipeline.events < last.stats.pipeline.events) return;
  const seconds = (at - last.at) / 1000;
  const grown = (now: number, then: number) => Math.max(0, now - then) / seconds;
  beats = [
    ...beats,
    {
      at,
      events: grown(stats.pipeline.events, last.stats.pipeline.events),
      ended: grown(terminal(stats), terminal(last.stats)),
      running: stats.tasks.running ?? 0,
      queued: (stats.tasks.queued ?? 0) + (stats.tasks.pending ?? 0),
    },
  ].slice(-KEPT);
  for (const listener of listeners) listener();
}

/** The figures, and how they changed since the page was opened. */
export function usePulse() {
  const query = useQuery({ ...statsQuery, refetchInterval: EVERY_MS });
  const { data, dataUpdatedAt } = query;
  useEffect(() => {
    if (data) take(data, dataUpdatedAt);
  }, [data, dataUpdatedAt]);
  const history = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => beats,
  );
  return { ...query, beats: history };
}
