import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Layers, Pause, Play } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { send } from "@/api/http";
import { queuesQuery } from "@/api/queries";
import type { QueueView } from "@/api/types";
import { count, rate } from "@/lib/format";
import { Button } from "@/parts/button";
import { confirm } from "@/parts/confirm";
import { Empty, Failure, PageFrame, Skeleton } from "@/parts/page";
import { Sparkline } from "@/parts/sparkline";
import { Ago } from "@/parts/time";
import { failed, said } from "@/parts/toast";

const ended = (queue: QueueView) =>
  (queue.states.completed ?? 0) + (queue.states.failed ?? 0) + (queue.states.cancelled ?? 0);

/** Ends per second of each queue, since this page was opened. */
function useThroughput(queues: QueueView[] | undefined, at: number): Map<string, number[]> {
  const [rates, setRates] = useState(new Map<string, number[]>());
  const before = useRef<{ at: number; ended: Map<string, number> } | undefined>(undefined);
  useEffect(() => {
    if (!queues) return;
    const now = new Map(queues.map((queue) => [queue.name, ended(queue)]));
    const last = before.current;
    before.current = { at, ended: now };
    if (!last || at <= last.at) return;
    setRates((old) => {
      const next = new Map<string, number[]>();
      for (const [name, n] of now) {
        const grown = Math.max(0, n - (last.ended.get(name) ?? n));
        next.set(name, [...(old.get(name) ?? []), (grown * 1000) / (at - last.at)].slice(-60));
      }
      return next;
    });
  }, [queues, at]);
  return rates;
}

/** Where tasks wait for workers. */
export function QueuesPage() {
  const query = useQuery(queuesQuery);
  const rates = useThroughput(query.data?.items, query.dataUpdatedAt);
  return (
    <PageFrame title="Queues" about="A worker takes from the first of its queues that has something.">
      <section className="card relative overflow-x-auto" aria-label="Queues" tabIndex={0}>
        {query.isPending ? (
          <Skeleton />
        ) : !query.data ? (
          <Failure error={query.error} retry={() => void query.refetch()} />
        ) : query.data.items.length === 0 ? (
          <Empty title="No task has been in a queue yet" icon={<Layers />}>
            A queue is there from its first task on. Name one when you submit:{" "}
            <code className="font-mono text-[12.5px] text-ink">--queue high</code>
          </Empty>
        ) : (
          <table className="w-full min-w-[44rem]">
            <thead>
              <tr className="border-b text-[12px] text-faint [&_th]:px-3 [&_th]:py-2 [&_th]:font-normal">
                <th scope="col" className="pl-4 text-left">
                  Name
                </th>
                <th scope="col" className="text-right">
                  Queued
                </th>
                <th scope="col" className="text-right">
                  Oldest
                </th>
                <th scope="col" className="text-right">
                  In work
                </th>
                <th scope="col" className="text-right">
                  Failed
                </th>
                <th scope="col" className="text-right">
                  Workers
                </th>
                <th scope="col" className="w-40 text-left">
                  Ended per second
                </th>
                <th scope="col">
                  <span className="sr-only">Acts</span>
                </th>
              </tr>
            </thead>
            <tbody className="divide-y">
              {query.data.items.map((queue) => (
                <QueueRow key={queue.name} queue={queue} rates={rates.get(queue.name) ?? []} />
              ))}
            </tbody>
          </table>
        )}
      </section>
    </PageFrame>
  );
}

function QueueRow({ queue, rates }: { queue: QueueView; rates: number[] }) {
  const client = useQueryClient();
  const toggle = async () => {
    if (!queue.paused) {
      const isSure = await confirm({
        title: `Pause the queue ${queue.name}?`,
        about: "Nothing of it is claimed until it is resumed. What is running goes on.",
        act: "Pause the queue",
      });
      if (!isSure) return;
    }
    try {
      const path = `/api/v1/queues/${encodeURIComponent(queue.name)}/${queue.paused ? "resume" : "pause"}`;
      await send("POST", path);
      said(queue.paused ? "The queue goes on." : "The queue stands still.");
    } catch (error) {
      failed(error);
    }
    await client.invalidateQueries({ queryKey: ["queues"] });
  };
  return (
    <tr className="[&_td]:px-3 [&_td]:py-2">
      <td className="pl-4 font-medium">
        <Link to="/tasks" search={{ queue: queue.name }} className="hover:underline">
          {queue.name}
        </Link>
        {queue.paused && (
          <span className="ml-2 rounded-full bg-warn-soft px-2 text-[12px] text-warn">paused</span>
        )}
      </td>
      <td className="tnum text-right">{count(queue.queued)}</td>
      <td className="tnum text-right text-soft">
        {queue.oldest_since ? <Ago at={queue.oldest_since} /> : "–"}
      </td>
      <td className="tnum text-right">{count(queue.in_flight)}</td>
      <td className={queue.failed > 0 ? "tnum text-right text-bad" : "tnum text-right"}>
        {count(queue.failed)}
      </td>
      <td className={queue.workers === 0 ? "tnum text-right text-warn" : "tnum text-right"}>
        {count(queue.workers)}
      </td>
      <td>
        <div className="flex items-center gap-2">
          <span className="tnum w-10 text-right">{rate(rates.at(-1) ?? 0)}</span>
          <span className="w-24">
            <Sparkline values={rates} />
          </span>
        </div>
      </td>
      <td className="pr-4 text-right">
        <Button
          size="small"
          aria-label={`${queue.paused ? "Resume" : "Pause"} the queue ${queue.name}`}
          onClick={() => void toggle()}
        >
          {queue.paused ? <Play /> : <Pause />} {queue.paused ? "Resume" : "Pause"}
        </Button>
      </td>
    </tr>
  );
}
