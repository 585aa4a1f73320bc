import { useCallback, useEffect, useRef, useState } from "react";
import { get } from "@/api/http";
import { taskPath } from "@/api/queries";
import type { Batch } from "@/api/live";
import type { EventPage, EventShape } from "@/api/types";
import { useBatches } from "@/shell/live";

/** Events that are kept in memory: of a longer stream the newest. */
export const KEPT = 50_000;
const PAGE = 1000;

interface Log {
  events: EventShape[];
  /** Number of the last event that there is. */
  last: number;
  /** The first event that is here. */
  first: number;
  isLoading: boolean;
  error: unknown;
}

const EMPTY: Log = { events: [], last: 0, first: 1, isLoading: true, error: undefined };

/**
 * The events of a task: all that there are, and then each as it comes. They are numbered without gaps, so whatever the live
 * stream leaves out is noticed and fetched.
 */
export function useEvents(id: string): Log & { load: (from: number) => void } {
  const [log, setLog] = useState<Log>(EMPTY);
  const held = useRef<EventShape[]>([]);
  const last = useRef(0);
  const isBusy = useRef(false);
  const again = useRef(false);
  const current = useRef(id);

  const show = useCallback((change: Partial<Log> = {}) => {
    if (held.current.length > KEPT) held.current = held.current.slice(-KEPT);
    const events = held.current;
    setLog((before) => ({ ...before, ...change, events: [...events], first: events[0]?.seq ?? 1 }));
  }, []);

  const add = useCallback((events: EventShape[]) => {
    for (const event of events) {
      if (event.seq === last.current + 1) {
        held.current.push(event);
        last.current = event.seq;
      }
    }
  }, []);

  /** Reads on from the last event that is here to the end. */
  const catchUp = useCallback(async () => {
    if (isBusy.current) {
      again.current = true;
      return;
    }
    isBusy.current = true;
    try {
      do {
        again.current = false;
        for (;;) {
          const query = { after: last.current, limit: PAGE };
          const page = await get<EventPage>(`${taskPath(id)}/events`, query);
          if (current.current !== id) return;
          // Where the beginning of a stream is gone, it goes on with what is there.
          const first = page.items[0];
          if (first && first.seq > last.current + 1) last.current = first.seq - 1;
          add(page.items);
          const isDone = page.items.length === 0 || page.next_after >= page.last_seq;
          show({ last: page.last_seq, isLoading: !isDone, error: undefined });
          if (isDone) break;
        }
        // It may have been asked for while it was under way.
      } while (again.current as boolean);
    } catch (error) {
      show({ isLoading: false, error });
    } finally {
      isBusy.current = false;
    }
  }, [id, add, show]);

  const load = useCallback(
    (from: number) => {
      held.current = [];
      last.current = Math.max(0, from - 1);
      show({ isLoading: true });
      void catchUp();
    },
    [catchUp, show],
  );

  useEffect(() => {
    current.current = id;
    held.current = [];
    last.current = 0;
    setLog(EMPTY);
    const start = async () => {
      try {
        const page = await get<EventPage>(`${taskPath(id)}/events`, { limit: 1 });
        last.current = Math.max(0, page.last_seq - KEPT);
        await catchUp();
      } catch (error) {
        setLog({ ...EMPTY, isLoading: false, error });
      }
    };
    void start();
    return () => {
      current.current = "";
    };
  }, [id, catchUp]);

  const onBatch = useCallback(
    (batch: Batch) => {
      const own = batch.events.filter((event) => event.stream === id && event.seq > last.current);
      if (own.length === 0) return;
      if (isBusy.current) {
        again.current = true;
        return;
      }
      add(own);
      const newest = own.at(-1)?.seq ?? 0;
      show({ last: Math.max(newest, last.current) });
      if (newest > last.current) void catchUp();
    },
    [id, add, show, catchUp],
  );
  const onAgain = useCallback(() => void catchUp(), [catchUp]);
  useBatches(onBatch, onAgain);
  return { ...log, load };
}
