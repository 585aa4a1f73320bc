import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type ErrorComponentProps,
} from "@tanstack/react-router";
import type { State } from "./api/types";
import { STATES, type TaskFilter } from "./api/queries";
import { Failure, Skeleton } from "./parts/page";
import { NotFound } from "./pages/not-found";
import { Shell } from "./shell/shell";

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : undefined;

/** What stands in the address of the list; what is not understood is left out. */
export function taskSearch(search: Record<string, unknown>): TaskFilter {
  const states = [search.state].flat().filter((one): one is State => STATES.includes(one as State));
  const out: TaskFilter = {};
  if (states.length > 0) out.state = states;
  for (const name of ["kind", "queue", "label", "parent", "session", "key_prefix", "q"] as const) {
    const value = text(search[name]);
    if (value !== undefined) out[name] = value;
  }
  const priority = Number(search.priority ?? NaN);
  if (Number.isInteger(priority)) out.priority = priority;
  if (search.order === "oldest") out.order = "oldest";
  return out;
}

/** The parts of a task's page. */
export const TABS = ["timeline", "events", "output", "values", "receipt"] as const;
export type Tab = (typeof TABS)[number];

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: Broken,
});

function Broken({ error, reset }: ErrorComponentProps) {
  return <Failure error={error} retry={reset} />;
}

const page = <Path extends string>(path: Path, component: ReturnType<typeof lazyRouteComponent>) =>
  createRoute({ getParentRoute: () => root, path, component });

const tasks = createRoute({
  getParentRoute: () => root,
  path: "/tasks",
  validateSearch: taskSearch,
  component: lazyRouteComponent(() => import("./pages/tasks/tasks"), "TasksPage"),
});

const task = createRoute({
  getParentRoute: () => root,
  path: "/tasks/$id",
  validateSearch: (search: Record<string, unknown>): { tab?: Tab; seq?: number } => ({
    ...(TABS.includes(search.tab as Tab) ? { tab: search.tab as Tab } : {}),
    ...(typeof search.seq === "number" ? { seq: search.seq } : {}),
  }),
  component: lazyRouteComponent(() => import("./pages/task/task"), "TaskPage"),
});

const create = createRoute({
  getParentRoute: () => root,
  path: "/new",
  validateSearch: (search: Record<string, unknown>): { kind?: string; like?: string } => ({
    ...(text(search.kind) ? { kind: text(search.kind) ?? "" } : {}),
    ...(text(search.like) ? { like: text(search.like) ?? "" } : {}),
  }),
  component: lazyRouteComponent(() => import("./pages/new-task"), "NewTaskPage"),
});

const tree = root.addChildren([
  page(
    "/",
    lazyRouteComponent(() => import("./pages/overview"), "OverviewPage"),
  ),
  tasks,
  task,
  create,
  page(
    "/inbox",
    lazyRouteComponent(() => import("./pages/inbox"), "InboxPage"),
  ),
  page(
    "/workers",
    lazyRouteComponent(() => import("./pages/workers"), "WorkersPage"),
  ),
  page(
    "/queues",
    lazyRouteComponent(() => import("./pages/queues"), "QueuesPage"),
  ),
  page(
    "/dead-letters",
    lazyRouteComponent(() => import("./pages/dead-letters"), "DeadLettersPage"),
  ),
  page(
    "/server",
    lazyRouteComponent(() => import("./pages/health"), "HealthPage"),
  ),
  page(
    "/settings",
    lazyRouteComponent(() => import("./pages/settings"), "SettingsPage"),
  ),
]);

/** The router, below whatever path the page lies. */
export function makeRouter() {
  return createRouter({
    routeTree: tree,
    basepath: new URL(document.baseURI).pathname.replace(/\/$/, "") || "/",
    defaultPreload: "intent",
    defaultPendingComponent: () => <Skeleton />,
    defaultPendingMs: 150,
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
