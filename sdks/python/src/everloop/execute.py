"""One attempt: run to its end, and the end written."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from typing import Any

from .attempt import CANCEL, LOST, RUN, STOPS, TIMEOUT, Attempt
from .branch import Branch, entered
from .codec import NotJson, plain
from .errors import (
    Cancelled,
    ContinuedAs,
    EverloopError,
    HandedBack,
    LeaseLost,
    Paused,
    Suspended,
    TookTooLong,
    Validation,
    to_wire,
)
from .journal import mismatch
from .journaled import resolve
from .task import Task

log = logging.getLogger("everloop")

#: What is told of a traceback, in characters.
_TRACE = 4000

End = tuple[str, dict[str, Any]]


def timed_out(attempt: Attempt) -> dict[str, Any]:
    """The error of an attempt that ran too long."""
    limit = attempt.policy.get("timeout_ms")
    text = f"attempt {attempt.number} ran longer than {limit} ms"
    return {"class": "cancelled", "code": "timeout", "message": text}


def _call_of(attempt: Attempt, task: Task[..., Any] | None) -> tuple[Task[..., Any], tuple[Any, ...], dict[str, Any]]:
    if task is None:
        kind = attempt.spec["kind"]
        raise Validation(
            f"this worker does not run kind {kind!r} in version {attempt.kind_version}", code="unknown_kind"
        )
    value = attempt.core.ask(attempt, lambda: resolve(attempt, attempt.spec.get("input")))
    try:
        args, kwargs = task.arguments.call(value)
    except Validation:
        raise
    except Exception as error:
        raise Validation(f"input: {error}", code="invalid_request") from error
    return task, args, kwargs


def execute(attempt: Attempt, task: Task[..., Any] | None, ended: Callable[[], None]) -> None:
    """Runs an attempt of a function that is not async."""
    branch = Branch(attempt, "", None, is_async=False)
    attempt.root = branch
    result: Any = None
    raised: BaseException | None = None
    try:
        found, args, kwargs = _call_of(attempt, task)
        with entered(branch):
            result = found.function(*args, **kwargs)
    except BaseException as error:
        raised = error
    try:
        _end(attempt, branch, result, raised)
    finally:
        ended()


async def execute_async(attempt: Attempt, task: Task[..., Any], ended: Callable[[], None]) -> None:
    """The same for an async function."""
    branch = Branch(attempt, "", None, is_async=True)
    attempt.root = branch
    loop = asyncio.get_running_loop()

    async def work() -> Any:
        found, args, kwargs = await loop.run_in_executor(attempt.core.executor, _call_of, attempt, task)
        with attempt.lock:
            attempt.main = asyncio.current_task()
            is_told = attempt.control in STOPS
        if is_told and attempt.main is not None:
            # It hears of it where it first waits, so that it can clean up.
            attempt.main.cancel()
        with entered(branch):
            return await found.function(*args, **kwargs)

    result: Any = None
    raised: BaseException | None = None
    main = asyncio.ensure_future(work())
    try:
        await asyncio.wait([main])
        result = main.result()
    except BaseException as error:
        raised = error
    try:
        await loop.run_in_executor(attempt.core.executor, _end, attempt, branch, result, raised)
    finally:
        ended()


def _end(attempt: Attempt, branch: Branch, result: Any, raised: BaseException | None) -> None:
    try:
        act, end = _ending(attempt, branch, result, raised)
    except LeaseLost:
        attempt.is_over = True
        return
    attempt.end(act, end)


def _ending(attempt: Attempt, branch: Branch, result: Any, raised: BaseException | None) -> End:
    if attempt.control == LOST:
        raise LeaseLost()
    if branch.stopped is not None:
        # Whoever caught what can't be caught has not made it undone.
        raised = branch.stopped
    if raised is None:
        branch.settle()
        left = attempt.journal.unreached()
        if left is None:
            try:
                return "finish", {"result": attempt.aside(plain(result, "result"))}
            except NotJson as error:
                return "fail", {"error": to_wire(error)}
        text = f"the code came to its end without recorded step {left}"
        raised = mismatch(text, left, "recorded", "not reached")
    if attempt.control == TIMEOUT or isinstance(raised, TookTooLong):
        branch.settle()
        return "fail", {"error": timed_out(attempt)}
    if isinstance(raised, LeaseLost):
        raise raised
    if isinstance(raised, Suspended):
        branch.settle()
        return "suspend", {"for": raised.wait}
    if isinstance(raised, Paused):
        if raised.reason.get("reason") == "requested" and attempt.control == RUN:
            # Resumed before it stood still: another attempt goes on at once.
            return "release", {}
        return "suspend", {"paused": raised.reason}
    if isinstance(raised, ContinuedAs):
        branch.settle()
        return "finish", {"continue_as": raised.value}
    if isinstance(raised, HandedBack):
        return "release", {}
    is_retried = not isinstance(raised, EverloopError) or raised.is_retried
    if attempt.control == CANCEL and (isinstance(raised, asyncio.CancelledError) or is_retried):
        return "finish", {"cancelled": True}
    if isinstance(raised, (Cancelled, asyncio.CancelledError)):
        gone = {"class": "cancelled", "code": "cancelled", "message": "the function gave up by itself"}
        return "fail", {"error": gone}
    return "fail", {"error": _failure(attempt, branch, raised)}


def _failure(attempt: Attempt, branch: Branch, raised: BaseException) -> dict[str, Any]:
    """A failure that nobody has caught: the step that it comes from is tried again with the next try of the task."""
    held, branch.held = branch.held, []
    for one in held:
        one.write(one.error is not raised)
    error = to_wire(raised)
    trace = "".join(traceback.format_exception(raised))[-_TRACE:]
    attempt.push("log", {"level": "error", "offset": 0, "source": "traceback", "text": trace})
    try:
        return dict(plain(error))
    except NotJson:
        error["details"] = repr(error.get("details"))
        return error
