// The tasks that the conformance kit asks of every SDK. Reads EVERLOOP_URL and works until SIGTERM.
import { setTimeout as pass } from "node:timers/promises";
import {
  ask,
  callChild,
  cleanup,
  continueAs,
  EverloopError,
  emit,
  frame,
  log,
  map,
  progress,
  race,
  type StepOptions,
  signal,
  sleep,
  step,
  stepContext,
  TransientError,
  task,
  ValidationError,
  version,
  Worker,
  waitForInput,
} from "everloop";

const echo = task("kit.echo", async (input: unknown) => input);

task("kit.steps", async ({ n }: { n: number }) => {
  const square = step("s", async (i: number) => i * i);
  let sum = 0;
  for (let i = 0; i < n; i += 1) sum += await square(i);
  return sum;
});

task("kit.two_stage_map", async ({ items }: { items: number[] }) => {
  const a = step("a", async (x: number) => x + 1);
  const b = step("b", async (y: number) => y * 2);
  return await map(items, async (x) => b(await a(x)));
});

task("kit.race", () =>
  race([() => step.run("slow", () => pass(300, "slow")), () => step.run("fast", () => pass(10, "fast"))], {
    name: "race",
  }),
);

task("kit.failing_step", async () => {
  try {
    return await step.run("boom", () => {
      throw new ValidationError("no", { code: "boom" });
    });
  } catch (error) {
    return { caught: error instanceof EverloopError ? error.code : String(error) };
  }
});

task("kit.retry_step", ({ fails }: { fails: number }) =>
  step.run("flaky", { retries: 4, backoffMs: 10 }, () => {
    const { try: tries } = stepContext();
    if (tries <= fails) throw new TransientError(`try ${tries}`, { code: "flaky" });
    return tries;
  }),
);

task("kit.mismatch", async ({ arg, wait }: { arg: unknown; wait?: boolean }) => {
  const m = step("m", async (given: unknown) => given);
  const result = await m(process.env.KIT_ARG ?? arg);
  if (wait) await waitForInput("go");
  return result;
});

task("kit.wait_input", () => waitForInput("go"));

task("kit.sleep", async ({ ms }: { ms: number }) => {
  await sleep("nap", ms);
  return null;
});

task("kit.ask", async () => {
  const { decision, result } = await ask("ok", { prompt: "ok?", choices: ["yes", "no"] });
  return { decision, result: result ?? null };
});

task("kit.in_doubt", (input: { on_unknown: StepOptions["onUnknown"]; ms?: number }) =>
  step.run("charge", input.on_unknown ? { onUnknown: input.on_unknown } : {}, async () => {
    await pass(input.ms ?? 0, undefined, { signal: signal() });
    return "charged";
  }),
);

task("kit.large", async ({ bytes }: { bytes: number }) => {
  const big = await step.run("big", () => "x".repeat(bytes));
  return big.length;
});

task("kit.child", () => callChild(echo, ["hi"]));

task("kit.version", () => version("gate", 1, 2));

task("kit.progress", async () => {
  progress({ done: 1, total: 2 });
  log("hello");
  emit("kit", { a: 1 });
  frame("token", "x");
  return null;
});

task("kit.cleanup", async () => {
  try {
    await step.run("work", () => pass(60_000, undefined, { signal: signal() }));
  } finally {
    await cleanup(() => step.run("tidy", () => null));
  }
});

task("kit.continue", async ({ n }: { n: number }) => {
  if (n > 0) await continueAs({ n: n - 1 });
  return "end";
});

let begun = 0;

task("kit.impure", async () => {
  begun += 1;
  const i = step("i", async (given: number) => given);
  await i(begun);
  await step.run("j", () => null);
  return null;
});

await new Worker({ name: "kit typescript" }).serve();
