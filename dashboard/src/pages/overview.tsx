import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Inbox, Plus, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { usePulse } from "@/api/pulse";
import { inboxQuery, queuesQuery, someTasksQuery, totalOf, type TaskFilter } from "@/api/queries";
import type { State, StatsView, TaskView } from "@/api/types";
import { cn } from "@/lib/cn";
import { count, plural, rate } from "@/lib/format";
import { duration } from "@/lib/time";
import { why } from "@/lib/why";
import { buttonLook } from "@/parts/button";
import { Empty, Failure, PageFrame, Section, Skeleton } from "@/parts/page";
import { Sparkline } from "@/parts/sparkline";
import { StateBadge } from "@/parts/state";
import { Ago, useNow } from "@/parts/time";
import { nameOf } from "./tasks/cells";

const sum = (stats: StatsView | undefined, states: State[]) =>
  stats && states.reduce((all, state) => all + (stats.tasks[state] ?? 0), 0);

/** How long the last tasks took from their submission to their end, in milliseconds. */
export function latencies(tasks: TaskView[]): { median: number; slow: number } | undefined {
  const took = tasks
    .flatMap((task) => (task.finished_at ? [Date.parse(task.finished_at) - Date.parse(task.created_at)] : []))
    .sort((a, b) => a - b);
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0;
  return took.length > 0 ? { median: at(0.5), slow: at(0.95) } : undefined;
}

/** What goes on, at a glance. */
export function OverviewPage() {
  const { data: stats, error, refetch, beats } = usePulse();
  const recent = useQuery(someTasksQuery({}, 12));
  const done = useQuery(someTasksQuery({ state: ["completed"] }, 100));
  const took = latencies(done.data?.items ?? []);
  const last = beats.at(-1);
  if (error && !stats) {
    return (
      <PageFrame title="Overview">
        <Failure error={error} retry={() => void refetch()} />
      </PageFrame>
    );
  }
  return (
    <PageFrame
      title="Overview"
      wide
      actions={
        <Link to="/new" className={buttonLook({ look: "primary" })}>
          <Plus /> New task
        </Link>
      }
    >
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Figure
          name="Running"
          value={sum(stats, ["running", "pausing", "cancelling"])}
          search={{ state: ["running", "pausing", "cancelling"] }}
        >
          <Sparkline values={beats.map((beat) => beat.running)} />
        </Figure>
        <Figure
          name="Queued"
          value={sum(stats, ["queued", "pending"])}
          search={{ state: ["queued", "pending"] }}
        >
          <Sparkline values={beats.map((beat) => beat.queued)} />
        </Figure>
        <Figure
          name="Waiting or paused"
          value={sum(stats, ["waiting", "paused"])}
          search={{ state: ["waiting", "paused"] }}
        >
          <WaitingNote />
        </Figure>
        <Figure
          name="Failed"
          value={sum(stats, ["failed"])}
          search={{ state: ["failed"] }}
          isBad={(stats?.tasks.failed ?? 0) > 0}
        >
          <p className="text-[12.5px] text-faint">of {stats ? plural(stats.total, "task") : "…"}</p>
        </Figure>
      </div>
      <div className="grid gap-4 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
        <Section
          title="Recent tasks"
          side={
            <Link to="/tasks" className="text-[12.5px] text-accent-text hover:underline">
              All tasks
            </Link>
          }
        >
          {recent.isPending ? (
            <Skeleton rows={8} />
          ) : !recent.data ? (
            <Failure error={recent.error} retry={() => void recent.refetch()} />
          ) : recent.data.items.length === 0 ? (
            <FirstSteps />
          ) : (
            <RecentTasks tasks={recent.data.items} />
          )}
        </Section>
        <div className="flex min-w-0 flex-col gap-4">
          <InboxCard />
          <Section title="Pace">
            <dl className="divide-y">
              <Pace
                name="Tasks ended /s"
                value={rate(last?.ended ?? 0)}
                values={beats.map((beat) => beat.ended)}
              />
              <Pace
                name="Events /s"
                value={rate(last?.events ?? 0)}
                values={beats.map((beat) => beat.events)}
              />
              <div className="flex items-baseline gap-3 px-4 py-2.5">
                <dt className="flex-1 text-soft">To completion</dt>
                <dd
                  className="tnum text-right"
                  title="From submission to end, of the last 100 tasks that were completed"
                >
                  {took ? (
                    <>
                      <span className="font-medium">{duration(took.median)}</span>
                      <span className="text-faint"> median, {duration(took.slow)} p95</span>
                    </>
                  ) : (
                    "–"
                  )}
                </dd>
              </div>
            </dl>
          </Section>
          <QueuesCard />
        </div>
      </div>
    </PageFrame>
  );
}

function Figure({
  name,
  value,
  search,
  isBad = false,
  children,
}: {
  name: string;
  value: number | undefined;
  search: TaskFilter;
  isBad?: boolean;
  children: ReactNode;
}) {
  return (
    <Link
      to="/tasks"
      search={search}
      className="card flex min-w-0 flex-col gap-1 p-4 hover:border-line-strong"
    >
      <span className="text-soft">{name}</span>
      <span className={cn("tnum text-[26px] leading-8 font-semibold tracking-tight", isBad && "text-bad")}>
        {value === undefined ? "–" : count(value)}
      </span>
      <span className="mt-auto block min-h-7">{children}</span>
    </Link>
  );
}

