import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Server } from "lucide-react";
import { useState } from "react";
import { workersQuery } from "@/api/queries";
import type { WorkerView } from "@/api/types";
import { cn } from "@/lib/cn";
import { count, shortId } from "@/lib/format";
import { Button } from "@/parts/button";
import { Empty, Failure, PageFrame, Skeleton } from "@/parts/page";
import { StateBadge } from "@/parts/state";
import { Ago } from "@/parts/time";

const STATUSES = ["idle", "busy", "offline", "error"];

/** Who does the work. */
export function WorkersPage() {
  const workers = useQuery(workersQuery);
  const [status, setStatus] = useState<string | undefined>();
  const all = workers.data?.items ?? [];
  const shown = all.filter((worker) => status === undefined || worker.status === status);
  const slots = all.reduce(
    (sum, worker) => sum + (worker.status === "offline" ? 0 : worker.max_concurrent_tasks),
    0,
  );
  const held = all.reduce((sum, worker) => sum + worker.tasks.length, 0);
  return (
    <PageFrame
      title="Workers"
      about={<span className="tnum">{`${count(held)} of ${count(slots)} places are taken`}</span>}
      actions={
        <div role="group" aria-label="Status" className="flex gap-1">
          {STATUSES.map((one) => (
            <Button
              key={one}
              size="small"
              aria-pressed={status === one}
              className={cn(status === one && "border-accent text-accent-text")}
              onClick={() => setStatus(status === one ? undefined : one)}
            >
              {one}{" "}
              <span className="tnum text-faint">{all.filter((worker) => worker.status === one).length}</span>
            </Button>
          ))}
        </div>
      }
    >
      {workers.isPending ? (
        <Skeleton />
      ) : !workers.data ? (
        <Failure error={workers.error} retry={() => void workers.refetch()} />
      ) : shown.length === 0 ? (
        <div className="card">
          <Empty
            title={status ? `No worker has the status ${status}` : "Nobody works here"}
            icon={<Server />}
          >
            Start one for this server with{" "}
            <code className="font-mono text-[12.5px] text-ink">everloop worker</code>, or a program of yours
            with one of the SDKs.
          </Empty>
        </div>
      ) : (
        <ul className="grid gap-3 md:grid-cols-2 xl:grid-cols-3">
          {shown.map((worker) => (
            <WorkerCard key={worker.id} worker={worker} />
          ))}
        </ul>
      )}
    </PageFrame>
  );
}

function WorkerCard({ worker }: { worker: WorkerView }) {
  const navigate = useNavigate();
  const load = worker.tasks.length / Math.max(1, worker.max_concurrent_tasks);
  return (
    <li className="card flex min-w-0 flex-col gap-3 p-4" data-worker={worker.id}>
      <div className="flex items-center gap-2">
        <h2 className="min-w-0 flex-1 truncate text-[14px]">{worker.name}</h2>
        <StateBadge state={worker.status} />
      </div>
      {worker.trouble && <p className="text-bad wrap-anywhere">{worker.trouble}</p>}
      <div>
        <div className="flex justify-between text-[12.5px] text-soft">
          <span className="tnum">
            {count(worker.tasks.length)} of {count(worker.max_concurrent_tasks)} places
          </span>
          <span className="tnum">
            heard <Ago at={worker.last_heartbeat_at} />
          </span>
        </div>
        <div
          role="meter"
          aria-label="Load"
          aria-valuenow={worker.tasks.length}
          aria-valuemin={0}
          aria-valuemax={worker.max_concurrent_tasks}
          className="mt-1 h-1.5 overflow-hidden rounded-full bg-sunken"
        >
          <div className="h-full rounded-full bg-accent" style={{ width: `${Math.min(100, load * 100)}%` }} />
        </div>
      </div>
      <dl className="grid grid-cols-[5.5rem_1fr] gap-y-1 text-[12.5px]">
        <dt className="text-faint">Kinds</dt>
        <dd className="min-w-0 wrap-anywhere">{worker.kinds.map(({ kind }) => kind).join(", ")}</dd>
        <dt className="text-faint">Queues</dt>
        <dd className="min-w-0 wrap-anywhere">{worker.queues.join(", ")}</dd>
        {worker.capabilities.length > 0 && (
          <>
            <dt className="text-faint">Can also</dt>
            <dd>{worker.capabilities.join(", ")}</dd>
          </>
        )}
        <dt className="text-faint">Lives</dt>
        <dd>
          {worker.embedded ? "in the server" : "elsewhere"}
          {worker.version ? `, version ${worker.version}` : ""}
        </dd>
      </dl>
      {worker.tasks.length > 0 && (
        <ul className="flex flex-wrap gap-1" aria-label="What it does">
          {worker.tasks.slice(0, 8).map((id) => (
            <li key={id}>
              <Link
                to="/tasks/$id"
                params={{ id }}
                className="rounded bg-sunken px-1.5 font-mono text-[12px] text-accent-text hover:underline"
              >
                {shortId(id)}
              </Link>
            </li>
          ))}
          {worker.tasks.length > 8 && (
            <li>
              <Button
                size="small"
                onClick={() => void navigate({ to: "/tasks", search: { state: ["running"] } })}
              >
                {count(worker.tasks.length - 8)} more
              </Button>
            </li>
          )}
        </ul>
      )}
    </li>
  );
}
