import { GitFork, X } from "lucide-react";
import type { StepView, TaskView } from "@/api/types";
import { Button } from "@/parts/button";
import { CopyButton } from "@/parts/copy";
import { Json } from "@/parts/json";
import { StateBadge } from "@/parts/state";
import { Ago, At } from "@/parts/time";
import { TaskErrorView } from "./task-error";

interface Props {
  step: StepView;
  task: TaskView;
  onFork: (step: StepView) => void;
  close: () => void;
}

/** What one step was, gave, and how it may be run again. */
export function StepPanel({ step, onFork, close }: Props) {
  return (
    <section aria-label={`Step ${step.step}`} className="rise border-t-2 border-t-accent">
      <header className="flex flex-wrap items-center gap-2.5 px-4 py-2.5">
        <h2 className="font-mono text-[13px] wrap-anywhere">{step.step}</h2>
        <CopyButton text={step.step} label="Copy the step's key" />
        <StateBadge state={step.status} />
        <span className="flex-1" />
        <Button size="small" onClick={() => onFork(step)}>
          <GitFork /> Fork from here
        </Button>
        <Button look="quiet" size="iconSmall" aria-label="Close" onClick={close}>
          <X />
        </Button>
      </header>
      <dl className="flex flex-wrap gap-x-7 gap-y-2 px-4 pb-3">
        <Fact name="Kind">{step.kind}</Fact>
        {step.attempt != null && <Fact name="Attempt">{step.attempt}</Fact>}
        {step.started_at && (
          <Fact name="Began">
            <At at={step.started_at} />
          </Fact>
        )}
        {step.ended_at && (
          <Fact name="Ended">
            <At at={step.ended_at} />
          </Fact>
        )}
        {step.next_at && (
          <Fact name="Tried again">
            <Ago at={step.next_at} />
          </Fact>
        )}
        {step.failed_tries > 0 && <Fact name="Failed tries">{step.failed_tries}</Fact>}
        <Fact name="Event">{step.seq}</Fact>
        <Fact name="Digest of its arguments">
          <code className="font-mono text-[12.5px]" title={step.intent}>
            {step.intent.slice(0, 16)}…
          </code>
        </Fact>
      </dl>
      {step.error && (
        <div className="px-4 pb-4">
          <TaskErrorView error={step.error} />
        </div>
      )}
      {step.status === "completed" && (
        <div className="border-t">
          <Json value={step.result ?? null} label="result of the step" />
        </div>
      )}
    </section>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt className="text-[12px] text-faint">{name}</dt>
      <dd className="tnum">{children}</dd>
    </div>
  );
}
