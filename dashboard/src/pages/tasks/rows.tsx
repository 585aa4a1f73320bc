import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { cn } from "@/lib/cn";
import { isWriting } from "@/shell/shortcuts";
import { usePreferences } from "@/state/preferences";
import { nameOf } from "./cells";
import type { TaskCellOf, TaskRow } from "./columns";

/** A column that is shown. */
export interface Column {
  id: string;
  header: string;
  width: string;
  isRight: boolean;
}

interface Props {
  columns: Column[];
  rows: TaskRow[];
  cell: (cell: TaskCellOf) => ReactNode;
  isAllChosen: boolean;
  chooseAll: (on: boolean) => void;
  hasMore: boolean;
  isFetchingMore: boolean;
  fetchMore: () => void;
  onFailedOnly: () => void;
}

/** Rows of tasks, of which only those that are seen are in the page. */
export function TaskRows({
  columns,
  rows,
  cell,
  hasMore,
  isFetchingMore,
  fetchMore,
  onFailedOnly,
  ...all
}: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const height = usePreferences((preferences) => (preferences.density === "compact" ? 32 : 40));
  const virtual = useVirtualizer({
    count: rows.length + (hasMore ? 1 : 0),
    getScrollElement: () => frame.current,
    estimateSize: () => height,
    getItemKey: (index) => rows[index]?.id ?? "more",
    overscan: 12,
  });
  const shown = virtual.getVirtualItems();
  const lastShown = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (hasMore && !isFetchingMore && lastShown >= rows.length - 20) fetchMore();
  }, [hasMore, isFetchingMore, lastShown, rows.length, fetchMore]);
  useEffect(() => virtual.measure(), [height, virtual]);
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
      if (event.key === "f") onFailedOnly();
      if (event.key === "j" && !frame.current?.contains(document.activeElement)) {
        event.preventDefault();
        frame.current?.querySelector<HTMLElement>("[data-row-link]")?.focus();
        event.stopImmediatePropagation();
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [onFailedOnly]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (isWriting(event.target) && !(event.target as HTMLElement).matches("[type=checkbox]")) return;
    const index = Number(
      (event.target as HTMLElement).closest<HTMLElement>("[data-index]")?.dataset.index ?? -1,
    );
    const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      const next = Math.min(Math.max(index + by, 0), rows.length - 1);
      virtual.scrollToIndex(next);
      requestAnimationFrame(() =>
        frame.current?.querySelector<HTMLElement>(`[data-index="${next}"] [data-row-link]`)?.focus(),
      );
    } else if (event.key === "x" && index >= 0) {
      const row = rows[index];
      row?.toggleSelected();
    }
  };

  const template = `2.25rem ${columns.map(({ width }) => width).join(" ")}`;
  const layout = { gridTemplateColumns: template };
  return (
    <div role="table" aria-label="Tasks" aria-rowcount={hasMore ? -1 : rows.length + 1}>
      <div role="rowgroup">
        <div
          role="row"
          aria-rowindex={1}
          className="grid items-center border-b bg-card pr-4 text-[12px] text-faint"
          style={layout}
        >
          <span role="columnheader" className="grid h-9 place-items-center">
            <input
              type="checkbox"
              className="size-3.5 accent-accent"
              aria-label="Choose all that are loaded"
              checked={all.isAllChosen}
              onChange={(event) => all.chooseAll(event.target.checked)}
            />
          </span>
          {columns.map((column) => (
            <span key={column.id} role="columnheader" className={cn("px-2", column.isRight && "text-right")}>
              {column.header}
            </span>
          ))}
        </div>
      </div>
      <div
        ref={frame}
        role="rowgroup"
        className="h-[calc(100dvh-17.5rem)] min-h-64 overflow-y-auto overscroll-contain"
        onKeyDown={onKeyDown}
      >
        <div role="presentation" className="relative" style={{ height: virtual.getTotalSize() }}>
          {shown.map((item) => {
            const row = rows[item.index];
            const at = { ...layout, height: item.size, transform: `translateY(${item.start}px)` };
            if (!row) {
              return (
                <div
                  key="more"
                  role="presentation"
                  className="absolute inset-x-0 top-0 px-4 py-2.5 text-faint"
                  style={at}
                >
                  …
                </div>
              );
            }
            return (
              <div
                key={row.id}
                role="row"
                aria-rowindex={item.index + 2}
                data-index={item.index}
                data-task={row.id}
                className={cn(
                  "absolute inset-x-0 top-0 grid items-center border-b pr-4 hover:bg-sunken/60 focus-within:bg-sunken/60",
                  row.getIsSelected() && "bg-accent-soft hover:bg-accent-soft",
                )}
                style={at}
              >
                <span role="cell" className="relative z-10 grid h-full place-items-center">
                  <input
                    type="checkbox"
                    className="size-3.5 accent-accent"
                    aria-label={`Choose ${nameOf(row.original)}`}
                    checked={row.getIsSelected()}
                    onChange={(event) => row.toggleSelected(event.target.checked)}
                  />
                </span>
                {columns.map((column) => {
                  const found = row.getAllCellsByColumnId()[column.id];
                  return (
                    <span
                      key={column.id}
                      role="cell"
                      className={cn("min-w-0 px-2", column.isRight && "text-right text-soft")}
                    >
                      {found && cell(found)}
                    </span>
                  );
                })}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
