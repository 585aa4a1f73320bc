import type { TaskView } from "@/api/types";
import { isOver } from "@/api/queries";
import { Json } from "@/parts/json";
import { Empty } from "@/parts/page";
import { TaskErrorView } from "./task-error";

/** What came in, and what came out. */
export default function Values({ task }: { task: TaskView }) {
  const policy = task.policy && Object.keys(task.policy).length > 0 ? task.policy : undefined;
  const more: [string, unknown][] = [
    ["Policy", policy],
    ["Context", task.context],
    ["Metadata", task.metadata],
    ["Depends on", task.depends_on],
  ];
  return (
    <div className="grid divide-y lg:grid-cols-2 lg:divide-x lg:divide-y-0">
      <div className="min-w-0">
        <h2 className="px-4 pt-3 text-[12.5px] text-faint">Input</h2>
        <Json value={task.input ?? null} label="input" />
        {more.map(
          ([name, value]) =>
            value != null && (
              <div key={name} className="border-t">
                <h2 className="px-4 pt-3 text-[12.5px] text-faint">{name}</h2>
                <Json value={value} label={name} />
              </div>
            ),
        )}
      </div>
      <div className="min-w-0">
        <h2 className="px-4 pt-3 text-[12.5px] text-faint">{task.error ? "Error" : "Result"}</h2>
        {task.error ? (
          <div className="p-4">
            <TaskErrorView error={task.error} />
          </div>
        ) : isOver(task.state) ? (
          <Json value={task.result ?? null} label="result" />
        ) : (
          <Empty title="There is no result yet">It is here once the task has ended.</Empty>
        )}
      </div>
    </div>
  );
}
