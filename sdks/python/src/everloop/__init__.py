"""Everloop: durable tasks in plain Python.

    from everloop import run, step, task

    @step(retries=3)
    def fetch(url: str) -> str: ...

    @task
    def digest(urls: list[str]) -> dict[str, int]:
        return {url: len(fetch(url)) for url in urls}

    print(run(digest, ["https://example.org"], key="digest-1"))

What is recorded is not done twice: docs/python.md says what runs again and what does not.
"""

from . import aio
from ._version import VERSION as __version__
from .blocking import ask, call, map, parallel, race, sleep, start, timeout, wait_for_input
from .children import Child
from .client import AsyncClient, Client, verify_file
from .errors import (
    Auth,
    Budget,
    Cancelled,
    EverloopError,
    Internal,
    Mismatch,
    Quota,
    Stopped,
    TimedOut,
    Transient,
    Unreachable,
    Validation,
)
from .follow import Item
from .history import History
from .journaled import NOT_HAPPENED, UNKNOWN, Happened
from .primitives import (
    TaskInfo,
    cancelled,
    cleanup,
    continue_as,
    current_task,
    event,
    frame,
    log,
    new_id,
    now,
    progress,
    random,
    scope,
    step_key,
    token,
    version,
    wait_cancelled,
)
from .runner import run, shutdown
from .step import step
from .task import Policy, Retry, Task, task
from .waits import Decision
from .worker import Worker

__all__ = [
    "NOT_HAPPENED",
    "UNKNOWN",
    "AsyncClient",
    "Auth",
    "Budget",
    "Cancelled",
    "Child",
    "Client",
    "Decision",
    "EverloopError",
    "Happened",
    "History",
    "Internal",
    "Item",
    "Mismatch",
    "Policy",
    "Quota",
    "Retry",
    "Stopped",
    "Task",
    "TaskInfo",
    "TimedOut",
    "Transient",
    "Unreachable",
    "Validation",
    "Worker",
    "__version__",
    "aio",
    "ask",
    "call",
    "cancelled",
    "cleanup",
    "continue_as",
    "current_task",
    "event",
    "frame",
    "log",
    "map",
    "new_id",
    "now",
    "parallel",
    "progress",
    "race",
    "random",
    "run",
    "scope",
    "shutdown",
    "sleep",
    "start",
    "step",
    "step_key",
    "task",
    "timeout",
    "token",
    "verify_file",
    "version",
    "wait_cancelled",
    "wait_for_input",
]
