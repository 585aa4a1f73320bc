"""For `async def` functions: what waits. Everything that doesn't wait is the same as in plain functions.

from everloop import aio, step, task

@task
async def nightly(cities: list[str]) -> list[str]:
    await aio.sleep(3600)
    return await aio.map(forecast, cities)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar, overload

from . import branches, children, waits
from .branch import outside_of_steps
from .children import Child
from .errors import TimedOut
from .task import Task
from .waits import Decision

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741

__all__ = ["Child", "Decision", "ask", "call", "map", "parallel", "race", "sleep", "start", "timeout", "wait_for_input"]


async def sleep(seconds: float, name: str = "sleep") -> None:
    """Waits for a time to pass, across restarts. A wait of a year costs nothing but a row."""
    await waits.sleep(outside_of_steps("sleep"), name, seconds, is_async=True)


async def wait_for_input(name: str) -> Any:
    """Takes the next input of a name, waiting for it as long as it takes."""
    return await waits.wait_for_input(outside_of_steps("wait_for_input"), name, is_async=True)


async def ask(name: str, prompt: str, choices: Sequence[str] = ("approve", "reject"), details: Any = None) -> Decision:
    """Asks a person, and waits for the answer."""
    return await waits.ask(outside_of_steps("ask"), name, prompt, choices, details, is_async=True)


async def parallel(
    *works: Callable[[], Awaitable[T]], name: str | None = None, concurrency: int | None = None
) -> list[T]:
    """Runs all of them at once, each in a scope of its own: their results in this order. The first failure wins."""
    branch = outside_of_steps("parallel")
    return await branches.parallel(branch, list(works), name, concurrency, is_async=True)


async def map(
    work: Callable[[I], Awaitable[T]],
    items: Iterable[I],
    *,
    key: Callable[[I], str] | None = None,
    name: str | None = None,
    concurrency: int | None = None,
) -> list[T]:
    """Runs it for every item at once, each in a scope of its own, named by its number or by `key`: the results in order."""
    branch = outside_of_steps("map")
    return await branches.map_over(branch, work, list(items), key, name, concurrency, is_async=True)


async def race(*works: Callable[[], Awaitable[T]], name: str = "race") -> tuple[int, T]:
    """Runs all of them until one has ended: its number and its result. That is recorded before anybody sees it."""
    return await branches.race(outside_of_steps("race"), list(works), name, is_async=True)


async def timeout(seconds: float, work: Callable[[], Awaitable[T]], *, name: str = "timeout") -> T:
    """Runs it for so long at most; raises `TimedOut`."""

    async def limit() -> Any:
        await sleep(seconds, "limit")

    value: T
    winner, value = await race(work, limit, name=name)
    if winner == 1:
        raise TimedOut(f"{name}: nothing within {seconds} s", code="timed_out")
    return value


@overload
async def start(
    task: Task[..., Coroutine[Any, Any, T]], /, *args: Any, request: dict[str, Any] | None = None, **kwargs: Any
) -> Child[T]: ...


@overload
async def start(
    task: Task[..., T], /, *args: Any, request: dict[str, Any] | None = None, **kwargs: Any
) -> Child[T]: ...


@overload
async def start(task: str, /, *args: Any, request: dict[str, Any] | None = None) -> Child[Any]: ...


async def start(
    task: Task[..., Any] | str, /, *args: Any, request: dict[str, Any] | None = None, **kwargs: Any
) -> Child[Any]:
    """Starts a task as a child of this one: `await` it for its result. `request` has what else it shall have."""
    return await children.start(outside_of_steps("start"), task, args, kwargs, request, is_async=True)


async def call(task: Task[..., Any] | str, /, *args: Any, **kwargs: Any) -> Any:
    """Starts a child and waits for its result."""
    return await (await start(task, *args, **kwargs))
