import { Monitor, Moon, Sun } from "lucide-react";
import { Button } from "@/parts/button";
import { usePreferences, type Theme } from "@/state/preferences";

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const ICONS = { system: Monitor, light: Sun, dark: Moon };

/** Goes from one theme to the next. */
export function ThemeButton() {
  const { theme, set } = usePreferences();
  const Icon = ICONS[theme];
  const label = `Theme: ${theme}. Change to ${NEXT[theme]}`;
  return (
    <Button
      look="quiet"
      size="iconSmall"
      aria-label={label}
      title={label}
      onClick={() => set({ theme: NEXT[theme] })}
    >
      <Icon />
    </Button>
  );
}
