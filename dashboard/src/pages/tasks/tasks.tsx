import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useTable, type ColumnVisibilityState, type RowSelectionState } from "@tanstack/react-table";
import { ListChecks, Plus } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { tasksQuery, type TaskFilter } from "@/api/queries";
import type { TaskView } from "@/api/types";
import { count } from "@/lib/format";
import { Button, buttonLook } from "@/parts/button";
import { Empty, Failure, PageFrame, Skeleton } from "@/parts/page";
import { BulkBar } from "./bulk";
import { columns, features } from "./columns";
import { Filters } from "./filters";
import { TaskRows, type Column } from "./rows";

/** With more pages than that the list stands still, so that nothing that is far down is fetched again and again. */
const MOVING = 4;

/** How wide columns are, and from which width of the page they are shown. */
const LAYOUT: Record<string, { width: string; from: number; right?: boolean }> = {
  state: { width: "7.2rem", from: 0 },
  task: { width: "minmax(0,1fr)", from: 0 },
  kind: { width: "7.5rem", from: 960 },
  queue: { width: "5.5rem", from: 1180 },
  labels: { width: "11rem", from: 1480 },
  steps: { width: "4.5rem", from: 720, right: true },
  took: { width: "5.5rem", from: 900, right: true },
  age: { width: "5.6rem", from: 560, right: true },
};

function withoutState({ state: _, ...rest }: TaskFilter): TaskFilter {
  return rest;
}

function usePageWidth(): number {
  const [width, setWidth] = useState(window.innerWidth);
  useEffect(() => {
    const measure = () => setWidth(window.innerWidth);
    window.addEventListener("resize", measure);
    return () => window.removeEventListener("resize", measure);
  }, []);
  return width;
}

const NONE: TaskView[] = [];

/** The list of tasks. */
export function TasksPage() {
  const filter = useSearch({ from: "/tasks" });
  const navigate = useNavigate({ from: "/tasks" });
  const client = useQueryClient();
  const [selection, setSelection] = useState<RowSelectionState>({});
  const [hidden, setHidden] = useState<ColumnVisibilityState>({});
  const width = usePageWidth();
  const question = tasksQuery(filter);
  const isFar = (client.getQueryData(question.queryKey)?.pages.length ?? 0) > MOVING;
  // A disabled question is not asked again when something happens; the next page can still be had.
  const query = useInfiniteQuery({ ...question, enabled: !isFar });
  useEffect(() => setSelection({}), [filter]);

  const data = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? NONE, [query.data]);
  const table = useTable({
    features,
    columns,
    data,
    getRowId: (task) => task.id,
    state: { rowSelection: selection, columnVisibility: hidden },
    onRowSelectionChange: setSelection,
    onColumnVisibilityChange: setHidden,
  });
  const visible: Column[] = table
    .getVisibleLeafColumns()
    .filter(({ id }) => width >= (LAYOUT[id]?.from ?? 0))
    .map(({ id, columnDef }) => ({
      id,
      header: String(columnDef.header),
      width: LAYOUT[id]?.width ?? "6rem",
      isRight: LAYOUT[id]?.right ?? false,
    }));
  const total = query.data?.pages[0]?.total;
  const change = (next: TaskFilter) => void navigate({ search: next, replace: true });
  const chosen = Object.keys(selection);
  const isFiltered = Object.keys(filter).some((name) => name !== "order");
  return (
    <PageFrame
      title="Tasks"
      wide
      about={
        total == null ? undefined : (
          <span className="tnum" aria-live="polite">
            {count(total)}
            {total >= 10_000 ? " or more" : ""} {isFiltered ? "match" : "in all"}
          </span>
        )
      }
      actions={
        <Link to="/new" className={buttonLook({ look: "primary" })}>
          <Plus /> New task
        </Link>
      }
    >
      <Filters
        filter={filter}
        onChange={change}
        columns={table.getAllLeafColumns().map((column) => ({
          id: column.id,
          name: String(column.columnDef.header),
          isShown: column.getIsVisible(),
          toggle: () => column.toggleVisibility(),
        }))}
      />
      <section className="card min-w-0 overflow-hidden" aria-label="Tasks">
        <BulkBar ids={chosen} filter={filter} total={total ?? undefined} clear={() => setSelection({})} />
        {query.isPending ? (
          <Skeleton rows={12} />
        ) : query.isError && !query.data ? (
          <Failure error={query.error} retry={() => void query.refetch()} />
        ) : data.length === 0 && !query.hasNextPage ? (
          <NoTasks isFiltered={isFiltered} clear={() => change({})} />
        ) : (
          <TaskRows
            columns={visible}
            rows={table.getRowModel().rows}
            cell={(cell) => <table.FlexRender cell={cell} />}
            isAllChosen={table.getIsAllRowsSelected()}
            chooseAll={(on) => table.toggleAllRowsSelected(on)}
            hasMore={query.hasNextPage}
            isFetchingMore={query.isFetchingNextPage}
            fetchMore={() => void query.fetchNextPage()}
            onFailedOnly={() =>
              change(
                filter.state?.join() === "failed" ? withoutState(filter) : { ...filter, state: ["failed"] },
              )
            }
          />
        )}
        {isFar && (
          <footer className="flex items-center gap-3 border-t px-4 py-2 text-soft">
            <span className="flex-1">The list stands still while you look so far down.</span>
            <Button size="small" onClick={() => void client.resetQueries({ queryKey: ["tasks", filter] })}>
              Back to the newest
            </Button>
          </footer>
        )}
      </section>
    </PageFrame>
  );
}

function NoTasks({ isFiltered, clear }: { isFiltered: boolean; clear: () => void }) {
  if (isFiltered) {
    return (
      <Empty title="No task is like that" icon={<ListChecks />}>
        <p className="mb-4">Others may be: take a condition away.</p>
        <Button onClick={clear}>Show all tasks</Button>
      </Empty>
    );
  }
  return (
    <Empty title="There are no tasks yet" icon={<ListChecks />}>
      <p className="mb-4">
        Start one here, or from a terminal with{" "}
        <code className="font-mono text-[12.5px] text-ink">everloop task start mock --follow</code>
      </p>
      <Link to="/new" className={buttonLook({ look: "primary" })}>
        <Plus /> Start a task
      </Link>
    </Empty>
  );
}
