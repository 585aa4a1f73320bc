// A model that follows a script: it looks up some facts, one at a time, and then answers.

/** A message of a conversation. */
export type Message =
  | { role: "user"; content: string }
  | { role: "assistant"; content: string; call?: { tool: string; argument: number } }
  | { role: "tool"; content: string };

/** Answers as a function of the conversation alone, as a model would. */
export function scriptedModel(messages: readonly Message[], turns: number): Message {
  const done = messages.filter((message) => message.role === "tool").length;
  if (done < turns)
    return { role: "assistant", content: `I look up ${done}.`, call: { tool: "lookup", argument: done } };
  return { role: "assistant", content: `I know ${done} facts; the last one is: ${messages.at(-1)?.content}` };
}
