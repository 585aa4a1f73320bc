"""A tool-calling agent as a plain loop. Each turn of the model and each tool is a step; the conversation is kept by reference.

    python examples/agent.py 5

The model here follows a script. Put a real one in place of `scripted`: nothing else changes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import everloop
from everloop import History, run, step, task

Message = dict[str, Any]


def scripted(messages: Sequence[Message], turns: int) -> Message:
    """Stands for a model: asks for a sum as often as it shall, then answers with the last one."""
    asked = sum(1 for message in messages if message["role"] == "assistant")
    if asked < turns:
        return {"role": "assistant", "tool": "add", "arguments": {"a": asked, "b": 1}}
    return {"role": "assistant", "content": f"the last sum was {messages[-1]['content']}"}


def add(a: int, b: int) -> int:
    return a + b


TOOLS = {"add": add}


@step(retries=2)
def think(history: History, turns: int) -> Message:
    """One turn of the model. What is recorded is the answer; what a replay is held against is the digest of the history."""
    return scripted(history, turns)


@step
def use(tool: str, arguments: dict[str, Any]) -> Message:
    return {"role": "tool", "content": TOOLS[tool](**arguments)}


@task
def agent(prompt: str, turns: int) -> str:
    history = History([{"role": "user", "content": prompt}])
    while True:
        message = think(history, turns)
        history.append(message)
        if "tool" not in message:
            return str(message["content"])
        everloop.progress(len(history) // 2, turns)
        history.append(use(message["tool"], message["arguments"]))


if __name__ == "__main__":
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(run(agent, "count", turns, key=f"agent-{turns}"))
