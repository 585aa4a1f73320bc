import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDownToLine, SquareTerminal } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { isOver } from "@/api/queries";
import type { EventShape, TaskView } from "@/api/types";
import { pieces, type Piece } from "@/lib/ansi";
import { cn } from "@/lib/cn";
import { count } from "@/lib/format";
import { Button } from "@/parts/button";
import { CopyButton } from "@/parts/copy";
import { Select } from "@/parts/form";
import { Empty, Failure, Skeleton } from "@/parts/page";
import { useEvents } from "./use-events";

/** The 16 colours of a terminal, readable on its dark ground. */
const COLOURS = [
  "text-[#8b8b96]", "text-[#f28b82]", "text-[#81c995]", "text-[#fdd663]",
  "text-[#8ab4f8]", "text-[#d7aefb]", "text-[#78d9ec]", "text-[#e8eaed]",
  "text-[#9aa0a6]", "text-[#f6aea9]", "text-[#a8dab5]", "text-[#fde293]",
  "text-[#aecbfa]", "text-[#e0c3fc]", "text-[#a1e4f2]", "text-[#ffffff]",
]; // prettier-ignore

interface TermLine {
  source: string;
  pieces: Piece[];
}

interface Chunk {
  source: string;
  text?: string;
  base64?: string;
}

/** Chunks of output as lines, each source with its own colours and its own open line. */
export function termLines(events: EventShape[], source: string): TermLine[] {
  const out: TermLine[] = [];
  const open = new Map<string, { line: TermLine | undefined; look: Omit<Piece, "text"> }>();
  for (const event of events) {
    if (event.type !== "log" || event.data === undefined) continue;
    const chunk = event.data as Chunk;
    if (source !== "" && chunk.source !== source) continue;
    const state = open.get(chunk.source) ?? { line: undefined, look: {} };
    const text =
      chunk.text ??
      (chunk.base64 ? `(${count(Math.floor(chunk.base64.length * 0.75))} bytes that are no text)\n` : "");
    const isStream = chunk.source === "stdout" || chunk.source === "stderr";
    const made = pieces(isStream ? text : `${text}\n`, state.look);
    for (const piece of made.pieces) {
      piece.text.split("\n").forEach((part, i) => {
        if (i > 0) state.line = undefined;
        if (part === "" && i > 0) return;
        if (!state.line) {
          state.line = { source: chunk.source, pieces: [] };
          out.push(state.line);
        }
        if (part !== "") state.line.pieces.push({ ...piece, text: part });
      });
      if (piece.text.endsWith("\n")) state.line = undefined;
    }
    open.set(chunk.source, { line: state.line, look: made.look });
  }
  return out;
}

/** What the task wrote, as a terminal shows it. */
export default function Terminal({ task }: { task: TaskView }) {
  const log = useEvents(task.id);
  const [source, setSource] = useState("");
  const [isFollowing, setFollowing] = useState(!isOver(task.state));
  const frame = useRef<HTMLDivElement>(null);
  const sources = useMemo(
    () => [
      ...new Set(
        log.events.flatMap((event) =>
          event.type === "log" && event.data ? [(event.data as Chunk).source] : [],
        ),
      ),
    ],
    [log.events],
  );
  const shown = useMemo(() => termLines(log.events, source), [log.events, source]);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => frame.current,
    estimateSize: () => 20,
    overscan: 30,
  });
  useEffect(() => {
    if (isFollowing && shown.length > 0) virtual.scrollToIndex(shown.length - 1, { align: "end" });
  }, [isFollowing, shown.length, virtual]);
  if (log.isLoading && log.events.length === 0) return <Skeleton />;
  if (log.error && log.events.length === 0) return <Failure error={log.error} retry={() => log.load(1)} />;
  if (sources.length === 0) {
    return (
      <Empty title="It has written nothing" icon={<SquareTerminal />}>
        What a command writes to stdout and stderr, and what an executor logs, appears here.
      </Empty>
    );
  }
  return (
    <div>
      <div className="flex flex-wrap items-center gap-2 border-b px-4 py-2">
        <Button
          size="small"
          aria-pressed={isFollowing}
          className={cn(isFollowing && "border-accent text-accent-text")}
          onClick={() => setFollowing(!isFollowing)}
        >
          <ArrowDownToLine /> Follow
        </Button>
        <Select
          aria-label="Source"
          className="h-7 w-40"
          value={source}
          onChange={(event) => setSource(event.target.value)}
        >
          <option value="">All of it</option>
          {sources.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </Select>
        <span className="flex-1" />
        <span className="tnum text-[12.5px] text-faint">{count(shown.length)} lines</span>
        <CopyButton
          label="Copy the output"
          text={() => shown.map((line) => line.pieces.map((piece) => piece.text).join("")).join("\n")}
        />
      </div>
      <div
        ref={frame}
        role="log"
        aria-label="Output"
        aria-live="off"
        tabIndex={0}
        className="h-[58vh] overflow-auto overscroll-contain bg-[#14141a] py-2 font-mono text-[12.5px] leading-5 text-[#d8d8e0] outline-offset-[-2px]"
        onWheel={(event) => event.deltaY < 0 && setFollowing(false)}
      >
        <div role="presentation" className="relative" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const line = shown[item.index];
            return (
              line && (
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  className={cn(
                    "absolute inset-x-0 top-0 min-h-5 border-l-2 border-transparent px-4 whitespace-pre-wrap wrap-anywhere",
                    line.source === "stderr" && "border-[#f28b82]",
                  )}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  {line.pieces.map((piece, i) => (
                    <span
                      key={i}
                      className={cn(
                        piece.colour !== undefined && COLOURS[piece.colour],
                        piece.bold && "font-bold",
                        piece.dim && "text-[#a3a3ad]",
                        piece.underline && "underline",
                      )}
                    >
                      {piece.text}
                    </span>
                  ))}
                </div>
              )
            );
          })}
        </div>
      </div>
    </div>
  );
}
