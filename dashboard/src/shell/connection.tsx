import { CloudOff } from "lucide-react";
import { useLive } from "@/api/live";
import { cn } from "@/lib/cn";
import { rate } from "@/lib/format";
import { duration } from "@/lib/time";
import { useNow } from "@/parts/time";

/** How it stands with the server, in the corner. */
export function ConnectionLine() {
  const { connection, about, rate: perSecond } = useLive();
  const word = { connecting: "Connecting", live: "Live", lost: "Server is gone" }[connection];
  return (
    <p className="flex min-w-0 flex-1 items-center gap-2 text-[12px] text-soft" role="status">
      <span
        aria-hidden
        className={cn(
          "size-2 shrink-0 rounded-full",
          connection === "live" ? "bg-good" : connection === "lost" ? "breathe bg-bad" : "breathe bg-warn",
        )}
      />
      <span className="truncate" data-testid="connection" data-connection={connection}>
        {word}
        {connection === "live" && about ? ` · ${about.version}` : ""}
        {perSecond > 0 && <span className="tnum"> · {rate(perSecond)}/s</span>}
      </span>
    </p>
  );
}

/** Said over every page while the server is gone. What was read before stays there. */
export function LostBanner() {
  const { connection, lostSince } = useLive();
  const now = useNow();
  if (connection !== "lost" || lostSince === undefined) return null;
  return (
    <div
      role="alert"
      className="flex items-center gap-2.5 border-b bg-warn-soft px-4 py-2 text-[13px] text-warn md:px-6"
    >
      <CloudOff aria-hidden className="size-4 shrink-0" />
      <p className="tnum">
        The server cannot be reached
        {now - lostSince > 2000 ? `, for ${duration(now - lostSince)}` : ""}. What you see is as it was then;
        this page goes on by itself.
      </p>
    </div>
  );
}
