import type { AttemptView } from "@/api/types";
import { cn } from "@/lib/cn";
import { place, type Span } from "@/lib/waterfall";

interface Props {
  attempts: AttemptView[];
  whole: Span;
  zoom: Span | undefined;
  onZoom: (zoom: Span | undefined) => void;
  now: number;
}

/** The whole life of the task in one strip: where attempts were, where it waited, and which part is shown below. */
export function Overview({ attempts, whole, zoom, onZoom, now }: Props) {
  const window = zoom && place(zoom, whole);
  return (
    <div aria-hidden className="relative mx-4 my-2 h-5 rounded bg-sunken">
      {attempts.slice(-400).map((attempt) => {
        const span = {
          from: Date.parse(attempt.started_at),
          to: attempt.ended_at ? Date.parse(attempt.ended_at) : now,
        };
        const at = place(span, whole);
        return (
          at && (
            <button
              key={attempt.attempt}
              type="button"
              tabIndex={-1}
              title={`Attempt ${attempt.attempt}, ${attempt.status}`}
              onClick={() => onZoom({ from: span.from, to: Math.max(span.to, span.from + 1) })}
              className={cn(
                "absolute inset-y-1 min-w-[3px] rounded-sm",
                attempt.status === "lost" || attempt.status === "failed" ? "bg-bad-bar" : "bg-accent/60",
              )}
              style={{ left: `${at.left}%`, width: `${at.width}%` }}
            />
          )
        );
      })}
      {window && (
        <span
          className="pointer-events-none absolute inset-y-0 rounded border-2 border-accent"
          style={{ left: `${window.left}%`, width: `${Math.max(0.5, window.width)}%` }}
        />
      )}
    </div>
  );
}
