import type { OutputView, TaskRequest, TaskView } from "./api/types.js";
import { canonical, intent as intentOf } from "./canonical.js";
import { CancelledError, fromWire } from "./errors.js";
import { segment } from "./http.js";
import {
  currentFrame,
  type Frame,
  frameFor,
  never,
  nextKey,
  stand,
  standsBeforeNew,
  standsBehindRecorded,
} from "./scope.js";
import { runStep } from "./step.js";
import { type Task, type TaskOptions, toInput } from "./task.js";
import { standby } from "./wait.js";

/** How a child is started: whatever a task can be submitted with, but for what the call itself says. */
export type ChildOptions = Omit<TaskRequest, "kind" | "input" | "parent"> & {
  /** The name of the step that starts it; its kind when not given. */
  step?: string;
};

/** A task that another one has started. */
export interface Child<Result> {
  /** Its id. */
  readonly id: string;
  /** Waits for its end, as long as it takes: its result. A child that failed throws its error. */
  result(): Promise<Result>;
}

/** Starts a task as a child of this one: it is told of its end, and the child is cancelled when this one ends first. */
export async function startChild<Args extends unknown[], Result>(
  task: Task<Args, Result> | string,
  args: Args,
  options: ChildOptions = {},
): Promise<Child<Awaited<Result>>> {
  const frame = frameFor("startChild");
  const { attempt } = frame.scope;
  const { step: name, ...more } = options;
  const definition: { kind: string; options: TaskOptions } =
    typeof task === "string" ? { kind: task, options: {} } : task;
  const key = nextKey(frame, name ?? definition.kind);
  const work = async () => {
    const context = currentFrame()?.step;
    const own: Partial<TaskRequest> = {};
    if (definition.options.policy) own.policy = definition.options.policy;
    if (definition.options.queue) own.queue = definition.options.queue;
    const parent = { step: key, task: attempt.task };
    const request = { ...own, ...more, ...toInput(args), kind: definition.kind, parent };
    const started = await attempt.transport.json<TaskView>({
      method: "POST",
      path: "/api/v1/tasks",
      headers: { "idempotency-key": context?.idempotencyKey ?? key },
      body: canonical(request),
      repeatable: true,
      patient: true,
      ...(context ? { signal: context.signal } : {}),
    });
    return { task: started.id };
  };
  const planned = { name: definition.kind, kind: "child", options: {}, args, work, key };
  const { task: id } = (await runStep(frame, planned)) as { task: string };
  let result: Promise<Awaited<Result>> | undefined;
  return {
    id,
    result: () => {
      result ??= childResult(frameFor("the result of a child"), `${key}/result#1`, id) as Promise<
        Awaited<Result>
      >;
      return result;
    },
  };
}

/** Starts a child and waits for its result. */
export async function callChild<Args extends unknown[], Result>(
  task: Task<Args, Result> | string,
  args: Args,
  options: ChildOptions = {},
): Promise<Awaited<Result>> {
  return await (await startChild(task, args, options)).result();
}

async function childResult(frame: Frame, id: string, child: string): Promise<unknown> {
  const { scope } = frame;
  const { attempt } = scope;
  if (scope.isAbandoned) return await never();
  if (!frame.cleanup) scope.settle();
  attempt.journal.name(id);
  const intent = intentOf(canonical([child]));
  const found = attempt.journal.find(id, "child", intent);
  if (!("is" in found)) return await attempt.mismatch(found);
  if (found.is === "outcome") {
    scope.delivered(found.order);
    if ("error" in found.outcome) throw Object.assign(fromWire(found.outcome.error), { step: id });
    return await fetched(frame, () => attempt.resolve((found.outcome as { result: unknown }).result));
  }
  // One that has gone on as another task ends with that one.
  for (let task = child; ;) {
    if (!attempt.goesOn(frame)) return await never();
    const ended = attempt.journal.child(task);
    if (!ended) return await standby(frame, { child: { id, task } }, id);
    if (standsBeforeNew(frame)) return await stand(frame, id);
    const startedAt = new Date().toISOString();
    if (!ended.taken) attempt.push("task.input_taken", { id: task, step: id });
    const path = `/api/v1/tasks/${segment(task)}/output`;
    const call = { method: "GET", path, patient: true } as const;
    const output = await fetched(frame, () => attempt.transport.json<OutputView>(call));
    if (output.continued_as) {
      task = output.continued_as;
      continue;
    }
    if (output.state === "completed") {
      const text = canonical(output.result ?? null);
      scope.delivered(attempt.record(id, "child", intent, text, startedAt));
      if (standsBehindRecorded(frame)) return await stand(frame, id);
      return await fetched(frame, () => attempt.resolve(output.result ?? null));
    }
    const cancelled = new CancelledError(`child ${task} was cancelled`, { code: "cancelled" });
    const error = output.error ?? {
      class: cancelled.class,
      code: cancelled.code,
      message: cancelled.message,
    };
    attempt.push("step.failed", { error, intent, kind: "child", step: id, try: 1 });
    scope.delivered(attempt.journal.recordedNow());
    throw Object.assign(fromWire(error), { step: id });
  }
}

async function fetched<T>(frame: Frame, get: () => Promise<T>): Promise<T> {
  frame.scope.begin();
  try {
    return await get();
  } finally {
    frame.scope.finish();
  }
}
