import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { create } from "zustand";
import { usePreferences } from "@/state/preferences";
import { PLACES } from "./nav";

type Overlay = "palette" | "shortcuts";

interface ShellState {
  overlay: Overlay | undefined;
  open: (overlay: Overlay) => void;
  close: () => void;
}

/** What lies over the page. */
export const useShell = create<ShellState>()((set) => ({
  overlay: undefined,
  open: (overlay) => set({ overlay }),
  close: () => set({ overlay: undefined }),
}));

/** Every shortcut, for the list of them. Those of a page work on that page. */
export const SHORTCUTS: { name: string; keys: [string, string][] }[] = [
  {
    name: "Everywhere",
    keys: [
      ["Ctrl K", "find or do something"],
      ["?", "this list"],
      ["/", "search on this page"],
      ["g …", "go to a page, by the letters of the list on the right"],
      ["Shift D", "light or dark"],
    ],
  },
  {
    name: "Lists",
    keys: [
      ["j k", "next and previous line"],
      ["Enter", "open it"],
      ["x", "choose it"],
      ["f", "failed ones only"],
    ],
  },
  {
    name: "Pages",
    keys: PLACES.flatMap(({ places }) =>
      places.map(({ key, name }) => [`g ${key}`, name] as [string, string]),
    ),
  },
];

/** Whether somebody is writing, so that letters are letters. */
export function isWriting(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}

/** The shortcuts that work everywhere. */
export function useShortcuts(): void {
  const navigate = useNavigate();
  useEffect(() => {
    let went = -Infinity;
    const onKey = (event: KeyboardEvent) => {
      const { open, overlay } = useShell.getState();
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        open("palette");
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target) || overlay) return;
      if (document.querySelector('[role="dialog"]')) return;
      if (event.timeStamp - went < 1200) {
        went = -Infinity;
        const place = PLACES.flatMap((group) => group.places).find(({ key }) => key === event.key);
        if (place) {
          event.preventDefault();
          event.stopImmediatePropagation();
          void navigate({ to: place.to });
        }
        return;
      }
      if (event.key === "g") went = event.timeStamp;
      else if (event.key === "?") open("shortcuts");
      else if (event.key === "/") {
        const search = document.querySelector<HTMLElement>("[data-search]");
        if (search) {
          event.preventDefault();
          search.focus();
        }
      } else if (event.key === "D") {
        const isDark = document.documentElement.dataset.theme === "dark";
        usePreferences.getState().set({ theme: isDark ? "light" : "dark" });
      }
    };
    window.addEventListener("keydown", onKey, true);
    return () => window.removeEventListener("keydown", onKey, true);
  }, [navigate]);
}
