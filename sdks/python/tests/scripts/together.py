"""A script that runs one task, for tests with several scripts on one folder."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import everloop
from everloop import run, step, task


@step
def turn(n: int) -> int:
    time.sleep(0.02)
    return n


@task(name="together")
def together(count: int) -> int:
    return sum(turn(n) for n in range(count))


@task(name="gate")
def gate(folder: str) -> str:
    step("here", lambda: (Path(folder) / "here").touch() or "here")
    while not (Path(folder) / "go").exists():
        step("look", lambda: time.sleep(0.05))
    return "passed"


@task(name="changing")
def changing(value: str) -> str:
    result = step("s", lambda _: "first", sys.argv[2])
    everloop.sleep(2.1)
    return f"{result} {value}"


@task(name="failing", policy={"retry": {"max_tries": 1}})
def failing(folder: str) -> str:
    step("good", lambda: (Path(folder) / f"good-{time.time_ns()}").touch())

    def bad() -> str:
        if not (Path(folder) / "mended").exists():
            raise LookupError("not mended")
        return "mended"

    return step("bad", bad)


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "together":
        print(run(together, int(arguments[0]), key=arguments[1]))
    elif what == "gate":
        print(run(gate, arguments[0], key="gate"))
    elif what == "changing":
        print(run(changing, "value", key="changing"))
    elif what == "failing":
        try:
            print(run(failing, arguments[0], key="failing", retry_failed=len(arguments) > 1))
        except LookupError as error:
            print(type(error).__name__, error)