function WaitingNote() {
  const n = totalOf(useQuery(inboxQuery).data);
  return (
    <p className="text-[12.5px] text-faint">{n > 0 ? `${count(n)} for a person` : "none for a person"}</p>
  );
}

function Pace({ name, value, values }: { name: string; value: string; values: number[] }) {
  return (
    <div className="grid grid-cols-[1fr_7rem_3rem] items-center gap-3 px-4 py-2">
      <dt className="text-soft">{name}</dt>
      <span aria-hidden>
        <Sparkline values={values} />
      </span>
      <dd className="tnum text-right font-medium">{value}</dd>
    </div>
  );
}

function RecentTasks({ tasks }: { tasks: TaskView[] }) {
  const now = useNow();
  return (
    <ul className="divide-y">
      {tasks.map((task) => (
        <li
          key={task.id}
          className="relative grid grid-cols-[6.8rem_minmax(0,1fr)_auto] items-center gap-3 px-4 py-2 hover:bg-sunken/60"
        >
          <span>
            <StateBadge state={task.state} />
          </span>
          <span className="min-w-0">
            <span className="flex min-w-0 items-baseline gap-2">
              <Link
                to="/tasks/$id"
                params={{ id: task.id }}
                className="truncate font-medium after:absolute after:inset-0 hover:underline"
              >
                {nameOf(task)}
              </Link>
              {task.lost_attempts > 0 && (
                <span className="shrink-0 rounded bg-accent-soft px-1.5 text-[12px] text-accent-text">
                  recovered
                </span>
              )}
            </span>
            <span className="block truncate text-[12.5px] text-soft">{why(task, now)}</span>
          </span>
          <Ago at={task.updated_at} className="tnum text-right text-[12.5px] text-faint" />
        </li>
      ))}
    </ul>
  );
}

function FirstSteps() {
  return (
    <Empty title="Nothing has run here yet" icon={<Plus />}>
      <p className="mb-3">Start a task on the page New task, or from a terminal:</p>
      <pre
        tabIndex={0}
        aria-label="Commands to begin with"
        className="overflow-x-auto rounded-md bg-sunken p-3 text-left font-mono text-[12.5px] text-ink"
      >
        {"everloop task start mock --follow\neverloop run --key first -- ls -l\neverloop dev --sample"}
      </pre>
    </Empty>
  );
}

function InboxCard() {
  const inbox = useQuery(inboxQuery).data;
  if (!inbox || inbox.items.length === 0) return null;
  return (
    <Section
      title={`${count(totalOf(inbox))} for you`}
      side={
        <Link to="/inbox" className="text-[12.5px] text-accent-text hover:underline">
          Inbox
        </Link>
      }
    >
      <ul className="divide-y">
        {inbox.items.slice(0, 3).map((item) => (
          <li
            key={`${item.task} ${item.id}`}
            className="relative flex items-start gap-2.5 px-4 py-2.5 hover:bg-sunken/60"
          >
            <Inbox aria-hidden className="mt-0.5 size-4 shrink-0 text-accent-text" />
            <span className="min-w-0">
              <Link to="/inbox" className="block truncate font-medium after:absolute after:inset-0">
                {item.prompt ??
                  { input: `Input ${item.id}`, decision: "A decision", repair: "Its code has changed" }[
                    item.wants
                  ]}
              </Link>
              <span className="block truncate text-[12.5px] text-soft">
                {item.title ?? item.kind}, <Ago at={item.since} />
              </span>
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function QueuesCard() {
  const queues = useQuery(queuesQuery).data?.items ?? [];
  if (queues.length === 0) return null;
  const top = Math.max(1, ...queues.map((queue) => queue.queued));
  return (
    <Section
      title="Queues"
      side={
        <Link to="/queues" className="text-[12.5px] text-accent-text hover:underline">
          All queues
        </Link>
      }
    >
      <ul className="flex flex-col gap-2 px-4 py-3">
        {queues.slice(0, 6).map((queue) => (
          <li key={queue.name} className="grid grid-cols-[6rem_1fr_3rem] items-center gap-3">
            <span className="flex items-center gap-1 truncate">
              {queue.name}
              {(queue.paused || queue.workers === 0) && (
                <TriangleAlert
                  className="size-3.5 shrink-0 text-warn"
                  aria-label={queue.paused ? "paused" : "no worker"}
                />
              )}
            </span>
            <span aria-hidden className="h-1.5 overflow-hidden rounded-full bg-sunken">
              <span
                className="block h-full rounded-full bg-accent"
                style={{ width: `${(queue.queued / top) * 100}%` }}
              />
            </span>
            <span className="tnum text-right">{count(queue.queued)}</span>
          </li>
        ))}
      </ul>
    </Section>
  );
}
