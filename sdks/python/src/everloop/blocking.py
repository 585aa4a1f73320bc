"""For plain functions: what waits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar, overload

from . import branches, children, waits
from .branch import Branch, drive, outside_of_steps, sync_only
from .children import Child
from .errors import TimedOut
from .task import Task
from .waits import Decision

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741


def _here(what: str) -> Branch:
    branch = outside_of_steps(what)
    sync_only(branch, what)
    return branch


def sleep(seconds: float, name: str = "sleep") -> None:
    """Waits for a time to pass, across restarts. A wait of a year costs nothing but a row."""
    drive(waits.sleep(_here("sleep"), name, seconds, is_async=False))


def wait_for_input(name: str) -> Any:
    """Takes the next input of a name, waiting for it as long as it takes."""
    return drive(waits.wait_for_input(_here("wait_for_input"), name, is_async=False))


def ask(name: str, prompt: str, choices: Sequence[str] = ("approve", "reject"), details: Any = None) -> Decision:
    """Asks a person, and waits for the answer."""
    return drive(waits.ask(_here("ask"), name, prompt, choices, details, is_async=False))


def parallel(*works: Callable[[], T], name: str | None = None, concurrency: int | None = None) -> list[T]:
    """Runs all of them at once, each in a scope of its own: their results in this order. The first failure wins."""
    return drive(branches.parallel(_here("parallel"), list(works), name, concurrency, is_async=False))


def map(
    work: Callable[[I], T],
    items: Iterable[I],
    *,
    key: Callable[[I], str] | None = None,
    name: str | None = None,
    concurrency: int | None = None,
) -> list[T]:
    """Runs it for every item at once, each in a scope of its own, named by its number or by `key`: the results in order."""
    return drive(branches.map_over(_here("map"), work, list(items), key, name, concurrency, is_async=False))


def race(*works: Callable[[], T], name: str = "race") -> tuple[int, T]:
    """Runs all of them until one has ended: its number and its result. That is recorded before anybody sees it."""
    return drive(branches.race(_here("race"), list(works), name, is_async=False))


def timeout(seconds: float, work: Callable[[], T], *, name: str = "timeout") -> T:
    """Runs it for so long at most; raises `TimedOut`."""

    def limit() -> Any:
        sleep(seconds, "limit")

    value: T
    winner, value = race(work, limit, name=name)
    if winner == 1:
        raise TimedOut(f"{name}: nothing within {seconds} s", code="timed_out")
    return value


@overload
def start(
    task: Task[..., Coroutine[Any, Any, T]], /, *args: Any, request: dict[str, Any] | None = None, **kwargs: Any
) -> Child[T]: ...


@overload
def start(task: Task[..., T], /, *args: Any, request: dict[str, Any] | None = None, **kwargs: Any) -> Child[T]: ...


@overload
def start(task: str, /, *args: Any, request: dict[str, Any] | None = None) -> Child[Any]: ...


def start(
    task: Task[..., Any] | str, /, *args: Any, request: dict[str, Any] | None = None, **kwargs: Any
) -> Child[Any]:
    """Starts a task as a child of this one: `.result()` waits for it. `request` has what else it shall have."""
    return drive(children.start(_here("start"), task, args, kwargs, request, is_async=False))


def call(task: Task[..., Any] | str, /, *args: Any, **kwargs: Any) -> Any:
    """Starts a child and waits for its result."""
    return start(task, *args, **kwargs).result()
