"""`python -m everloop worker module:function …`: a worker from the command line. Everything else is for the program `everloop`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from typing import Any

from . import _script
from .errors import EverloopError
from .task import Task, registered
from .worker import Worker


def _tasks(names: list[str]) -> list[Task[..., Any]]:
    sys.path.insert(0, os.getcwd())
    chosen: list[Task[..., Any]] = []
    for name in names:
        module_name, _, function = name.partition(":")
        before = set(registered())
        module = importlib.import_module(module_name)
        if not function:
            chosen += [task for task in registered() if task not in before]
            continue
        found = getattr(module, function, None)
        if not isinstance(found, Task):
            raise EverloopError(f"{name} is no function with @task", code="invalid_request")
        chosen.append(found)
    return chosen


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] not in ("worker", "-h", "--help"):
        return _script.main(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m everloop",
        description="Everloop for Python. Whatever is not `worker` is for the program: `python -m everloop dev`.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker", help="run tasks for the server at EVERLOOP_URL")
    worker.add_argument("task", nargs="+", help="module:function, or a module for all of its functions with @task")
    worker.add_argument("--concurrency", type=int, default=16, help="tasks at the same time (16)")
    worker.add_argument(
        "--queue", action="append", help="a queue to take from; several in the order given (high, default, low)"
    )
    worker.add_argument("--name", help="a name for people (host and process)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        tasks = _tasks(given.task)
        Worker(tasks, concurrency=given.concurrency, queues=given.queue, name=given.name).serve()
    except EverloopError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
