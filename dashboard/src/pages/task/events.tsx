import { useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDownToLine, Copy, Download, Pause, Play, Search, WrapText } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { exportText, isOver } from "@/api/queries";
import type { EventShape, TaskView } from "@/api/types";
import { cn } from "@/lib/cn";
import { count } from "@/lib/format";
import { summary } from "@/lib/summary";
import { Button } from "@/parts/button";
import { copyText } from "@/parts/copy";
import { Input, Select } from "@/parts/form";
import { Json } from "@/parts/json";
import { Empty, Failure, Skeleton } from "@/parts/page";
import { At } from "@/parts/time";
import { failed, said } from "@/parts/toast";
import { download } from "./download";
import { useEvents } from "./use-events";

const DOTS: [RegExp, string][] = [
  [/failed|lost|cancel/, "bg-bad-bar"],
  [/completed/, "bg-good-bar"],
  [/waiting|paus|approval|retry/, "bg-warn-bar"],
  [/^task\./, "bg-accent"],
];
const dot = (type: string) => DOTS.find(([pattern]) => pattern.test(type))?.[1] ?? "bg-line-strong";

const line = (event: EventShape) =>
  event.data === undefined ? "(its data is gone)" : JSON.stringify(event.data);

/** Every event of a task, live. */
export default function Events({ task }: { task: TaskView }) {
  const log = useEvents(task.id);
  const { seq } = useSearch({ from: "/tasks/$id" });
  const navigate = useNavigate({ from: "/tasks/$id" });
  const [type, setType] = useState("");
  const [words, setWords] = useState("");
  const [isWrapped, setWrapped] = useState(false);
  const [isFollowing, setFollowing] = useState(seq === undefined && !isOver(task.state));
  const [held, setHeld] = useState<EventShape[] | undefined>();
  const [open, setOpen] = useState<number | undefined>(seq);
  const frame = useRef<HTMLDivElement>(null);
  const events = held ?? log.events;

  const types = useMemo(() => [...new Set(events.map((event) => event.type))].sort(), [events]);
  const shown = useMemo(() => {
    const wanted = words.trim().toLowerCase();
    if (type === "" && wanted === "") return events;
    return events.filter(
      (event) =>
        (type === "" || event.type === type) &&
        (wanted === "" || `${event.seq} ${event.type} ${line(event)}`.toLowerCase().includes(wanted)),
    );
  }, [events, type, words]);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => frame.current,
    estimateSize: () => 28,
    getItemKey: (index) => shown[index]?.seq ?? index,
    overscan: 15,
  });
  useEffect(() => {
    if (isFollowing && !held && shown.length > 0) virtual.scrollToIndex(shown.length - 1, { align: "end" });
  }, [isFollowing, held, shown.length, virtual]);
  const isThere = seq !== undefined && shown.some((event) => event.seq === seq);
  useEffect(() => {
    if (seq === undefined || !isThere) return;
    const index = shown.findIndex((event) => event.seq === seq);
    virtual.scrollToIndex(index, { align: "center" });
    // Only when the address names another event: not whenever one is added.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [seq, isThere]);

  const jump = (to: number) => {
    setFollowing(false);
    setOpen(to);
    if (to < log.first && to >= 1) log.load(to);
    void navigate({ search: { tab: "events", seq: to }, replace: true });
  };
  const save = async () => {
    try {
      download(`${task.id}.jsonl`, "application/x-ndjson", await exportText(task.id));
    } catch (error) {
      failed(error);
    }
  };
  if (log.isLoading && events.length === 0) return <Skeleton rows={10} />;
  if (log.error && events.length === 0) return <Failure error={log.error} retry={() => log.load(1)} />;
  return (
    <div>
      <div className="flex flex-wrap items-center gap-2 border-b px-4 py-2">
        <Button
          size="small"
          aria-pressed={isFollowing && !held}
          className={cn(isFollowing && !held && "border-accent text-accent-text")}
          onClick={() => {
            setHeld(undefined);
            setFollowing(!(isFollowing && !held));
          }}
        >
          <ArrowDownToLine /> Follow
        </Button>
        <Button
          size="small"
          aria-pressed={held !== undefined}
          onClick={() => setHeld(held ? undefined : log.events)}
        >
          {held ? <Play /> : <Pause />}
          {held ? `Go on (${count(log.events.length - held.length)} new)` : "Pause"}
        </Button>
        <Select
          aria-label="Type of event"
          className="h-7 w-44"
          value={type}
          onChange={(event) => setType(event.target.value)}
        >
          <option value="">Every type</option>
          {types.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </Select>
        <div className="relative">
          <Search aria-hidden className="absolute top-1.5 left-2.5 size-4 text-faint" />
          <Input
            type="search"
            data-search
            aria-label="Search events"
            placeholder="Search"
            className="h-7 w-44 pl-8"
            value={words}
            onChange={(event) => setWords(event.target.value)}
          />
        </div>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const to = Number(new FormData(event.currentTarget).get("seq"));
            if (Number.isInteger(to) && to > 0) jump(Math.min(to, log.last));
          }}
        >
          <Input
            name="seq"
            type="number"
            min={1}
            aria-label="Go to event number"
            placeholder="Go to #"
            className="tnum h-7 w-24"
          />
        </form>
        <span className="flex-1" />
        <span className="tnum text-[12.5px] text-faint" data-testid="event-count">
          {shown.length === events.length
            ? count(events.length)
            : `${count(shown.length)} of ${count(events.length)}`}{" "}
          events
        </span>
        <Button
          look="quiet"
          size="iconSmall"
          aria-label="Wrap lines"
          aria-pressed={isWrapped}
          title="Wrap lines"
          onClick={() => setWrapped(!isWrapped)}
        >
          <WrapText />
        </Button>
        <Button
          look="quiet"
          size="iconSmall"
          aria-label="Copy these events"
          title="Copy these events"
          onClick={() =>
            void copyText(shown.map((event) => JSON.stringify(event)).join("\n")).then(
              (done) => done && said("Copied."),
            )
          }
        >
          <Copy />
        </Button>
        <Button
          look="quiet"
          size="iconSmall"
          aria-label="Download the export"
          title="Download the export"
          onClick={() => void save()}
        >
          <Download />
        </Button>
      </div>
      {log.first > 1 && (
        <p className="border-b px-4 py-1.5 text-[12.5px] text-soft">
          The newest events are here, from {count(log.first)} on.{" "}
          <button type="button" className="text-accent-text underline" onClick={() => jump(1)}>
            Go to the first
          </button>
        </p>
      )}
      {shown.length === 0 && <Empty title="No event is like that" icon={<Search />} />}
      <div
        ref={frame}
        role="log"
        aria-label="Events"
        aria-live="off"
        tabIndex={0}
        className="h-[58vh] overflow-y-auto overscroll-contain font-mono text-[12.5px] outline-offset-[-2px]"
        onWheel={(event) => event.deltaY < 0 && setFollowing(false)}
        onKeyDown={(event) => ["ArrowUp", "PageUp", "Home"].includes(event.key) && setFollowing(false)}
        onTouchMove={() => setFollowing(false)}
      >
        <div role="presentation" className="relative" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const event = shown[item.index];
            if (!event) return null;
            const isOpen = open === event.seq;
            return (
              <div
                key={item.key}
                ref={virtual.measureElement}
                data-index={item.index}
                data-seq={event.seq}
                className={cn(
                  "absolute inset-x-0 top-0",
                  isOpen && "bg-sunken/60",
                  seq === event.seq && "bg-accent-soft",
                )}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <button
                  type="button"
                  aria-expanded={isOpen}
                  className="flex w-full items-baseline gap-3 px-4 py-1 text-left outline-offset-[-2px] hover:bg-sunken/60"
                  onClick={() => setOpen(isOpen ? undefined : event.seq)}
                >
                  <span className="tnum w-12 shrink-0 text-right text-faint">{event.seq}</span>
                  <At at={event.ts} className="tnum hidden shrink-0 text-faint sm:inline" />
                  <span className="flex w-44 shrink-0 items-baseline gap-2 truncate">
                    <span
                      aria-hidden
                      className={cn("size-1.5 shrink-0 -translate-y-0.5 rounded-full", dot(event.type))}
                    />
                    {event.type}
                  </span>
                  <span className={cn("min-w-0 flex-1 text-soft", isWrapped ? "wrap-anywhere" : "truncate")}>
                    {summary(event).slice(0, isWrapped ? 4000 : 300)}
                  </span>
                </button>
                {isOpen && (
                  <div className="ml-4 border-l pl-8 font-sans">
                    <Json value={event} label={`event ${event.seq}`} />
                  </div>
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
