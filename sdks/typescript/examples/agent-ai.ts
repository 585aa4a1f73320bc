// An agent on the AI SDK, made durable: each call of the model and each call of a tool is a step.
import { generateText, type LanguageModelMiddleware, stepCountIs, tool, wrapLanguageModel } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { run, step, task } from "everloop";
import { z } from "zod";
import { effect } from "./effect.js";

/** Records what the model gives, and nothing of what it was asked: that follows from what is recorded before. */
const durable: LanguageModelMiddleware = {
  specificationVersion: "v3",
  wrapGenerate: ({ doGenerate }) =>
    step.run("model", async () => {
      const { content, finishReason, usage, warnings } = await doGenerate();
      return { content, finishReason, usage, warnings };
    }),
};

const scripted = new MockLanguageModelV3({
  doGenerate: async ({ prompt }) => {
    const done = prompt.filter((message) => message.role === "tool").length;
    await effect(`model ${done}`);
    const usage = {
      inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: 5, text: 5, reasoning: 0 },
    };
    if (done === 3) {
      const content = [{ type: "text" as const, text: "It is 3 o'clock in three cities." }];
      return { content, finishReason: { unified: "stop" as const, raw: "stop" }, usage, warnings: [] };
    }
    const input = JSON.stringify({ city: ["Oslo", "Rome", "Bern"][done] });
    const call = { type: "tool-call" as const, toolCallId: `call-${done}`, toolName: "clock", input };
    const finishReason = { unified: "tool-calls" as const, raw: "tool_use" };
    return { content: [call], finishReason, usage, warnings: [] };
  },
});

const model = wrapLanguageModel({ model: scripted, middleware: durable });

const timeIn = step("clock", async (city: string) => {
  await effect(`clock ${city}`);
  return `3 o'clock in ${city}`;
});

const clock = tool({
  description: "The time in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => timeIn(city),
});

const agent = task("agent.ai", async (prompt: string) => {
  const { text, steps } = await generateText({ model, prompt, tools: { clock }, stopWhen: stepCountIs(10) });
  return { text, turns: steps.length };
});

console.log(await run(agent, ["What time is it?"], { key: "agent-ai-1" }));
