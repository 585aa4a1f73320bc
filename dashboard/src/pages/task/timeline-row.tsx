import { Link } from "@tanstack/react-router";
import { CornerDownRight } from "lucide-react";
import { memo, type CSSProperties, type ReactNode } from "react";
import { cn } from "@/lib/cn";
import { plural } from "@/lib/format";
import { duration } from "@/lib/time";
import { place, type Line, type Span } from "@/lib/waterfall";
import { StateBadge, toneOf } from "@/parts/state";
import { nameOf } from "../tasks/cells";

const BARS = {
  accent: "bg-accent",
  good: "bg-good-bar",
  bad: "bg-bad-bar",
  warn: "bg-warn-bar",
  quiet: "bg-line-strong",
};

interface Props {
  line: Line;
  index: number;
  axis: Span;
  style: CSSProperties;
  isChosen: boolean;
  onChoose: (step: string | undefined) => void;
  onZoom: (zoom: Span) => void;
}

/** A line of the timeline: a name, a bar, and how long it took. */
export const TimelineRow = memo(function TimelineRow({
  line,
  index,
  axis,
  style,
  isChosen,
  onChoose,
  onZoom,
}: Props) {
  const at = place(line, axis);
  const isAttempt = line.is === "attempt";
  const tone = toneOf(
    line.is === "attempt" ? line.attempt.status : line.is === "step" ? line.step.status : line.task.state,
  );
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-index={index}
      data-line={line.is}
      className={cn(
        "absolute inset-x-0 top-0 grid grid-cols-[minmax(9rem,34%)_1fr_4.5rem] items-center hover:bg-sunken/60",
        isAttempt && "border-y border-line bg-sunken/50",
        isChosen && "bg-accent-soft hover:bg-accent-soft",
      )}
      style={style}
    >
      <span role="cell" className="min-w-0">
        <Name line={line} isChosen={isChosen} onChoose={onChoose} onZoom={onZoom} />
      </span>
      <span role="cell" className="relative h-full overflow-hidden" aria-label={wordOf(line)}>
        {at && (
          <span
            className={cn(
              "absolute top-1/2 min-w-[3px] -translate-y-1/2 rounded-[3px]",
              isAttempt ? "h-1.5" : "h-3",
              isAttempt && line.attempt.status !== "lost" ? "bg-line-strong" : BARS[tone],
              line.isOpen && "breathe",
            )}
            style={{ left: `${at.left}%`, width: `${at.width}%` }}
          />
        )}
        {isAttempt && line.attempt.status === "lost" && at && (
          <span
            aria-hidden
            className="absolute inset-y-0 border-l-2 border-dashed border-bad"
            style={{ left: `${Math.min(99.6, at.left + at.width)}%` }}
          />
        )}
      </span>
      <span role="cell" className="tnum pr-4 text-right text-[12.5px] text-soft">
        {duration(line.to - line.from)}
      </span>
    </div>
  );
});

function wordOf(line: Line): string {
  if (line.is === "attempt") return `attempt ${line.attempt.status}`;
  return line.is === "step" ? line.step.status : line.task.state;
}

function Name({
  line,
  isChosen,
  onChoose,
  onZoom,
}: Pick<Props, "line" | "isChosen" | "onChoose" | "onZoom">): ReactNode {
  if (line.is === "attempt") {
    const { attempt, replayed, ran } = line;
    const about = [replayed > 0 ? `${replayed} from the record` : "", `${ran} ran`]
      .filter(Boolean)
      .join(", ");
    return (
      <button
        type="button"
        className="flex w-full min-w-0 items-center gap-2 px-4 text-left font-medium outline-offset-[-2px]"
        title={`${about}. Zoom to this attempt`}
        onClick={() => onZoom({ from: line.from, to: Math.max(line.to, line.from + 1) })}
      >
        <span className="shrink-0">Attempt {attempt.attempt}</span>
        <StateBadge state={attempt.status} className="h-4.5 px-1.5 text-[11.5px]" />
        <span className="truncate text-[12px] font-normal text-soft">{about}</span>
      </button>
    );
  }
  if (line.is === "child") {
    return (
      <Link
        to="/tasks/$id"
        params={{ id: line.task.id }}
        className="flex items-center gap-1.5 truncate pr-2 pl-6 text-accent-text outline-offset-[-2px] hover:underline"
      >
        <CornerDownRight aria-hidden className="size-3.5 shrink-0" />
        <span className="truncate">{nameOf(line.task)}</span>
      </Link>
    );
  }
  const { step } = line;
  return (
    <button
      type="button"
      aria-pressed={isChosen}
      className="flex w-full min-w-0 items-baseline gap-2 pr-2 pl-6 text-left outline-offset-[-2px]"
      onClick={() => onChoose(isChosen ? undefined : step.step)}
    >
      <span className={cn("truncate", step.status === "failed" && "text-bad")}>{step.step}</span>
      {step.failed_tries > 0 && (
        <span className="shrink-0 text-[12px] text-warn">
          {plural(step.failed_tries, "failed try", "failed tries")}
        </span>
      )}
    </button>
  );
}
