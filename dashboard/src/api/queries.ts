import { queryOptions, infiniteQueryOptions, keepPreviousData } from "@tanstack/react-query";
import { address, ApiError, ask, get, readProblem, text, type Query } from "./http";
import type {
  AttemptView,
  ControlState,
  HealthView,
  InboxItem,
  KindView,
  Page,
  QueueView,
  ReceiptView,
  State,
  StatsView,
  StepView,
  TaskView,
  WorkerView,
} from "./types";

/** A page of any list: the document has one schema for each. */
export type PageOf<T> = Omit<Page, "items"> & { items: T[] };

/** Which tasks are wanted. It is what stands in the address of the list. */
export interface TaskFilter {
  state?: State[];
  kind?: string;
  queue?: string;
  priority?: number;
  label?: string;
  parent?: string;
  session?: string;
  key_prefix?: string;
  q?: string;
  order?: "oldest";
}

/** Tasks on one page of the list. */
export const PAGE = 100;

export const STATES: State[] = [
  "running",
  "queued",
  "pending",
  "waiting",
  "pausing",
  "paused",
  "cancelling",
  "failed",
  "completed",
  "cancelled",
];

export const LIVE: State[] = ["pending", "queued", "running", "waiting", "pausing", "paused", "cancelling"];

/** The path of a task. */
export const taskPath = (id: string) => `/api/v1/tasks/${encodeURIComponent(id)}`;

export const isOver = (state: State) => state === "completed" || state === "failed" || state === "cancelled";

function asQuery(filter: TaskFilter): Query {
  return { ...filter, state: filter.state?.join(","), order: filter.order };
}

export const tasksQuery = (filter: TaskFilter) =>
  infiniteQueryOptions({
    queryKey: ["tasks", filter],
    queryFn: ({ pageParam, signal }) =>
      get<PageOf<TaskView>>("/api/v1/tasks", { ...asQuery(filter), limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
  });

export const someTasksQuery = (filter: TaskFilter, limit: number) =>
  queryOptions({
    queryKey: ["tasks", "some", filter, limit],
    queryFn: ({ signal }) => get<PageOf<TaskView>>("/api/v1/tasks", { ...asQuery(filter), limit }, signal),
  });

export const taskQuery = (id: string) =>
  queryOptions({
    queryKey: ["task", id],
    queryFn: ({ signal }) => get<TaskView>(taskPath(id), {}, signal),
  });

export const attemptsQuery = (id: string) =>
  queryOptions({
    queryKey: ["task", id, "attempts"],
    queryFn: ({ signal }) => get<PageOf<AttemptView>>(`${taskPath(id)}/attempts`, {}, signal),
  });

export const stepsQuery = (id: string) =>
  queryOptions({
    queryKey: ["task", id, "steps"],
    queryFn: ({ signal }) => get<PageOf<StepView>>(`${taskPath(id)}/steps`, {}, signal),
  });

export const childrenQuery = (id: string) =>
  queryOptions({
    queryKey: ["task", id, "children"],
    queryFn: ({ signal }) => get<PageOf<TaskView>>(`${taskPath(id)}/children`, { limit: 200 }, signal),
  });

export const controlQuery = (id: string) =>
  queryOptions({
    queryKey: ["task", id, "control"],
    queryFn: ({ signal }) => get<ControlState>(`${taskPath(id)}/control-state`, {}, signal),
  });

export const receiptQuery = (id: string) =>
  queryOptions({
    queryKey: ["task", id, "receipt"],
    queryFn: ({ signal }) => get<ReceiptView>(`${taskPath(id)}/receipt`, {}, signal),
  });

export const exportText = (id: string) => text(`${taskPath(id)}/export`);

export const inboxQuery = queryOptions({
  queryKey: ["inbox"],
  queryFn: ({ signal }) => get<PageOf<InboxItem>>("/api/v1/inbox", { limit: 200 }, signal),
});

/** How many there are on all pages, as far as it is known. */
export const totalOf = (page: PageOf<unknown> | undefined) => page?.total ?? page?.items.length ?? 0;

export const statsQuery = queryOptions({
  queryKey: ["stats"],
  queryFn: ({ signal }) => get<StatsView>("/api/v1/stats", {}, signal),
});

export const workersQuery = queryOptions({
  queryKey: ["workers"],
  queryFn: ({ signal }) => get<PageOf<WorkerView>>("/api/v1/workers", {}, signal),
  refetchInterval: 5000,
});

export const queuesQuery = queryOptions({
  queryKey: ["queues"],
  queryFn: ({ signal }) => get<PageOf<QueueView>>("/api/v1/queues", {}, signal),
  refetchInterval: 5000,
});

export const kindsQuery = queryOptions({
  queryKey: ["kinds"],
  queryFn: ({ signal }) => get<PageOf<KindView>>("/api/v1/kinds", {}, signal),
});

export const deadLettersQuery = infiniteQueryOptions({
  queryKey: ["tasks", "dead-letters"],
  queryFn: ({ pageParam, signal }) =>
    get<PageOf<TaskView>>("/api/v1/dead-letters", { limit: PAGE, cursor: pageParam }, signal),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});

/** A server that is not well answers 503, and says what is wrong. */
async function health(signal: AbortSignal): Promise<HealthView> {
  const response = await ask(address("/health"), { signal }, [503]);
  const view = (await response
    .clone()
    .json()
    .catch(() => undefined)) as Partial<HealthView> | undefined;
  // A proxy answers 503 as well.
  if (!view?.checks) throw new ApiError(await readProblem(response));
  return view as HealthView;
}

export const healthQuery = queryOptions({
  queryKey: ["health"],
  queryFn: ({ signal }) => health(signal),
  refetchInterval: 5000,
  retry: false,
});
