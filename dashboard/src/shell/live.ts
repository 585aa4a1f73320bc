import { createContext, useContext, useEffect } from "react";
import type { Batch, Live } from "@/api/live";

/** The stream of this page. */
export const LiveContext = createContext<Live | undefined>(undefined);

/** Hears of every batch of events, for as long as the component is there. `listener` must stay the same. */
export function useBatches(listener: (batch: Batch) => void, again?: () => void): void {
  const live = useContext(LiveContext);
  useEffect(() => {
    const stop = live?.onBatch(listener);
    const stopAgain = again && live?.onAgain(again);
    return () => {
      stop?.();
      stopAgain?.();
    };
  }, [live, listener, again]);
}
