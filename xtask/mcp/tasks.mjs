// The TypeScript client of the Tasks extension: it follows a task that another client started, starts one of its own, and one in
// the older form of the protocol.
//
//     node tasks.mjs URL HANDLE

import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createTaskSessionFromClient, resultFromTaskOutcome } from "@modelcontextprotocol/ext-tasks/client";

const [url, handle] = process.argv.slice(2);
const revision = "2026-07-28";
const clientInfo = { name: "everloop-test", version: "1" };
const extensions = { "io.modelcontextprotocol/tasks": {} };
const clientCapabilities = { elicitation: {}, extensions };
let asked = 0;

/** What the SDK's own wire can't carry: a request of the extension, framed by the package, sent as it is. */
let number = 0;
async function rawDispatch(request) {
  const { name, uri, taskId } = request.params ?? {};
  const about = name ?? uri ?? taskId;
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "mcp-protocol-version": revision,
      "mcp-method": request.method,
      ...(about === undefined ? {} : { "mcp-name": about }),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: ++number, ...request }),
  });
  const message = await answer.json();
  return message.error ? { kind: "error", error: message.error } : { kind: "result", result: message.result };
}

/** Somebody who always agrees. */
async function onInputRequest(request) {
  assert.equal(request.kind, "elicitation");
  assert.match(request.params.message, /^Fly to Rome\?/);
  asked += 1;
  return { action: "accept", content: { decision: "yes" } };
}

async function connected(mode) {
  const capabilities = mode === "legacy" ? { tasks: {} } : { elicitation: {}, extensions };
  const client = new Client(clientInfo, { capabilities, versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

const modern = await connected({ pin: revision });
const session = createTaskSessionFromClient(modern, {
  endpointId: "everloop",
  rawDispatch,
  v2RequestFraming: { protocolVersion: revision, clientInfo, clientCapabilities },
  onInputRequest,
});
const reference = { endpointId: "everloop", generation: "v2", taskId: handle, originalOperation: "tools/call" };
const found = await session.resumeTask(reference);
const { outcome } = await found.settle();
assert.equal(resultFromTaskOutcome(outcome).structuredContent.result, "yes: a flight to Rome");
console.log(`${handle}: followed to its end by the TypeScript client`);

const own = await session.callTool("start_task", { kind: "trip", input: "Rome" });
assert.equal(own.kind, "task");
const states = [];
const settled = await own.settle({ onEvent: (event) => void (event.task && states.push(event.task.status)) });
assert.equal(resultFromTaskOutcome(settled.outcome).structuredContent.result, "yes: a flight to Rome");
assert.equal(asked, 2, `asked ${asked} times, through ${states}`);

const held = await session.callTool("start_task", { kind: "mock", input: { wait_for_input: "never" } });
await held.cancel();
assert.equal((await held.result()).status, "cancelled");
await session.close();
await modern.close();

const older = await connected("legacy");
const olderSession = createTaskSessionFromClient(older, { endpointId: "everloop" });
const call = { kind: "mock", input: { steps: [{ name: "a", duration_ms: 100 }], result: 7 } };
const done = await olderSession.callTool("start_task", call, { task: { preference: "require" } });
assert.equal(done.kind, "task");
assert.equal(resultFromTaskOutcome((await done.settle()).outcome).structuredContent.result, 7);
const listed = await olderSession.listTasks();
assert.ok(listed.tasks.some((task) => task.taskId === done.handle.taskId));
await olderSession.close();
await older.close();
console.log("a task of its own, one that it cancelled, and one in the older form: done");
