import { useSyncExternalStore } from "react";
import { absolute, clock, duration, relative } from "@/lib/time";
import { usePreferences, zoneOf } from "@/state/preferences";

let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const one of listeners) one();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The time, which goes on once a second for all who look. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () =>
    Math.max(now, Date.now() - 1000 > now ? (now = Date.now()) : now),
  );
}

/** The zone that times are shown in. */
export function useZone(): string {
  return zoneOf(usePreferences((preferences) => preferences.zone));
}

/** A point in time as it is from now, with the time itself on hovering. */
export function Ago({ at, className }: { at: string; className?: string }) {
  const zone = useZone();
  return (
    <time dateTime={at} title={`${absolute(at, zone)} ${zone}`} className={className}>
      {relative(at, useNow())}
    </time>
  );
}

/** A point in time as a clock shows it. */
export function At({ at, whole = false, className }: { at: string; whole?: boolean; className?: string }) {
  const zone = useZone();
  return (
    <time dateTime={at} title={`${absolute(at, zone)} ${zone}`} className={className}>
      {whole ? absolute(at, zone) : clock(at, zone)}
    </time>
  );
}

/** How long something took, or takes so far. */
export function Took({ from, to }: { from: string; to?: string | null | undefined }) {
  const now = useNow();
  return <>{duration((to ? Date.parse(to) : now) - Date.parse(from))}</>;
}
