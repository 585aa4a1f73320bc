import { useQueryClient } from "@tanstack/react-query";
import { Ban, Pause, Play, RotateCcw } from "lucide-react";
import { useState } from "react";
import { ACTS, actOnSeveral, bulk, bulkCount, bulkFilter } from "@/api/acts";
import type { TaskFilter } from "@/api/queries";
import type { BulkAct } from "@/api/types";
import { count, plural } from "@/lib/format";
import { Button } from "@/parts/button";
import { confirm } from "@/parts/confirm";
import { failed, said } from "@/parts/toast";

const ICONS = { pause: Pause, resume: Play, redrive: RotateCcw, cancel: Ban };
const BULK_ACTS: BulkAct[] = ["pause", "resume", "redrive", "cancel"];

interface Props {
  ids: string[];
  filter: TaskFilter;
  total: number | undefined;
  clear: () => void;
}

/** What can be done to the tasks that were chosen, or to all that the list shows. */
export function BulkBar({ ids, filter, total, clear }: Props) {
  const [isAll, setAll] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const client = useQueryClient();
  if (ids.length === 0) return null;
  const wide = bulkFilter(filter);
  const act = async (what: BulkAct) => {
    setBusy(true);
    try {
      const { name, done: word, danger } = ACTS[what];
      const matched = isAll && wide ? await bulkCount(what, wide) : ids.length;
      if (matched === 0) {
        said(`None of them can be ${word} now.`);
        return;
      }
      const isSure = await confirm({
        title: `${name} ${plural(matched, "task")}?`,
        about:
          what === "cancel"
            ? "A cancelled task can't go on. Its history stays, and it can be started anew."
            : what === "redrive"
              ? "Each becomes a new task that keeps what was recorded and goes on after it."
              : "This can be taken back.",
        act: `${name} ${plural(matched, "task")}`,
        danger,
      });
      if (!isSure) return;
      if (isAll && wide) {
        said(`${plural(await bulk(what, wide, matched), "task")} ${word}.`);
      } else {
        const { done, refused } = await actOnSeveral(ids, what);
        if (done > 0) said(`${plural(done, "task")} ${word}.`);
        if (refused.length > 0) failed(refused[0]);
      }
      setAll(false);
      clear();
    } catch (error) {
      failed(error);
    } finally {
      setBusy(false);
      void client.invalidateQueries({ queryKey: ["tasks"] });
    }
  };
  return (
    <div
      role="region"
      aria-label="Chosen tasks"
      className="flex flex-wrap items-center gap-2 border-b bg-accent-soft px-4 py-2"
    >
      <span className="tnum font-medium text-accent-text">
        {isAll
          ? `All ${total === undefined ? "" : count(total)} that match`
          : `${plural(ids.length, "task")} chosen`}
      </span>
      {!isAll && wide && total !== undefined && total > ids.length && (
        <Button look="quiet" size="small" className="text-accent-text" onClick={() => setAll(true)}>
          Choose all that match
        </Button>
      )}
      <span className="flex-1" />
      {BULK_ACTS.map((what) => {
        const Icon = ICONS[what];
        return (
          <Button
            key={what}
            size="small"
            look={ACTS[what].danger ? "danger" : "plain"}
            disabled={isBusy}
            onClick={() => void act(what)}
          >
            <Icon /> {ACTS[what].name}
          </Button>
        );
      })}
      <Button
        look="quiet"
        size="small"
        onClick={() => {
          setAll(false);
          clear();
        }}
      >
        Choose none
      </Button>
    </div>
  );
}
