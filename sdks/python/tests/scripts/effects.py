"""A script with effects, to be killed: each effect leaves the key of its step in a file."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import everloop
from everloop import aio, run, step, task

EFFECTS = sys.argv[1]


def leave(line: str) -> None:
    with open(EFFECTS, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


@step
def effect(n: int) -> int:
    leave(everloop.step_key())
    time.sleep(0.01)
    return n


@step
async def effect_async(n: int) -> int:
    return effect(n)


@task
def plain(n: int) -> int:
    total = sum(effect(i) for i in range(n))
    everloop.sleep(0.05)
    return total + sum(everloop.map(effect, range(n), concurrency=4))


@task
async def coroutine(n: int) -> int:
    total = 0
    for i in range(n):
        total += await effect_async(i)
    await aio.sleep(0.05)
    return total + sum(await aio.map(effect_async, range(n), concurrency=4))


if __name__ == "__main__":
    kind: Any = {"plain": plain, "coroutine": coroutine}[sys.argv[2]]
    print("result", run(kind, int(sys.argv[3]), key="work"))
