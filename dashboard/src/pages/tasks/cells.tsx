import { Link } from "@tanstack/react-router";
import { ChevronsDown, ChevronsUp, GitFork, RefreshCw } from "lucide-react";
import type { TaskView } from "@/api/types";
import { cn } from "@/lib/cn";
import { count, shortId } from "@/lib/format";
import { duration } from "@/lib/time";
import { StateBadge } from "@/parts/state";
import { Ago, Took } from "@/parts/time";

export function StateCell({ task }: { task: TaskView }) {
  return <StateBadge state={task.state} />;
}

/** What a task is called: its title, its key, its name, or its kind. */
export function nameOf(task: Pick<TaskView, "title" | "key" | "name" | "kind">): string {
  return task.title ?? task.key ?? task.name ?? task.kind;
}

export function TaskCell({ task }: { task: TaskView }) {
  return (
    <span className="flex min-w-0 items-baseline gap-2.5">
      <Link
        to="/tasks/$id"
        params={{ id: task.id }}
        data-row-link
        className="truncate font-medium after:absolute after:inset-0 hover:underline"
      >
        {nameOf(task)}
      </Link>
      <span className="hidden shrink-0 font-mono text-[12px] text-faint sm:inline" title={task.id}>
        {shortId(task.id)}
      </span>
      <PriorityMark task={task} className="self-center" />
      {task.forked_from && (
        <GitFork aria-label="a fork" className="size-3.5 shrink-0 translate-y-0.5 text-faint" />
      )}
      {task.lost_attempts > 0 && (
        <span
          className="inline-flex shrink-0 items-center gap-1 text-[12px] text-faint"
          title={`${task.lost_attempts} attempts were lost; it went on from its last recorded step`}
        >
          <RefreshCw aria-hidden className="size-3 translate-y-px" /> recovered
        </span>
      )}
      {task.error && (
        <span className="hidden truncate text-bad lg:inline" title={task.error.message}>
          {task.error.message}
        </span>
      )}
    </span>
  );
}

/** How a task stands to others of its queue, where it is not as any other; a click shows those that are like it. */
export function PriorityMark({ task, className }: { task: TaskView; className?: string }) {
  const priority = task.policy?.priority ?? 0;
  if (priority === 0) return null;
  const Icon = priority > 0 ? ChevronsUp : ChevronsDown;
  return (
    <Link
      to="/tasks"
      search={{ priority }}
      aria-label={`Priority ${priority}`}
      title={`Priority ${priority}: ${priority > 0 ? "before" : "after"} others of its queue`}
      className={cn(
        "tnum relative z-10 inline-flex shrink-0 items-center gap-0.5 text-[12px] hover:text-ink",
        priority > 0 ? "text-accent-text" : "text-faint",
        className,
      )}
    >
      <Icon aria-hidden className="size-3.5" />
      {Math.abs(priority)}
    </Link>
  );
}

export function LabelsCell({ task }: { task: TaskView }) {
  return (
    <span className="flex gap-1 truncate">
      {Object.entries(task.labels ?? {}).map(([name, value]) => (
        <Link
          key={name}
          to="/tasks"
          search={{ label: `${name}:${value}` }}
          className="relative z-10 max-w-36 truncate rounded bg-sunken px-1.5 text-[12px] text-soft hover:text-ink"
          title={`Only tasks with ${name}:${value}`}
        >
          {name}:{value}
        </Link>
      ))}
    </span>
  );
}

export function StepsCell({ task }: { task: TaskView }) {
  return <span className="tnum">{count(task.steps)}</span>;
}

export function TookCell({ task }: { task: TaskView }) {
  return (
    <span className="tnum" title="How long workers held it">
      {task.state === "running" && task.usage.running_us === 0 ? (
        <Took from={task.started_at ?? task.created_at} />
      ) : (
        duration(task.usage.running_us / 1000)
      )}
    </span>
  );
}

export function AgeCell({ task }: { task: TaskView }) {
  return <Ago at={task.created_at} className="tnum" />;
}
