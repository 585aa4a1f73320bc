import type { HealthView, QueueView, StatsView } from "@/api/types";
import { plural } from "./format";

/** Something that was looked at. */
export interface Check {
  name: string;
  is: "good" | "warn" | "bad";
  /** What was found. */
  found: string;
  /** What the check is about. */
  about: string;
  /** What to do, where something is to be done. */
  remedy?: string;
}

const KNOWN: Record<string, { about: string; remedy: string }> = {
  database: {
    about: "Whether it can be read.",
    remedy: "Is it running, and can this server reach it? The server's log says more. It goes on by itself.",
  },
  pipeline: {
    about: "Whether what is asked is written down.",
    remedy: "Is the disk full, or the database away? The server's log says more. It goes on by itself.",
  },
};

/** What the server says of itself, and what its figures say. */
export function checks(
  health: HealthView,
  stats: StatsView | undefined,
  queues: QueueView[] | undefined,
): Check[] {
  const own = Object.entries(health.checks).map(([name, word]): Check => {
    const known = KNOWN[name] ?? { about: "A part of the server.", remedy: "The server's log says more." };
    if (word === "ok") return { name, is: "good", found: "ok", about: known.about };
    return { name, is: "bad", found: word, ...known };
  });
  if (health.status === "stopping") {
    own.push({ name: "server", is: "bad", found: "is stopping", about: "Whether it takes requests." });
  }
  return [...own, ...(stats ? [workers(stats)] : []), ...(queues ? [served(queues)] : [])];
}

function workers(stats: StatsView): Check {
  const about = "Whether somebody does the work.";
  if (stats.workers > 0) {
    return { name: "workers", is: "good", found: `${plural(stats.workers, "worker")} online`, about };
  }
  const remedy =
    "Start one: a worker of an SDK, or `everloop worker`. Tasks wait in their queues until then.";
  return { name: "workers", is: "warn", found: "nobody is online", about, remedy };
}

function served(queues: QueueView[]): Check {
  const name = "queues";
  const about = "Whether each queue in which tasks wait is served.";
  const waiting = queues.filter((queue) => queue.queued > 0);
  const names = (of: QueueView[]) => of.map((queue) => queue.name).join(", ");
  const alone = waiting.filter((queue) => queue.workers === 0);
  if (alone.length > 0) {
    const remedy = `No worker serves ${names(alone)}. Start one that does, or let one serve it, too.`;
    const tasks = alone.reduce((sum, queue) => sum + queue.queued, 0);
    return { name, is: "warn", found: `${plural(tasks, "task")} with nobody to come`, about, remedy };
  }
  const still = waiting.filter((queue) => queue.paused);
  if (still.length > 0) {
    return {
      name,
      is: "warn",
      found: `${names(still)} paused`,
      about,
      remedy: "Resume them on the page Queues.",
    };
  }
  return { name, is: "good", found: "ok", about };
}
