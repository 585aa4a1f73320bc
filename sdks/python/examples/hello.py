"""A durable task in one file: kill it wherever you like, start it again, and it goes on.

python examples/hello.py
"""

from __future__ import annotations

import time

from everloop import run, step, task


@step(retries=3)
def greet(name: str) -> str:
    time.sleep(0.1)
    return f"Hello, {name}!"


@task
def hello(names: list[str]) -> list[str]:
    return [greet(name) for name in names]


if __name__ == "__main__":
    for line in run(hello, ["Ada", "Grace", "Barbara"], key="hello-1"):
        print(line)
