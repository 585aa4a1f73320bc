"""A host, as the Python SDK of MCP makes one: it starts a task that needs an approval, or comes back for one.

    host.py begin TARGET MODE     starts the task, says its handle, and waits for it until it is killed
    host.py return TARGET MODE    finds the task, answers what it asks, and says what it gave
    host.py forms TARGET MODE     the same, with the answer given by a person whom the host asks

TARGET is the URL of `/mcp`, or the program that speaks on standard input and output. MODE is `auto` or `legacy`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from typing import Any

from mcp import types
from mcp.client import Client, ClientRequestContext
from mcp.client.stdio import StdioServerParameters

KEY = "trip-" + os.environ.get("TRIP", "1")


def target(text: str) -> str | StdioServerParameters:
    """Where the server is."""
    if text.startswith("http"):
        return text
    command, *arguments = shlex.split(text)
    return StdioServerParameters(command=command, args=arguments, env=dict(os.environ))


async def tool(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    """Calls a tool; the SDK holds what it gives to the tool's output schema."""
    result = await client.call_tool(name, arguments)
    if result.is_error:
        raise SystemExit(f"{name} refused: {result.content}")
    assert isinstance(result.structured_content, dict), result
    return result.structured_content


async def person(_: ClientRequestContext, asked: types.ElicitRequestParams) -> types.ElicitResult:
    """Somebody who always agrees."""
    assert isinstance(asked, types.ElicitRequestFormParams), asked
    assert asked.message.startswith("Fly to Rome?"), asked
    assert asked.requested_schema["properties"]["decision"]["enum"] == ["yes", "no"], asked
    return types.ElicitResult(action="accept", content={"decision": "yes"})


async def begin(client: Client) -> None:
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert {"start_task", "wait_task", "send_input", "list_tasks"} <= tools, tools
    started = await tool(client, "start_task", kind="trip", input="Rome", key=KEY, policy={"retry": {"max_tries": 1}})
    print(started["task_id"], flush=True)
    while True:
        await tool(client, "wait_task", task_id=started["task_id"])
        await asyncio.sleep(0.2)


async def come_back(client: Client) -> None:
    listed = await tool(client, "list_tasks", kinds=["trip"], states=["queued", "running", "waiting"])
    (found,) = [task for task in listed["tasks"] if task["key"] == KEY]
    handle = found["task_id"]
    view = await tool(client, "wait_task", task_id=handle)
    while not view.get("questions"):
        view = await tool(client, "wait_task", task_id=handle)
    (question,) = view["questions"]
    assert question["choices"] == ["yes", "no"] and question["prompt"] == "Fly to Rome?", question
    await tool(client, "send_input", task_id=handle, decision={"id": question["id"], "decision": "yes"})
    await end(client, handle)


async def forms(client: Client) -> None:
    started = await tool(client, "start_task", kind="trip", input="Rome", key=KEY + "-form")
    await end(client, started["task_id"])


async def end(client: Client, handle: str) -> None:
    view = await tool(client, "wait_task", task_id=handle)
    while view["state"] not in ("completed", "failed", "cancelled"):
        view = await tool(client, "wait_task", task_id=handle)
    receipt = await tool(client, "get_task_receipt", task_id=handle)
    assert receipt["claims"]["task"] == handle, receipt
    read = await client.read_resource(f"everloop://tasks/{handle}/result")
    content = read.contents[0]
    assert isinstance(content, types.TextResourceContents) and json.loads(content.text)["result"] == view["result"]
    print(json.dumps({"task": handle, "result": view["result"], "revision": client.protocol_version}), flush=True)


async def main() -> None:
    act, where, mode = sys.argv[1:]
    callback = person if act == "forms" else None
    async with Client(target(where), mode=mode, elicitation_callback=callback) as client:
        await {"begin": begin, "return": come_back, "forms": forms}[act](client)


asyncio.run(main())
