import type { AttemptStatus, State, StepStatus } from "@/api/types";
import { cn } from "@/lib/cn";

type Word = State | AttemptStatus | StepStatus | "idle" | "busy" | "offline" | "error";
type Tone = "accent" | "good" | "bad" | "warn" | "quiet";

const TONES: Record<Word, Tone> = {
  pending: "quiet",
  queued: "quiet",
  running: "accent",
  started: "accent",
  waiting: "warn",
  pausing: "warn",
  paused: "warn",
  retrying: "warn",
  handed_back: "quiet",
  cancelling: "quiet",
  completed: "good",
  failed: "bad",
  lost: "bad",
  cancelled: "quiet",
  idle: "good",
  busy: "accent",
  offline: "quiet",
  error: "bad",
};

const LOOKS: Record<Tone, string> = {
  accent: "bg-accent-soft text-accent-text",
  good: "bg-good-soft text-good",
  bad: "bg-bad-soft text-bad",
  warn: "bg-warn-soft text-warn",
  quiet: "bg-sunken text-soft",
};

/** The tone of a state; `quiet` for a word that is new. */
export function toneOf(word: string): Tone {
  return word in TONES ? TONES[word as Word] : "quiet";
}

/** A state in a word and a colour. The dot breathes where something is being done. */
export function StateBadge({ state, className }: { state: string; className?: string }) {
  const tone = toneOf(state);
  const isLive = tone === "accent" || state === "pausing" || state === "cancelling";
  return (
    <span
      className={cn(
        "inline-flex h-5.5 items-center gap-1.5 rounded-full px-2 text-[12px] font-medium whitespace-nowrap",
        LOOKS[tone],
        className,
      )}
    >
      <span aria-hidden className={cn("size-1.5 rounded-full bg-current", isLive && "breathe")} />
      {state.replace("_", " ")}
    </span>
  );
}
