"""The kinds that the conformance kit asks of every SDK. Reads EVERLOOP_URL and runs until SIGTERM."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from typing import Any

import everloop
from everloop import Validation, Worker, aio, step, task


@task(name="kit.echo")
def echo(value: Any) -> Any:
    return value


@step(name="s")
def square(i: int) -> int:
    return i * i


@task(name="kit.steps")
def steps(input: dict[str, Any]) -> int:
    return sum(square(i) for i in range(input["n"]))


@step(name="a")
def plus_one(x: int) -> int:
    return x + 1


@step(name="b")
def double(y: int) -> int:
    return y * 2


@task(name="kit.two_stage_map")
def two_stage_map(input: dict[str, Any]) -> list[int]:
    return everloop.map(lambda item: double(plus_one(item)), input["items"])


@step(name="slow")
async def slow() -> str:
    await asyncio.sleep(0.3)
    return "slow"


@step(name="fast")
async def fast() -> str:
    await asyncio.sleep(0.01)
    return "fast"


@task(name="kit.race")
async def race(input: dict[str, Any]) -> dict[str, Any]:
    winner, value = await aio.race(slow, fast)
    return {"winner": winner, "value": value}


@step(name="boom")
def boom() -> None:
    raise Validation("no", code="boom")


@task(name="kit.failing_step")
def failing_step(input: Any) -> dict[str, str]:
    try:
        boom()
    except everloop.EverloopError as error:
        return {"caught": error.code}
    return {"caught": "nothing"}


_flaky_tries: dict[str, int] = {}


@step(name="flaky", retries=4, backoff=0.01)
def flaky(fails: int) -> int:
    key = everloop.step_key()
    _flaky_tries[key] = _flaky_tries.get(key, 0) + 1
    if _flaky_tries[key] <= fails:
        raise RuntimeError(f"try {_flaky_tries[key]} fails")
    return _flaky_tries[key]


@task(name="kit.retry_step")
def retry_step(input: dict[str, Any]) -> int:
    return flaky(input["fails"])


@task(name="kit.mismatch")
def mismatch(input: dict[str, Any]) -> Any:
    argument = os.environ.get("KIT_ARG", input.get("arg"))
    result = step("m", lambda arg: arg, argument)
    if input.get("wait"):
        everloop.wait_for_input("go")
    return result


@task(name="kit.wait_input")
def wait_input(input: Any) -> Any:
    return everloop.wait_for_input("go")


@task(name="kit.sleep")
def sleep(input: dict[str, Any]) -> str:
    everloop.sleep(input["ms"] / 1000, "nap")
    return "slept"


@task(name="kit.ask")
def ask(input: Any) -> dict[str, Any]:
    answer = everloop.ask("ok", "ok?", ["yes", "no"])
    return {"decision": answer.decision, "result": answer.result}


@task(name="kit.in_doubt")
def in_doubt(input: dict[str, Any]) -> str:
    def charge() -> str:
        time.sleep(input.get("ms", 0) / 1000)
        return "charged"

    return step("charge", charge, on_unknown=input["on_unknown"])


@step(name="big")
def big(length: int) -> str:
    return "x" * length


@task(name="kit.large")
def large(input: dict[str, Any]) -> int:
    return len(big(input["bytes"]))


@task(name="kit.child")
def child(input: Any) -> Any:
    return everloop.start(echo, "hi").result()


@task(name="kit.version")
def version(input: Any) -> int:
    return everloop.version("gate", 1, 2)


@task(name="kit.progress")
def progress(input: Any) -> None:
    everloop.progress(1, 2)
    everloop.log("hello")
    everloop.event("kit", {"a": 1})
    everloop.token("x")


@step(name="work")
async def work() -> None:
    await asyncio.sleep(60)


@step(name="tidy")
async def tidy() -> str:
    return "tidied"


@task(name="kit.cleanup")
async def cleanup(input: Any) -> None:
    try:
        await work()
    finally:
        with everloop.cleanup():
            await tidy()


@task(name="kit.continue")
def continues(input: dict[str, Any]) -> str:
    if input["n"] > 0:
        everloop.continue_as(continues, {"n": input["n"] - 1})
    return "end"


_begun = itertools.count(1)


@task(name="kit.impure")
def impure(input: Any) -> None:
    step("i", lambda begun: begun, next(_begun))
    step("j", lambda: None)


if __name__ == "__main__":
    Worker(name="kit-python", concurrency=32).serve()
