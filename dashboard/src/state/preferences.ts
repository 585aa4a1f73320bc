import { create } from "zustand";
import { persist } from "zustand/middleware";

export type Theme = "light" | "dark" | "system";
export type Density = "comfortable" | "compact";

interface Preferences {
  theme: Theme;
  density: Density;
  /** An IANA zone, or `local`. */
  zone: string;
  set: (change: Partial<Omit<Preferences, "set">>) => void;
}

/** What somebody chose for this browser. */
export const usePreferences = create<Preferences>()(
  persist(
    (set) => ({
      theme: "system",
      density: "comfortable",
      zone: "local",
      set: (change) => set(change),
    }),
    { name: "everloop.preferences" },
  ),
);

/** The zone that times are shown in. */
export function zoneOf(choice: string): string {
  return choice === "local" ? Intl.DateTimeFormat().resolvedOptions().timeZone : choice;
}

/** Sets theme and density on the page, and again whenever they change. */
export function applyPreferences(): () => void {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const { theme, density } = usePreferences.getState();
    const isDark = theme === "dark" || (theme === "system" && dark.matches);
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    document.documentElement.dataset.density = density;
  };
  apply();
  dark.addEventListener("change", apply);
  const stop = usePreferences.subscribe(apply);
  return () => {
    dark.removeEventListener("change", apply);
    stop();
  };
}
