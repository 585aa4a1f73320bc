import { useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Maximize2, Search } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { attemptsQuery, childrenQuery, isOver, stepsQuery } from "@/api/queries";
import type { StepView, TaskView } from "@/api/types";
import { cn } from "@/lib/cn";
import { duration } from "@/lib/time";
import { life, lines, ticks, type Line, type Span } from "@/lib/waterfall";
import { Button } from "@/parts/button";
import { Input } from "@/parts/form";
import { Empty, Failure, Skeleton } from "@/parts/page";
import { useNow } from "@/parts/time";
import { usePreferences } from "@/state/preferences";
import { Overview } from "./overview-strip";
import { StepPanel } from "./step-panel";
import { TimelineRow } from "./timeline-row";

/** Attempts, steps and children on a time axis. Only the lines that are seen are in the page, however many there are. */
export function Timeline({ task, onFork }: { task: TaskView; onFork: (step: StepView) => void }) {
  const attempts = useQuery(attemptsQuery(task.id));
  const steps = useQuery(stepsQuery(task.id));
  const children = useQuery(childrenQuery(task.id));
  const tick = useNow();
  const now = isOver(task.state) ? Date.parse(task.finished_at ?? task.updated_at) : tick;
  const [zoom, setZoom] = useState<Span | undefined>();
  const [chosen, setChosen] = useState<string | undefined>();
  const [words, setWords] = useState("");

  const all = useMemo(
    () => lines(attempts.data?.items ?? [], steps.data?.items ?? [], children.data?.items ?? [], now),
    [attempts.data, steps.data, children.data, now],
  );
  const shown = useMemo(() => {
    const wanted = words.trim().toLowerCase();
    return wanted === ""
      ? all
      : all.filter((line) => line.is === "attempt" || nameOfLine(line).includes(wanted));
  }, [all, words]);
  if (attempts.isPending || steps.isPending) return <Skeleton rows={10} />;
  if (!attempts.data) {
    return <Failure error={attempts.error} retry={() => void attempts.refetch()} />;
  }
  if (all.length === 0) {
    return (
      <Empty title="Nobody has begun with it yet">
        Each attempt and each step appears here when it begins, with what it gave and how long it took.
      </Empty>
    );
  }
  const whole = life(task, now);
  // A search among a few lines is only in the way.
  const isLong = all.length > 12;
  const isRecovered = task.lost_attempts > 0;
  const axis = zoom ?? whole;
  const step = steps.data?.items.find((one) => one.step === chosen);
  return (
    <div>
      <div
        className={cn(
          "flex flex-wrap items-center gap-2 border-b px-4 py-2",
          !isLong && !zoom && !isRecovered && "hidden",
        )}
      >
        <Story lines={all} />
        <span className="flex-1" />
        {zoom && (
          <Button size="small" onClick={() => setZoom(undefined)}>
            <Maximize2 /> Show all of it
          </Button>
        )}
        <div className={cn("relative", !isLong && "hidden")}>
          <Search aria-hidden className="absolute top-2 left-2.5 size-4 text-faint" />
          <Input
            type="search"
            data-search
            aria-label="Find a step"
            placeholder="Find a step"
            className="w-44 pl-8"
            value={words}
            onChange={(event) => setWords(event.target.value)}
          />
        </div>
      </div>
      <Overview attempts={attempts.data.items} whole={whole} zoom={zoom} onZoom={setZoom} now={now} />
      <Rows lines={shown} axis={axis} chosen={chosen} onChoose={setChosen} onZoom={setZoom} />
      {step && <StepPanel step={step} task={task} onFork={onFork} close={() => setChosen(undefined)} />}
    </div>
  );
}

function nameOfLine(line: Line): string {
  if (line.is === "step") return `${line.step.step} ${line.step.kind} ${line.step.status}`.toLowerCase();
  return line.is === "child"
    ? `${line.task.title ?? ""} ${line.task.kind} ${line.task.id}`.toLowerCase()
    : "";
}

/** What became of the attempts, in a line. */
function Story({ lines: all }: { lines: Line[] }) {
  const attempts = all.flatMap((line) => (line.is === "attempt" ? [line] : []));
  const lost = attempts.find((line) => line.attempt.status === "lost");
  const next = lost && attempts.find((line) => line.attempt.attempt > lost.attempt.attempt);
  if (!lost) return null;
  return (
    <p className="text-[13px] text-soft" data-testid="story">
      Attempt {lost.attempt.attempt} was lost after {lost.ran + lost.replayed} recorded steps.
      {next && (
        <>
          {" "}
          Attempt {next.attempt.attempt} took those {next.replayed} from the record and ran {next.ran}.
        </>
      )}
    </p>
  );
}

interface RowsProps {
  lines: Line[];
  axis: Span;
  chosen: string | undefined;
  onChoose: (step: string | undefined) => void;
  onZoom: (zoom: Span) => void;
}

function Rows({ lines: shown, axis, chosen, onChoose, onZoom }: RowsProps) {
  const frame = useRef<HTMLDivElement>(null);
  const height = usePreferences((preferences) => (preferences.density === "compact" ? 24 : 30));
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => frame.current,
    estimateSize: () => height,
    overscan: 10,
  });
  const marks = ticks(axis, 6);
  return (
    <div role="table" aria-label="Attempts, steps and children" aria-rowcount={shown.length + 1}>
      <div role="rowgroup">
        <div
          role="row"
          aria-rowindex={1}
          className="grid grid-cols-[minmax(9rem,34%)_1fr_4.5rem] border-b text-[12px] text-faint"
        >
          <span role="columnheader" className="px-4 py-1.5">
            Name
          </span>
          <span role="columnheader" aria-label="Time" className="relative h-8 overflow-hidden">
            {marks.map((mark) => (
              <span
                key={mark.at}
                className="tnum absolute inset-y-0 border-l pt-1.5 pl-1.5 whitespace-nowrap"
                style={{ left: `${mark.at}%` }}
              >
                {mark.ms === 0 ? "0" : duration(mark.ms)}
              </span>
            ))}
          </span>
          <span role="columnheader" className="py-1.5 pr-4 text-right">
            Took
          </span>
        </div>
      </div>
      <div
        ref={frame}
        role="rowgroup"
        tabIndex={0}
        aria-label="Lines of the timeline"
        className="max-h-[56vh] min-h-24 overflow-y-auto overscroll-contain"
        onKeyDown={(event) => {
          const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
          if (by === undefined) return;
          event.preventDefault();
          const at = document.activeElement?.closest<HTMLElement>("[data-index]")?.dataset.index;
          const next = Math.min(Math.max(Number(at ?? -1) + by, 0), shown.length - 1);
          virtual.scrollToIndex(next);
          requestAnimationFrame(() =>
            frame.current
              ?.querySelector<HTMLElement>(`[data-index="${next}"] button, [data-index="${next}"] a`)
              ?.focus(),
          );
        }}
      >
        <div role="presentation" className="relative" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const line = shown[item.index];
            return (
              line && (
                <TimelineRow
                  key={item.key}
                  line={line}
                  index={item.index}
                  axis={axis}
                  style={{ height: item.size, transform: `translateY(${item.start}px)` }}
                  isChosen={line.is === "step" && line.step.step === chosen}
                  onChoose={onChoose}
                  onZoom={onZoom}
                />
              )
            );
          })}
        </div>
      </div>
    </div>
  );
}
