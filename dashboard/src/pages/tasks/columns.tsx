import {
  columnVisibilityFeature,
  createColumnHelper,
  rowSelectionFeature,
  tableFeatures,
  type Cell,
  type Row,
} from "@tanstack/react-table";
import type { TaskView } from "@/api/types";
import { AgeCell, LabelsCell, StateCell, StepsCell, TaskCell, TookCell } from "./cells";

/** What the table can do. */
export const features = tableFeatures({ rowSelectionFeature, columnVisibilityFeature });
const helper = createColumnHelper<typeof features, TaskView>();
/** Every column. */
export const columns = helper.columns([
  helper.display({ id: "state", header: "State", cell: ({ row }) => <StateCell task={row.original} /> }),
  helper.display({ id: "task", header: "Task", cell: ({ row }) => <TaskCell task={row.original} /> }),
  helper.accessor("kind", {
    header: "Kind",
    cell: ({ row }) => <span className="truncate">{row.original.kind}</span>,
  }),
  helper.accessor("queue", {
    header: "Queue",
    cell: ({ row }) => <span className="truncate">{row.original.queue}</span>,
  }),
  helper.display({ id: "labels", header: "Labels", cell: ({ row }) => <LabelsCell task={row.original} /> }),
  helper.display({ id: "steps", header: "Steps", cell: ({ row }) => <StepsCell task={row.original} /> }),
  helper.display({ id: "took", header: "Ran", cell: ({ row }) => <TookCell task={row.original} /> }),
  helper.display({ id: "age", header: "Created", cell: ({ row }) => <AgeCell task={row.original} /> }),
]);

/** A line of the table. */
export type TaskRow = Row<typeof features, TaskView>;
/** A cell of it. */
export type TaskCellOf = Cell<typeof features, TaskView>;
