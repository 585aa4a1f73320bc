"""What is called inside of a task's function and never waits: the same in plain and in async functions."""

from __future__ import annotations

import datetime
import random as _random
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from .attempt import CANCEL, ONLY, STOPS, TIMEOUT, moment, now_text
from .branch import Branch, current, entered, inside, outside_of_steps
from .canonical import intent as intent_of
from .codec import plain
from .errors import ContinuedAs, Validation
from .journal import VERSION
from .journaled import look
from .task import Task

#: The kind of the record of what would be different in every attempt.
VALUE = "value"
_EVENT = re.compile(r"[a-z0-9_.]{1,64}")
_NOTHING = intent_of(None)
#: Progress is written at most so often, in seconds; what comes faster reaches live followers only.
_PROGRESS_EVERY = 0.1


@dataclass(frozen=True)
class TaskInfo:
    """The task that the caller runs in."""

    id: str
    kind: str
    key: str | None
    #: The number of the attempt, from 1.
    attempt: int
    #: Tries that failed before.
    tries: int
    labels: dict[str, str]
    metadata: Any


def current_task() -> TaskInfo:
    """Which task this is."""
    attempt = current("current_task").attempt
    spec = attempt.spec
    return TaskInfo(
        attempt.task,
        spec["kind"],
        spec.get("key"),
        attempt.number,
        attempt.tries,
        dict(spec.get("labels") or {}),
        spec.get("metadata"),
    )


def step_key() -> str:
    """Within a step: the idempotency key to show to whatever the step calls. The same on every try and attempt."""
    step = inside()
    if step is None:
        raise Validation("step_key is for the inside of a step", code="invalid_request")
    return step.branch.idempotency_key(step.key)


def _value(name: str, make: Any) -> Any:
    branch = outside_of_steps(name)
    attempt = branch.attempt
    branch.settle()
    key = branch.next_key(name)
    attempt.boundary(branch)
    recorded = look(branch, key, VALUE, _NOTHING)
    if recorded is not None and recorded.is_done:
        return recorded.result
    branch.stand_before(key)
    value = make()
    attempt.completed(key, VALUE, _NOTHING, value, now_text())
    branch.stand_behind(key)
    return value


def now() -> datetime.datetime:
    """The time, in UTC: taken once and recorded, the same in every replay."""
    return moment(_value("now", now_text))


def random() -> float:
    """A number from 0 to 1: drawn once and recorded."""
    return float(_value("random", _random.SystemRandom().random))


def new_id() -> str:
    """A new UUID: made once and recorded."""
    return str(_value("id", lambda: str(uuid.uuid4())))


def version(name: str, lowest: int, highest: int) -> int:
    """Which version of the code goes on from here: a gate.

    `highest` where a task comes by for the first time, whatever it was then on every later attempt, and `lowest` where it had
    gone on from here before there was a gate.
    """
    branch = outside_of_steps("version")
    attempt = branch.attempt
    branch.settle()
    key = f"{branch.path}/{name}#{VERSION}" if branch.path else f"{name}#{VERSION}"
    with attempt.lock:
        branch.check_needed()
        try:
            decided = attempt.journal.version(key, lowest, highest)
        except BaseException as stop:
            raise branch.stop(stop) from None  # type: ignore[arg-type]
        if decided is not None:
            return decided
        decided = lowest if attempt.journal.has_ahead(branch.path) else highest
        attempt.journal.versions[key] = decided
    attempt.completed(key, VERSION, _NOTHING, decided, now_text())
    branch.stand_behind(key)
    return decided


def _speaks(branch: Branch) -> bool:
    """Whether this was not said by an earlier attempt already."""
    return branch.attempt.replay != ONLY and not branch.replays() and not branch.is_abandoned


def progress(done: int | None = None, total: int | None = None, note: str | None = None) -> None:
    """Says how far the task has got."""
    branch = current("progress")
    if not _speaks(branch):
        return
    attempt = branch.attempt
    said = {"done": done, "total": total, "note": note}
    data = {name: value for name, value in said.items() if value is not None}
    moment_now = time.monotonic()
    is_end = total is not None and done == total
    with attempt.lock:
        is_written = is_end or moment_now - attempt.progress_at >= _PROGRESS_EVERY
        if is_written:
            attempt.progress_at = moment_now
    if is_written:
        attempt.push("task.progress", data)
    else:
        attempt.core.frames.send(attempt, "progress", data)


def log(text: str, level: Literal["debug", "info", "warn", "error"] = "info") -> None:
    """Writes a line into the task's log."""
    branch = current("log")
    if not _speaks(branch):
        return
    data = text.encode(errors="replace")
    while True:
        chunk = data[:16384].decode(errors="ignore")
        branch.attempt.push("log", {"level": level, "offset": 0, "source": "task", "text": chunk})
        data = data[len(chunk.encode()) :]
        if not data:
            return


def event(name: str, data: Any = None) -> None:
    """Writes an event of your own: `custom.<name>`, the name of lower-case letters, digits, _ and ."""
    branch = current("event")
    if not _EVENT.fullmatch(name):
        text = f"{name!r} can't name an event: lower-case letters, digits, _ and . only, at most 64"
        raise Validation(text, code="invalid_request")
    if _speaks(branch):
        branch.attempt.push(f"custom.{name}", plain(data, "data"))


def frame(kind: str, data: Any) -> None:
    """Shows something to live followers. It is not stored, and may be lost."""
    branch = current("frame")
    if _speaks(branch):
        branch.attempt.core.frames.send(branch.attempt, kind, plain(data, "data"))


def token(text: str) -> None:
    """Shows a token of a model to live followers."""
    frame("token", text)


def cancelled() -> bool:
    """Whether the task was told to end. A long step looks at it now and then."""
    return current("cancelled").attempt.control in STOPS


def wait_cancelled(timeout: float | None = None) -> bool:
    """Waits until the task is told to end, or the time is up: whether it was told. For plain functions."""
    attempt = current("wait_cancelled").attempt
    with attempt.lock:
        return attempt.control_changed.wait_for(lambda: attempt.control in STOPS, timeout=timeout)


@contextmanager
def cleanup() -> Iterator[None]:
    """Steps in it run although the task was cancelled, or took too long, within its grace.

    Put it where the cancellation comes by: `except Cancelled: with cleanup(): …; raise`, or in a `finally`.
    """
    branch = outside_of_steps("cleanup")
    before, branch.cleans_up = branch.cleans_up, branch.attempt.control in (CANCEL, TIMEOUT)
    try:
        yield
    finally:
        branch.cleans_up = before


@contextmanager
def scope(name: str) -> Iterator[None]:
    """A scope of its own for a helper: steps in it count by themselves, whatever stands around it."""
    branch = outside_of_steps("scope")
    branch.settle()
    key = branch.next_key(name)
    child = branch.child(key)
    with entered(child):
        try:
            yield
        finally:
            branch.held += child.held
            if child.stopped is not None:
                branch.stop(child.stopped)


def continue_as(task: Task[..., Any], *args: Any, **kwargs: Any) -> NoReturn:
    """Ends the task, and lets a new one of its kind go on with these arguments: a long one keeps its history short."""
    branch = outside_of_steps("continue_as")
    value = task.input(*args, **kwargs)
    branch.attempt.boundary(branch)
    raise branch.stop(ContinuedAs(value))
