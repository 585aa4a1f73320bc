import { useQuery } from "@tanstack/react-query";
import { ArrowDownWideNarrow, ArrowUpNarrowWide, Columns3, ListFilter, Search, X } from "lucide-react";
import { useEffect, useState } from "react";
import { kindsQuery, LIVE, queuesQuery, STATES, type TaskFilter } from "@/api/queries";
import type { State } from "@/api/types";
import { cn } from "@/lib/cn";
import { Button } from "@/parts/button";
import { Input, Select } from "@/parts/form";
import { Menu, MenuItem } from "@/parts/menu";

const QUICK: { name: string; states: State[] | undefined }[] = [
  { name: "All", states: undefined },
  { name: "Live", states: LIVE },
  { name: "Running", states: ["running"] },
  { name: "Waiting", states: ["waiting", "paused"] },
  { name: "Failed", states: ["failed"] },
  { name: "Completed", states: ["completed"] },
];

/** Conditions that are seldom wanted. */
const MORE = [
  { name: "priority", label: "Priority", hint: "10" },
  { name: "label", label: "Label", hint: "team:search" },
  { name: "key_prefix", label: "Key begins with", hint: "nightly-" },
  { name: "parent", label: "Children of", hint: "task_…" },
  { name: "session", label: "Session", hint: "ses_…" },
] as const;

interface Props {
  filter: TaskFilter;
  onChange: (filter: TaskFilter) => void;
  columns: { id: string; name: string; isShown: boolean; toggle: () => void }[];
}

