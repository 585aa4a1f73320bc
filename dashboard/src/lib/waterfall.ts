import type { AttemptView, StepView, TaskView } from "@/api/types";

/** A line of the waterfall, with when it began and ended in milliseconds. */
export type Line = { from: number; to: number; isOpen: boolean } & (
  | { is: "attempt"; attempt: AttemptView; replayed: number; ran: number }
  | { is: "step"; step: StepView }
  | { is: "child"; task: TaskView }
);

/** The time axis, in milliseconds. */
export interface Span {
  from: number;
  to: number;
}

const ms = (at: string | null | undefined, otherwise: number) => (at ? Date.parse(at) : otherwise);

/** The whole life of a task. */
export function life(task: TaskView, now: number): Span {
  const from = Date.parse(task.created_at);
  return { from, to: Math.max(from + 1, ms(task.finished_at, now)) };
}

/** Every line, in order: each attempt, what it ran, and the children that began in it. */
export function lines(attempts: AttemptView[], steps: StepView[], children: TaskView[], now: number): Line[] {
  const out: Line[] = [];
  const rest = [...children].sort((a, b) => a.created_at.localeCompare(b.created_at));
  const byAttempt = new Map<number, StepView[]>();
  for (const step of steps) {
    const number = step.attempt ?? attemptAt(attempts, step);
    const list = byAttempt.get(number);
    if (list) list.push(step);
    else byAttempt.set(number, [step]);
  }
  let recorded = 0;
  for (const attempt of attempts) {
    const own = byAttempt.get(attempt.attempt) ?? [];
    const from = Date.parse(attempt.started_at);
    const to = ms(attempt.ended_at, now);
    const ran = own.filter(isRecorded).length;
    out.push({ is: "attempt", attempt, replayed: recorded, ran, from, to, isOpen: !attempt.ended_at });
    recorded += ran;
    for (const step of own) {
      const began = ms(step.started_at, from);
      const isOpen = !step.ended_at && !attempt.ended_at;
      out.push({ is: "step", step, from: began, to: Math.max(began, ms(step.ended_at, to)), isOpen });
    }
    while (rest[0] && (Date.parse(rest[0].created_at) <= to || attempt === attempts.at(-1))) {
      const [task] = rest.splice(0, 1);
      if (task) out.push(child(task, now));
    }
  }
  out.push(...rest.map((task) => child(task, now)));
  return out;
}

function child(task: TaskView, now: number): Line {
  const { from, to } = life(task, now);
  return { is: "child", task, from, to, isOpen: !task.finished_at };
}

const isRecorded = (step: StepView) => step.status === "completed" || step.status === "failed";

/** The attempt in which an event was written that does not name it. */
function attemptAt(attempts: AttemptView[], step: StepView): number {
  const later = attempts.filter((attempt) => attempt.first_seq <= step.seq);
  return later.at(-1)?.attempt ?? attempts[0]?.attempt ?? 0;
}

/** Where a line lies on the axis, in percent; never too thin to see. */
export function place(line: Span, axis: Span): { left: number; width: number } | undefined {
  const length = Math.max(1, axis.to - axis.from);
  if (line.to < axis.from || line.from > axis.to) return undefined;
  const left = (Math.max(line.from, axis.from) - axis.from) / length;
  const right = (Math.min(line.to, axis.to) - axis.from) / length;
  return { left: left * 100, width: Math.max(0.15, (right - left) * 100) };
}

/** Round numbers on the axis: where, and how long after its beginning. */
export function ticks(axis: Span, most: number): { at: number; ms: number }[] {
  const length = Math.max(1, axis.to - axis.from);
  const rough = length / most;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const minute = [1, 2, 5, 10, 15, 30, 60, 120, 300, 720, 1440].map((n) => n * 60_000);
  const second = [1, 2, 5, 10].map((n) => n * power);
  const step = (rough > 30_000 ? minute : second).find((one) => one >= rough) ?? rough;
  const out = [];
  for (let t = 0; t <= length * 0.985; t += step) out.push({ at: (t / length) * 100, ms: t });
  return out;
}
