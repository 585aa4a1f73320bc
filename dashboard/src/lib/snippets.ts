import type { TaskView } from "@/api/types";

/** The same task again, in the words of each way to ask for it. */
export interface Snippet {
  name: string;
  text: string;
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** How to submit a task like this one. A key is left out: with it one would only get the same task. */
export function startSnippets(
  {
    kind,
    input,
    queue,
    title,
    labels,
    policy,
  }: Pick<TaskView, "kind" | "input" | "queue" | "title" | "labels" | "policy">,
  server: string,
): Snippet[] {
  const body = {
    kind,
    ...(input === undefined ? {} : { input }),
    ...(queue === "default" ? {} : { queue }),
    ...(title ? { title } : {}),
    ...(labels && Object.keys(labels).length > 0 ? { labels } : {}),
    ...(policy && Object.keys(policy).length > 0 ? { policy } : {}),
  };
  const flags = [
    input === undefined ? "" : ` --input ${quoted(JSON.stringify(input))}`,
    queue === "default" ? "" : ` --queue ${quoted(queue)}`,
    title ? ` --title ${quoted(title)}` : "",
    policy?.priority ? ` --priority ${policy.priority}` : "",
    ...(policy?.profile?.hosts ?? []).map((host) => ` --allow-host ${quoted(host)}`),
    ...Object.entries(labels ?? {}).map(([name, value]) => ` --label ${quoted(`${name}=${value}`)}`),
  ];
  const json = JSON.stringify(body, null, 2);
  return [
    {
      name: "curl",
      text: `curl -s '${server}/api/v1/tasks' -H 'content-type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`,
    },
    { name: "CLI", text: `everloop task start ${kind}${flags.join("")} --follow` },
    {
      name: "TypeScript",
      text: `import { Client } from "everloop";\n\nconst client = new Client({ url: ${JSON.stringify(server)} });\nconst task = await client.submit(${json});`,
    },
    {
      name: "Python",
      text: `from everloop import Client\n\nclient = Client(${JSON.stringify(server)})\ntask = client.submit_request(${python(body)})`,
    },
  ];
}

/** A value as Python writes it. */
export function python(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    const members = Object.entries(value as Record<string, unknown>);
    return `{${members.map(([name, one]) => `${JSON.stringify(name)}: ${python(one)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}
