import type { TaskView, Wait } from "@/api/types";
import { plural } from "./format";
import { relative } from "./time";

/** What a task is doing now, or why it does nothing, in one sentence. */
export function why(task: TaskView, now: number): string {
  switch (task.state) {
    case "pending":
      return pending(task, now);
    case "queued":
      return queued(task, now);
    case "running":
      return running(task);
    case "waiting":
      return task.waiting_for ? `Waits for ${wait(task.waiting_for, now)}.` : "Waits.";
    case "pausing":
      return "Pauses at the end of the step that is running.";
    case "paused":
      return paused(task);
    case "cancelling":
      return "Is being cancelled: its worker may still clean up.";
    case "completed":
      return completed(task);
    case "failed":
      return `Failed after ${plural(task.tries, "try", "tries")}: ${task.error?.message ?? "no reason was given"}`;
    case "cancelled":
      return task.error?.message ? `Was cancelled: ${task.error.message}` : "Was cancelled.";
  }
}

function pending(task: TaskView, now: number): string {
  const dependencies = task.depends_on ?? [];
  if (task.retry_at) {
    const error = task.error ? ` The last try failed: ${task.error.message}` : "";
    return `Is tried again ${relative(task.retry_at, now)}.${error}`;
  }
  if (dependencies.length > 0) return `Waits until ${plural(dependencies.length, "other task")} ended first.`;
  if (task.not_before) return `Begins ${relative(task.not_before, now)}, as it was asked to.`;
  return "Is about to come into its queue.";
}

function queued(task: TaskView, now: number): string {
  if (task.unclaimable) return `Nobody can claim it: ${task.unclaimable}`;
  const waits = task.lost_attempts > 0 ? "Its worker was lost; it waits" : "Waits";
  return `${waits} in the queue ${task.queue} for a worker with room, since ${relative(task.updated_at, now).replace(" ago", "")}.`;
}

function running(task: TaskView): string {
  const attempt = task.attempt > 1 ? ` in attempt ${task.attempt}` : "";
  const { done, total, note } = task.progress ?? {};
  const steps = task.steps > 0 ? `${plural(task.steps, "step")} recorded` : "no step recorded yet";
  const far = done != null && total != null ? `${done} of ${total} done` : steps;
  return `Runs${attempt}: ${far}${note ? `, now ${note}` : ""}.`;
}

function paused(task: TaskView): string {
  const reason = task.paused?.reason;
  if (reason === "nondeterminism") {
    return "Stands still: its code no longer does what was recorded. Fork it, or resume it under the old code.";
  }
  const open = task.open_requests?.length ?? 0;
  if (open > 0) return `Stands still until somebody decides ${plural(open, "question")}.`;
  // Its worker stops at a boundary when somebody asks for it; who that was stands in the events.
  if (!reason || (reason === "requested" && task.paused?.by.startsWith("wkr_")))
    return "Is paused, as somebody asked.";
  return `Was paused by ${who(task.paused?.by)}${reason !== "requested" ? `: ${reason}` : ""}.`;
}

function completed(task: TaskView): string {
  if (task.continued_as) return `Completed; ${task.continued_as} goes on for it.`;
  const lost = task.lost_attempts;
  const told = `Completed with ${plural(task.steps, "step")} in ${plural(task.attempt, "attempt")}`;
  return lost > 0
    ? `${told}; ${lost === 1 ? "one was" : `${lost} were`} lost, and nothing recorded was done twice.`
    : `${told}.`;
}

/** An actor in words. */
export function who(actor: string | undefined): string {
  if (!actor || actor === "system") return "the server";
  if (actor.startsWith("wkr_")) return "a worker";
  return "a person";
}

function wait(tree: Wait, now: number): string {
  if ("all" in tree) return tree.all.map((one) => wait(one, now)).join(" and ");
  if ("any" in tree) return tree.any.map((one) => wait(one, now)).join(" or ");
  if ("timer" in tree) return `its time, ${relative(tree.timer.at, now)}`;
  if ("input" in tree) return `an input called ${tree.input.name}`;
  if ("decision" in tree) return "somebody to decide";
  return `the child task ${tree.child.task}`;
}

/** Children that a task waits for. */
export function awaited(tree: Wait | null | undefined): string[] {
  if (!tree) return [];
  if ("all" in tree) return tree.all.flatMap(awaited);
  if ("any" in tree) return tree.any.flatMap(awaited);
  return "child" in tree ? [tree.child.task] : [];
}

/** Names of inputs that a task waits for. */
export function awaitedInputs(tree: Wait | null | undefined): string[] {
  if (!tree) return [];
  if ("all" in tree) return tree.all.flatMap(awaitedInputs);
  if ("any" in tree) return tree.any.flatMap(awaitedInputs);
  return "input" in tree ? [tree.input.name] : [];
}
