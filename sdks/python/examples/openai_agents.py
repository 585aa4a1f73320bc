"""An agent of the OpenAI Agents SDK, made durable: a model and tools that are wrapped, and nothing else.

    pip install openai-agents
    python examples/openai_agents.py 5

The model here follows a script. Give `DurableModel` a real one (`OpenAIResponsesModel(…)`): nothing else changes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, FunctionTool, ModelResponse, RunConfig, Runner, Usage, function_tool
from agents.models.interface import Model
from agents.tool_context import ToolContext
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from pydantic import TypeAdapter

from everloop import run, step, task

RESPONSE: TypeAdapter[ModelResponse] = TypeAdapter(ModelResponse)


class DurableModel(Model):
    """A model each of whose turns is a step: the answer is recorded, and the conversation stands there by its digest."""

    def __init__(self, model: Model) -> None:
        self.model = model

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        async def ask(conversation: str) -> Any:
            response = await self.model.get_response(system_instructions, input, *args, **kwargs)
            return RESPONSE.dump_python(response, mode="json")

        text = json.dumps([system_instructions, input], sort_keys=True, default=str)
        conversation = hashlib.sha256(text.encode()).hexdigest()
        return RESPONSE.validate_python(await step("model", ask, conversation, retries=2))

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError("a stream can't be replayed: use get_response, and tokens as frames")


def durable(tool: FunctionTool) -> FunctionTool:
    """A tool each of whose calls is a step. Calls of one turn run at once, so each is named by its own id."""

    async def invoke(context: ToolContext[Any], arguments: str) -> Any:
        async def call(arguments: str) -> Any:
            return await tool.on_invoke_tool(context, arguments)

        return await step(tool.name, call, arguments, key=context.tool_call_id)

    return dataclasses.replace(tool, on_invoke_tool=invoke)


class Scripted(Model):
    """Stands for a model: calls the tool as often as it shall, twice at once at first, then answers."""

    def __init__(self, turns: int) -> None:
        self.turns = turns

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        outputs = [item for item in input if item.get("type") == "function_call_output"]
        output: list[Any] = []
        if not outputs:
            output = [_call(n) for n in (0, 1)]
        elif len(outputs) <= self.turns:
            output = [_call(len(outputs))]
        else:
            text = ResponseOutputText(type="output_text", text=f"the last was {outputs[-1]['output']}", annotations=[])
            output = [
                ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[text])
            ]
        return ModelResponse(output=output, usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def _call(n: int) -> ResponseFunctionToolCall:
    arguments = json.dumps({"a": n, "b": 1})
    return ResponseFunctionToolCall(type="function_call", name="add", call_id=f"call-{n}", arguments=arguments)


@function_tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@task
async def assistant(prompt: str, turns: int) -> str:
    agent = Agent(name="adder", instructions="Add.", tools=[durable(add)], model=DurableModel(Scripted(turns)))
    config = RunConfig(tracing_disabled=True)
    result = await Runner.run(agent, prompt, max_turns=turns + 5, run_config=config)
    return str(result.final_output)


if __name__ == "__main__":
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(run(assistant, "count", turns, key=f"assistant-{turns}"))
