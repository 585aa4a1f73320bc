import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Tabs } from "radix-ui";
import { lazy, Suspense, useState } from "react";
import { isOver, taskQuery } from "@/api/queries";
import type { StepView, TaskView } from "@/api/types";
import { bytes, count } from "@/lib/format";
import { why } from "@/lib/why";
import { CopyButton } from "@/parts/copy";
import { Failure, PageFrame, Skeleton } from "@/parts/page";
import { StateBadge } from "@/parts/state";
import { Ago, At, Took, useNow } from "@/parts/time";
import { TABS, type Tab } from "@/router";
import { nameOf, PriorityMark } from "../tasks/cells";
import { TaskActs } from "./acts";
import { Answers } from "./answers";
import { Timeline } from "./timeline";

const Events = lazy(() => import("./events"));
const Terminal = lazy(() => import("./terminal"));
const Values = lazy(() => import("./values"));
const Receipt = lazy(() => import("./receipt"));

const NAMES: Record<Tab, string> = {
  timeline: "Timeline",
  events: "Events",
  output: "Output",
  values: "Input and result",
  receipt: "Receipt",
};

/** One task: what it does, what it did, and what can be done about it. */
export function TaskPage() {
  const { id } = useParams({ from: "/tasks/$id" });
  const query = useQuery(taskQuery(id));
  if (query.isPending) {
    return (
      <PageFrame title="Task">
        <Skeleton rows={10} />
      </PageFrame>
    );
  }
  if (!query.data) {
    return (
      <PageFrame title="Task">
        <Failure error={query.error} retry={() => void query.refetch()} />
      </PageFrame>
    );
  }
  return <TaskBody key={id} task={query.data} />;
}

function TaskBody({ task }: { task: TaskView }) {
  const { tab = "timeline" } = useSearch({ from: "/tasks/$id" });
  const navigate = useNavigate({ from: "/tasks/$id" });
  const [forkFrom, setForkFrom] = useState<StepView | "ask" | undefined>();
  const now = useNow();
  return (
    <PageFrame
      title={nameOf(task)}
      wide
      about={
        <span className="flex flex-wrap items-center gap-x-2.5 gap-y-1">
          <StateBadge state={task.state} />
          <span className="flex items-center font-mono text-[12.5px]">
            {task.id}
            <CopyButton text={task.id} label="Copy the id" />
          </span>
        </span>
      }
      actions={<TaskActs task={task} forkFrom={forkFrom} setForkFrom={setForkFrom} />}
    >
      <section className="card flex flex-col gap-3 px-4 py-3" aria-label="Now">
        <p className="text-[15px] wrap-anywhere" data-testid="why" aria-live="polite">
          {why(task, now)}
        </p>
        {task.description && <p className="max-w-4xl text-soft wrap-anywhere">{task.description}</p>}
        <ProgressBar task={task} />
        <Facts task={task} />
      </section>
      <Answers task={task} />
      <Tabs.Root
        value={tab}
        activationMode="manual"
        onValueChange={(next) =>
          void navigate({ search: next === "timeline" ? {} : { tab: next as Tab }, replace: true })
        }
        className="card min-w-0 overflow-hidden"
      >
        <Tabs.List aria-label="About this task" className="flex overflow-x-auto border-b px-2">
          {TABS.map((one) => (
            <Tabs.Trigger
              key={one}
              value={one}
              className="-mb-px h-10 shrink-0 border-b-2 border-transparent px-3 text-soft outline-offset-[-4px] hover:text-ink data-[state=active]:border-accent data-[state=active]:font-medium data-[state=active]:text-ink"
            >
              {NAMES[one]}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        <Suspense fallback={<Skeleton />}>
          <Tabs.Content value="timeline" tabIndex={-1}>
            <Timeline task={task} onFork={setForkFrom} />
          </Tabs.Content>
          <Tabs.Content value="events" tabIndex={-1}>
            <Events task={task} />
          </Tabs.Content>
          <Tabs.Content value="output" tabIndex={-1}>
            <Terminal task={task} />
          </Tabs.Content>
          <Tabs.Content value="values" tabIndex={-1}>
            <Values task={task} />
          </Tabs.Content>
          <Tabs.Content value="receipt" tabIndex={-1}>
            <Receipt task={task} />
          </Tabs.Content>
        </Suspense>
      </Tabs.Root>
    </PageFrame>
  );
}

function ProgressBar({ task }: { task: TaskView }) {
  const { done, total } = task.progress ?? {};
  if (done == null || !total || isOver(task.state)) return null;
  const percent = Math.min(100, (done / total) * 100);
  return (
    <div
      role="progressbar"
      aria-label="Progress"
      aria-valuenow={Math.round(percent)}
      aria-valuemin={0}
      aria-valuemax={100}
      className="h-1.5 overflow-hidden rounded-full bg-sunken"
    >
      <div className="h-full rounded-full bg-accent transition-[width]" style={{ width: `${percent}%` }} />
    </div>
  );
}

function Facts({ task }: { task: TaskView }) {
  const facts: [string, React.ReactNode][] = [
    ["Kind", task.kind],
    ["Queue", task.queue],
    ...(task.policy?.priority
      ? [["Priority", <PriorityMark key="priority" task={task} />] as [string, React.ReactNode]]
      : []),
    [
      "Attempts",
      `${count(task.attempt)}${task.lost_attempts > 0 ? `, ${count(task.lost_attempts)} lost` : ""}`,
    ],
    ["Steps", count(task.steps)],
    ["Created", <Ago key="created" at={task.created_at} />],
    isOver(task.state)
      ? ["Took", <Took key="took" from={task.created_at} to={task.finished_at} />]
      : ["Last event", <Ago key="last" at={task.updated_at} />],
    ["Events", `${count(task.last_seq)}, ${bytes(task.usage.event_bytes)}`],
  ];
  if (task.key)
    facts.push([
      "Key",
      <code key="key" className="font-mono text-[12.5px]">
        {task.key}
      </code>,
    ]);
  if (task.parent) facts.push(["Parent", <TaskLink key="parent" id={task.parent.task} />]);
  if (task.forked_from) facts.push(["Fork of", <TaskLink key="fork" id={task.forked_from.task} />]);
  if (task.continues) facts.push(["Goes on for", <TaskLink key="continues" id={task.continues} />]);
  if (task.continued_as) facts.push(["Goes on as", <TaskLink key="continued" id={task.continued_as} />]);
  if (task.not_before) facts.push(["Not before", <At key="before" at={task.not_before} whole />]);
  return (
    <dl className="flex flex-wrap gap-x-7 gap-y-2">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt className="text-[12px] text-faint">{name}</dt>
          <dd className="tnum">{value}</dd>
        </div>
      ))}
      {Object.entries(task.labels ?? {}).map(([name, value]) => (
        <div key={`label ${name}`}>
          <dt className="text-[12px] text-faint">{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A task by its id. */
export function TaskLink({ id }: { id: string }) {
  return (
    <Link
      to="/tasks/$id"
      params={{ id }}
      className="font-mono text-[12.5px] text-accent-text hover:underline"
    >
      {id}
    </Link>
  );
}
