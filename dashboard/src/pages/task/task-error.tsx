import { CircleAlert } from "lucide-react";
import type { Class, TaskError } from "@/api/types";
import { Json } from "@/parts/json";

/** What to do about an error of a class. */
const REMEDIES: Record<Class, string> = {
  transient: "It may work the next time: redrive the task once what it needs is there again.",
  internal: "Something in the executor is wrong: look at its output, mend it, and redrive the task.",
  validation: "What it was given is wrong: start one like it with another input.",
  auth: "It was not let in: give it the right credentials, and redrive the task.",
  quota: "It asked too much of somebody: redrive it later, or with a lower rate.",
  budget: "Its budget is spent: raise it, and redrive the task.",
  cancelled: "Somebody stopped it. Fork it to go on.",
};

/** An error with its cause, and what to do about it. */
export function TaskErrorView({ error }: { error: TaskError }) {
  return (
    <div className="rounded-md bg-bad-soft">
      <div className="flex gap-2.5 p-3">
        <CircleAlert aria-hidden className="mt-0.5 size-4 shrink-0 text-bad" />
        <div className="min-w-0">
          <p className="font-medium text-bad wrap-anywhere">{error.message}</p>
          <p className="text-soft">{REMEDIES[error.class]}</p>
          <p className="font-mono text-[12px] text-soft">
            {error.code} · {error.class}
          </p>
        </div>
      </div>
      {error.details != null && <Json value={error.details} label="details of the error" />}
    </div>
  );
}
