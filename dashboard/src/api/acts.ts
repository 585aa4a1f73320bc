import { send } from "./http";
import { taskPath, type TaskFilter } from "./queries";
import type { BulkAct, BulkAnswer, BulkFilter, TaskView } from "./types";

/** What a person can do to a task without saying more. */
export const ACTS: Record<BulkAct, { name: string; done: string; danger: boolean }> = {
  pause: { name: "Pause", done: "paused", danger: false },
  resume: { name: "Resume", done: "resumed", danger: false },
  redrive: { name: "Redrive", done: "redriven", danger: false },
  cancel: { name: "Cancel", done: "cancelled", danger: true },
};

/** Does it to one task. A redrive gives a new task. */
export function actOn(id: string, act: BulkAct): Promise<TaskView> {
  const path =
    act === "redrive" ? `/api/v1/dead-letters/${encodeURIComponent(id)}/redrive` : `${taskPath(id)}/${act}`;
  return send<TaskView>("POST", path, {});
}

/** Does it to several tasks, a few at a time; gives how many it was done to, and what the others said. */
export async function actOnSeveral(
  ids: string[],
  act: BulkAct,
): Promise<{ done: number; refused: unknown[] }> {
  const rest = [...ids];
  const refused: unknown[] = [];
  let done = 0;
  const lane = async () => {
    for (let id = rest.shift(); id !== undefined; id = rest.shift()) {
      try {
        await actOn(id, act);
        done += 1;
      } catch (error) {
        refused.push(error);
      }
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return { done, refused };
}

/** The filter of the list as bulk acts take it; none where they have no such condition. */
export function bulkFilter(filter: TaskFilter): BulkFilter | undefined {
  if (filter.q !== undefined) return undefined;
  const out: BulkFilter = {};
  if (filter.state) out.state = filter.state;
  if (filter.kind) out.kind = filter.kind.split(",");
  if (filter.queue) out.queue = filter.queue;
  if (filter.priority !== undefined) out.priority = filter.priority;
  if (filter.parent) out.parent = filter.parent;
  if (filter.session) out.session = filter.session;
  if (filter.key_prefix) out.key_prefix = filter.key_prefix;
  if (filter.label) {
    const [name = "", ...value] = filter.label.split(":");
    out.labels = { [name]: value.join(":") };
  }
  return out;
}

/** Counts the tasks that it would be done to. */
export async function bulkCount(act: BulkAct, filter: BulkFilter): Promise<number> {
  return (await send<BulkAnswer>("POST", "/api/v1/tasks/bulk", { act, filter })).matched;
}

/** Does it to all of them, if there are still so many. */
export async function bulk(act: BulkAct, filter: BulkFilter, expect: number): Promise<number> {
  let done = 0;
  for (let more = true, left = expect; more;) {
    const answer = await send<BulkAnswer>("POST", "/api/v1/tasks/bulk", { act, filter, expect: left });
    done += answer.done;
    left -= answer.done;
    more = answer.more && answer.done > 0;
  }
  return done;
}
