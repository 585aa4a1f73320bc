import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { CircleAlert, Keyboard, ListFilter, SunMoon, type LucideIcon } from "lucide-react";
import { useState, type ReactNode } from "react";
import { someTasksQuery } from "@/api/queries";
import { shortId } from "@/lib/format";
import { Dialog } from "@/parts/dialog";
import { StateBadge } from "@/parts/state";
import { usePreferences } from "@/state/preferences";
import { PLACES } from "./nav";
import { useShell } from "./shortcuts";

function Item({
  icon: Icon,
  value,
  children,
  onSelect,
  hint,
}: {
  icon?: LucideIcon;
  value: string;
  children: ReactNode;
  onSelect: () => void;
  hint?: string;
}) {
  return (
    <Command.Item
      value={value}
      onSelect={onSelect}
      className="flex h-9 cursor-pointer items-center gap-2.5 rounded-md px-2.5 data-[selected=true]:bg-accent-soft"
    >
      {Icon && <Icon aria-hidden className="size-4 shrink-0 text-faint" />}
      <span className="flex min-w-0 flex-1 items-center gap-2.5 truncate">{children}</span>
      {hint && <kbd className="font-sans text-[11.5px] text-soft">{hint}</kbd>}
    </Command.Item>
  );
}

/** Finds pages, tasks and acts by a few letters. */
export function Palette() {
  const { overlay, close, open } = useShell();
  const isOpen = overlay === "palette";
  return (
    <Dialog open={isOpen} onOpenChange={(now) => !now && close()} title="Find or do" bare>
      {isOpen && <Finder close={close} showShortcuts={() => open("shortcuts")} />}
    </Dialog>
  );
}

const GROUP =
  "p-1.5 [&_[cmdk-group-heading]]:px-2.5 [&_[cmdk-group-heading]]:py-1 [&_[cmdk-group-heading]]:text-[11.5px] [&_[cmdk-group-heading]]:text-faint";

function Finder({ close, showShortcuts }: { close: () => void; showShortcuts: () => void }) {
  const [text, setText] = useState("");
  const navigate = useNavigate();
  const words = text.trim();
  const found = useQuery({
    ...someTasksQuery(words ? { q: words } : {}, 6),
    placeholderData: (before) => before,
  });
  const go = (act: () => void) => () => {
    close();
    act();
  };
  const { set } = usePreferences.getState();
  const isId = /^task_[0-9a-z]{26}$/.test(words);
  return (
    <Command label="Find or do" loop className="flex min-h-0 flex-col">
      <Command.Input
        autoFocus
        value={text}
        onValueChange={setText}
        placeholder="A page, a task, an id, something to do…"
        className="h-12 w-full border-b bg-transparent px-4 text-[15px] outline-none placeholder:text-faint"
      />
      <Command.List className="min-h-0 overflow-y-auto pb-1.5">
        <Command.Empty className="p-6 text-center text-soft">Nothing is called that.</Command.Empty>
        <Command.Group heading="Go to" className={GROUP}>
          {PLACES.flatMap(({ places }) => places).map(({ to, name, icon, key }) => (
            <Item
              key={to}
              icon={icon}
              value={`go ${name}`}
              hint={`g ${key}`}
              onSelect={go(() => void navigate({ to }))}
            >
              {name}
            </Item>
          ))}
        </Command.Group>
        <Command.Group heading="Tasks" className={GROUP}>
          {isId && (
            <Item
              value={words}
              onSelect={go(() => void navigate({ to: "/tasks/$id", params: { id: words } }))}
            >
              Open {words}
            </Item>
          )}
          {(found.data?.items ?? []).map((task) => (
            <Item
              key={task.id}
              value={`${found.isPlaceholderData ? "" : words} ${task.title ?? ""} ${task.key ?? ""} ${task.kind} ${task.id}`}
              onSelect={go(() => void navigate({ to: "/tasks/$id", params: { id: task.id } }))}
            >
              <StateBadge state={task.state} />
              <span className="truncate">{task.title ?? task.key ?? task.kind}</span>
              <span className="ml-auto font-mono text-[12px] text-soft">{shortId(task.id)}</span>
            </Item>
          ))}
        </Command.Group>
        <Command.Group heading="Do" className={GROUP}>
          <Item
            icon={CircleAlert}
            value="show failed tasks"
            onSelect={go(() => void navigate({ to: "/tasks", search: { state: ["failed"] } }))}
          >
            Show failed tasks
          </Item>
          <Item
            icon={ListFilter}
            value="show running tasks"
            onSelect={go(() => void navigate({ to: "/tasks", search: { state: ["running"] } }))}
          >
            Show running tasks
          </Item>
          {(["light", "dark", "system"] as const).map((theme) => (
            <Item key={theme} icon={SunMoon} value={`theme ${theme}`} onSelect={go(() => set({ theme }))}>
              Theme: {theme}
            </Item>
          ))}
          <Item icon={Keyboard} value="shortcuts keys help" hint="?" onSelect={showShortcuts}>
            Shortcuts
          </Item>
        </Command.Group>
      </Command.List>
    </Command>
  );
}
