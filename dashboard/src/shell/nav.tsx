import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import {
  Activity,
  HeartPulse,
  Inbox,
  Layers,
  ListChecks,
  Plus,
  Server,
  Settings,
  Skull,
  type LucideIcon,
} from "lucide-react";
import { healthQuery, inboxQuery, statsQuery, totalOf } from "@/api/queries";
import { count } from "@/lib/format";

/** A place in the navigation. */
export interface Place {
  to: "/" | "/tasks" | "/inbox" | "/new" | "/workers" | "/queues" | "/dead-letters" | "/server" | "/settings";
  name: string;
  icon: LucideIcon;
  /** Typed after `g`. */
  key: string;
}

export const PLACES: { name: string; places: Place[] }[] = [
  {
    name: "Work",
    places: [
      { to: "/", name: "Overview", icon: Activity, key: "o" },
      { to: "/tasks", name: "Tasks", icon: ListChecks, key: "t" },
      { to: "/inbox", name: "Inbox", icon: Inbox, key: "i" },
      { to: "/dead-letters", name: "Dead letters", icon: Skull, key: "d" },
      { to: "/new", name: "New task", icon: Plus, key: "n" },
    ],
  },
  {
    name: "System",
    places: [
      { to: "/workers", name: "Workers", icon: Server, key: "w" },
      { to: "/queues", name: "Queues", icon: Layers, key: "q" },
      { to: "/server", name: "Health", icon: HeartPulse, key: "h" },
      { to: "/settings", name: "Settings", icon: Settings, key: "s" },
    ],
  },
];

/** Where one can go. */
export function Nav({ onGo }: { onGo?: () => void }) {
  const waiting = totalOf(useQuery(inboxQuery).data);
  const dead = useQuery(statsQuery).data?.dead_letters ?? 0;
  const health = useQuery(healthQuery).data;
  const isIll = health !== undefined && health.status !== "ok";
  const counts: Partial<Record<Place["to"], number>> = { "/inbox": waiting, "/dead-letters": dead };
  return (
    <nav aria-label="Main" className="flex flex-col gap-5 px-3 py-2">
      {PLACES.map((group) => (
        <div key={group.name}>
          <p className="px-2.5 pb-1 text-[11.5px] font-medium text-faint">{group.name}</p>
          <ul className="flex flex-col gap-px">
            {group.places.map(({ to, name, icon: Icon }) => {
              const n = counts[to] ?? 0;
              return (
                <li key={to}>
                  <Link
                    to={to}
                    {...(onGo ? { onClick: onGo } : {})}
                    activeOptions={{ exact: to === "/", includeSearch: false }}
                    className="flex h-8 items-center gap-2.5 rounded-md px-2.5 text-soft hover:bg-sunken hover:text-ink data-[status=active]:bg-accent-soft data-[status=active]:font-medium data-[status=active]:text-accent-text"
                  >
                    <Icon aria-hidden className="size-4 shrink-0" />
                    <span className="flex-1">{name}</span>
                    {to === "/server" && isIll && (
                      <span
                        role="img"
                        aria-label="something is wrong"
                        className="size-2 rounded-full bg-bad"
                      />
                    )}
                    {n > 0 && (
                      <span
                        className={
                          to === "/inbox"
                            ? "tnum rounded-full bg-accent px-1.5 text-[11px] leading-4.5 font-semibold text-accent-ink"
                            : "tnum text-[12px] text-faint"
                        }
                      >
                        {count(n)}
                      </span>
                    )}
                  </Link>
                </li>
              );
            })}
          </ul>
        </div>
      ))}
    </nav>
  );
}
