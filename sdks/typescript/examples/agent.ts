// A tool-calling agent. The conversation is rebuilt from what the steps gave: each step records its own message and nothing of
// those before it, so the history grows with the turns, and not with their square.
import { run, step, task } from "everloop";
import { effect } from "./effect.js";
import { type Message, scriptedModel } from "./model.js";

const tools: Record<string, (argument: number) => Promise<string>> = {
  lookup: async (n) => `fact ${n} is ${n * n}`,
};

const agent = task("agent", async (question: string, turns: number) => {
  const messages: Message[] = [{ role: "user", content: question }];
  for (;;) {
    const reply = await step.run("model", async () => {
      await effect(`model ${messages.length}`);
      return scriptedModel(messages, turns);
    });
    messages.push(reply);
    const call = reply.role === "assistant" ? reply.call : undefined;
    if (!call) return reply.content;
    const content = await step.run(call.tool, async () => {
      await effect(`${call.tool} ${call.argument}`);
      return (await tools[call.tool]?.(call.argument)) ?? `there is no tool ${call.tool}`;
    });
    messages.push({ role: "tool", content });
  }
});

const turns = Number(process.argv[2] ?? 10);
console.log(await run(agent, ["What do you know?", turns], { key: `agent-${turns}` }));
