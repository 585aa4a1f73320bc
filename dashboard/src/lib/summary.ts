import type { EventShape } from "@/api/types";

interface Known {
  step?: string;
  result?: unknown;
  error?: { message?: string };
  text?: string;
  source?: string;
  attempt?: number;
  note?: string;
  done?: number;
  total?: number;
}

/** What an event says, in a line: what matters of the types that we know, and the data of others. */
export function summary(event: EventShape): string {
  if (event.data === undefined) return "(its data is gone)";
  const data = (event.data ?? {}) as Known;
  if (event.type === "log" && typeof data.text === "string")
    return `${data.source ?? ""}: ${data.text.trimEnd()}`;
  if (event.type.startsWith("step.") && typeof data.step === "string") {
    if (data.error?.message) return `${data.step}: ${data.error.message}`;
    return data.result == null ? data.step : `${data.step} → ${JSON.stringify(data.result)}`;
  }
  if (event.type === "task.started" && data.attempt !== undefined) return `attempt ${data.attempt}`;
  if (event.type === "task.progress" && data.done !== undefined) {
    return `${data.done}${data.total === undefined ? "" : ` of ${data.total}`}${data.note ? `, ${data.note}` : ""}`;
  }
  if (data.error?.message) return data.error.message;
  return JSON.stringify(event.data);
}
