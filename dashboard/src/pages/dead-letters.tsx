import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { RotateCcw, Skull } from "lucide-react";
import { actOn, bulk, bulkCount } from "@/api/acts";
import { deadLettersQuery } from "@/api/queries";
import type { TaskView } from "@/api/types";
import { plural } from "@/lib/format";
import { Button } from "@/parts/button";
import { confirm } from "@/parts/confirm";
import { Empty, Failure, PageFrame, Skeleton } from "@/parts/page";
import { Ago } from "@/parts/time";
import { failed, said } from "@/parts/toast";
import { nameOf } from "./tasks/cells";

/** Tasks that failed and wait for somebody to look at them, by the reason. */
export function DeadLettersPage() {
  const query = useInfiniteQuery(deadLettersQuery);
  const client = useQueryClient();
  const items = query.data?.pages.flatMap((page) => page.items) ?? [];
  const redriveAll = async () => {
    try {
      const matched = await bulkCount("redrive", { state: ["failed"] });
      const isSure = await confirm({
        title: `Redrive ${plural(matched, "task")}?`,
        about: "Each becomes a new task that keeps what was recorded and goes on after it.",
        act: `Redrive ${plural(matched, "task")}`,
      });
      if (!isSure) return;
      said(`${plural(await bulk("redrive", { state: ["failed"] }, matched), "task")} redriven.`);
    } catch (error) {
      failed(error);
    }
    await client.invalidateQueries({ queryKey: ["tasks"] });
  };
  const byReason = new Map<string, TaskView[]>();
  for (const task of items) {
    const reason = task.error?.code ?? "unknown";
    byReason.set(reason, [...(byReason.get(reason) ?? []), task]);
  }
  return (
    <PageFrame
      title="Dead letters"
      about="Tasks that failed for good. Redriving one starts a new task after what it had recorded."
      actions={
        items.length > 0 && (
          <Button onClick={() => void redriveAll()}>
            <RotateCcw /> Redrive all
          </Button>
        )
      }
    >
      {query.isPending ? (
        <Skeleton />
      ) : !query.data ? (
        <Failure error={query.error} retry={() => void query.refetch()} />
      ) : items.length === 0 ? (
        <div className="card">
          <Empty title="Nothing has failed" icon={<Skull />}>
            A task comes here when its tries are used up, or when its error is of a kind that no other try
            helps against.
          </Empty>
        </div>
      ) : (
        [...byReason].map(([reason, tasks]) => (
          <section key={reason} className="card overflow-hidden" aria-label={reason}>
            <header className="flex items-baseline gap-3 border-b px-4 py-2.5">
              <h2 className="font-mono text-[13px]">{reason}</h2>
              <span className="tnum text-faint">{plural(tasks.length, "task")}</span>
            </header>
            <ul className="divide-y">
              {tasks.map((task) => (
                <DeadLetter key={task.id} task={task} />
              ))}
            </ul>
          </section>
        ))
      )}
      {query.hasNextPage && (
        <Button
          className="self-center"
          disabled={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          Show more
        </Button>
      )}
    </PageFrame>
  );
}

function DeadLetter({ task }: { task: TaskView }) {
  const client = useQueryClient();
  const redrive = async () => {
    try {
      await actOn(task.id, "redrive");
      said("A new task goes on for it.");
    } catch (error) {
      failed(error);
    }
    await client.invalidateQueries({ queryKey: ["tasks"] });
  };
  return (
    <li className="flex items-center gap-3 px-4 py-2.5">
      <div className="min-w-0 flex-1">
        <p className="flex min-w-0 items-baseline gap-2.5">
          <Link to="/tasks/$id" params={{ id: task.id }} className="truncate font-medium hover:underline">
            {nameOf(task)}
          </Link>
          <span className="shrink-0 text-[12.5px] text-faint">
            {task.kind}, {plural(task.tries, "try", "tries")},{" "}
            <Ago at={task.finished_at ?? task.updated_at} />
          </span>
        </p>
        <p className="truncate text-soft" title={task.error?.message}>
          {task.error?.message}
        </p>
      </div>
      <Button size="small" aria-label={`Redrive ${nameOf(task)}`} onClick={() => void redrive()}>
        <RotateCcw /> Redrive
      </Button>
    </li>
  );
}