/** What the list shows. All of it stands in the address. */
export function Filters({ filter, onChange, columns }: Props) {
  const kinds = useQuery(kindsQuery).data?.items ?? [];
  const queues = useQuery(queuesQuery).data?.items ?? [];
  const isMoreUsed = MORE.some(({ name }) => filter[name] !== undefined);
  const [isMore, setMore] = useState(isMoreUsed);
  const put = (name: keyof TaskFilter, value: string | number | State[] | undefined) => {
    const { [name]: _, ...rest } = filter;
    const isNone = value === undefined || (typeof value !== "number" && value.length === 0);
    onChange(isNone ? rest : { ...rest, [name]: value });
  };
  const putText = (name: (typeof MORE)[number]["name"], text: string) => {
    const value = name === "priority" && text !== "" ? Number.parseInt(text, 10) : text;
    if (!Number.isNaN(value) && value !== (filter[name] ?? "")) put(name, value);
  };
  const quick = QUICK.find(({ states }) => states?.join() === filter.state?.join());
  return (
    <div className="flex flex-col gap-2.5">
      <div className="flex flex-wrap items-center gap-2">
        <SearchBox key={filter.q ?? ""} text={filter.q ?? ""} onChange={(text) => put("q", text)} />
        <div
          role="group"
          aria-label="State"
          className="flex max-w-full overflow-x-auto rounded-md border bg-card p-0.5"
        >
          {QUICK.map((one) => (
            <button
              key={one.name}
              type="button"
              aria-pressed={quick === one}
              onClick={() => put("state", one.states)}
              className={cn(
                "h-6.5 rounded px-2.5 text-[12.5px] text-soft hover:text-ink",
                quick === one && "bg-accent-soft font-medium text-accent-text hover:text-accent-text",
              )}
            >
              {one.name}
            </button>
          ))}
        </div>
        <Select
          aria-label="Kind"
          className="w-32"
          value={filter.kind ?? ""}
          onChange={(event) => put("kind", event.target.value)}
        >
          <option value="">Any kind</option>
          {[...new Set([...kinds.map(({ name }) => name), ...(filter.kind ? [filter.kind] : [])])].map(
            (name) => (
              <option key={name}>{name}</option>
            ),
          )}
        </Select>
        <Select
          aria-label="Queue"
          className="w-32"
          value={filter.queue ?? ""}
          onChange={(event) => put("queue", event.target.value)}
        >
          <option value="">Any queue</option>
          {[...new Set([...queues.map(({ name }) => name), ...(filter.queue ? [filter.queue] : [])])].map(
            (name) => (
              <option key={name}>{name}</option>
            ),
          )}
        </Select>
        <Button aria-expanded={isMore} onClick={() => setMore(!isMore)}>
          <ListFilter /> More
        </Button>
        <span className="flex-1" />
        <Button
          size="icon"
          aria-label={
            filter.order === "oldest"
              ? "Oldest first; show the newest first"
              : "Newest first; show the oldest first"
          }
          title={filter.order === "oldest" ? "Oldest first" : "Newest first"}
          onClick={() => put("order", filter.order === "oldest" ? undefined : "oldest")}
        >
          {filter.order === "oldest" ? <ArrowUpNarrowWide /> : <ArrowDownWideNarrow />}
        </Button>
        <Menu
          trigger={
            <Button size="icon" aria-label="Columns" title="Columns">
              <Columns3 />
            </Button>
          }
        >
          {columns.map((column) => (
            <MenuItem key={column.id} onSelect={column.toggle}>
              <span aria-hidden className="w-4 text-accent-text">
                {column.isShown ? "✓" : ""}
              </span>
              {column.name}
              <span className="sr-only">{column.isShown ? "is shown" : "is hidden"}</span>
            </MenuItem>
          ))}
        </Menu>
      </div>
      {isMore && (
        <div className="flex flex-wrap items-end gap-3">
          <div className="flex flex-col gap-1">
            <span aria-hidden className="text-[12.5px] text-soft">
              State
            </span>
            <Select
              aria-label="One state"
              className="w-32"
              value={filter.state?.length === 1 ? filter.state[0] : ""}
              onChange={(event) =>
                put(
                  "state",
                  STATES.filter((state) => state === event.target.value),
                )
              }
            >
              <option value="">Any state</option>
              {STATES.map((state) => (
                <option key={state}>{state}</option>
              ))}
            </Select>
          </div>
          {MORE.map(({ name, label, hint }) => (
            <form
              key={`${name} ${filter[name] ?? ""}`}
              className="flex flex-col gap-1"
              onSubmit={(event) => {
                event.preventDefault();
                putText(name, textIn(event.currentTarget, name));
              }}
            >
              <label htmlFor={`filter-${name}`} className="text-[12.5px] text-soft">
                {label}
              </label>
              <Input
                id={`filter-${name}`}
                name={name}
                defaultValue={filter[name] ?? ""}
                placeholder={hint}
                className={name === "priority" ? "tnum w-20" : "w-52"}
                inputMode={name === "priority" ? "numeric" : "text"}
                onBlur={(event) => putText(name, event.target.value.trim())}
              />
            </form>
          ))}
          {isMoreUsed && (
            <Button
              look="quiet"
              onClick={() => {
                const { priority: _i, label: _l, key_prefix: _k, parent: _p, session: _s, ...rest } = filter;
                onChange(rest);
              }}
            >
              <X /> Clear these
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

/** What stands in a field of a form. */
function textIn(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === "string" ? value.trim() : "";
}

function SearchBox({ text, onChange }: { text: string; onChange: (text: string | undefined) => void }) {
  const [draft, setDraft] = useState(text);
  useEffect(() => {
    if (draft.trim() === text) return;
    const timer = setTimeout(() => onChange(draft.trim() || undefined), 300);
    return () => clearTimeout(timer);
  }, [draft, text, onChange]);
  return (
    <div className="relative min-w-44 flex-1 sm:max-w-64">
      <Search aria-hidden className="absolute top-2 left-2.5 size-4 text-faint" />
      <Input
        type="search"
        data-search
        aria-label="Search tasks"
        placeholder="Search title, key, description…"
        className="pl-8"
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
      />
    </div>
  );
}
