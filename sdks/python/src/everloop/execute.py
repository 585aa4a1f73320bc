"""One attempt: run to its end, and the end written."""

from __future__ import annotations

import asyncio
import copy
import logging
import traceback
from collections.abc import Callable
from typing import Any

from .attempt import ALWAYS, CANCEL, LOST, RUN, STOPS, TIMEOUT, Attempt
from .branch import Branch, entered
from .codec import NotJson, plain
from .errors import (
    Cancelled,
    ContinuedAs,
    EverloopError,
    HandedBack,
    LeaseLost,
    Paused,
    Replayed,
    Suspended,
    TookTooLong,
    Validation,
    to_wire,
)
from .journal import leaves, mismatch
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
    if attempt.replay == ALWAYS:
        # The code may change what it is given: the next run is given what was sent.
        value = copy.deepcopy(value)
    try:
        args, kwargs = task.arguments.call(value)
    except Validation:
        raise
    except Exception as error:
        raise Validation(f"input: {error}", code="invalid_request") from error
    return task, args, kwargs


def execute(attempt: Attempt, task: Task[..., Any] | None, ended: Callable[[], None]) -> None:
    """Runs an attempt of a function that is not async."""

    def run(branch: Branch) -> tuple[Any, BaseException | None]:
        try:
            found, args, kwargs = _call_of(attempt, task)
            with entered(branch):
                return found.function(*args, **kwargs), None
        except BaseException as error:
            return None, error

    try:
        while True:
            branch = Branch(attempt, "", None, is_async=False)
            attempt.begin(branch)
            if _end(attempt, branch, *run(branch)):
                return
    finally:
        ended()


async def execute_async(attempt: Attempt, task: Task[..., Any], ended: Callable[[], None]) -> None:
    """The same for an async function."""
    loop = asyncio.get_running_loop()

    async def work(branch: Branch) -> Any:
        found, args, kwargs = await loop.run_in_executor(attempt.core.executor, _call_of, attempt, task)
        with attempt.lock:
            attempt.main = asyncio.current_task()
            is_told = attempt.control in STOPS
        if is_told and attempt.main is not None:
            # It hears of it where it first waits, so that it can clean up.
            attempt.main.cancel()
        with entered(branch):
            return await found.function(*args, **kwargs)

    async def run(branch: Branch) -> tuple[Any, BaseException | None]:
        main = asyncio.ensure_future(work(branch))
        try:
            await asyncio.wait([main])
            return main.result(), None
        except BaseException as error:
            return None, error

    try:
        while True:
            branch = Branch(attempt, "", None, is_async=True)
            attempt.begin(branch)
            result, raised = await run(branch)
            if await loop.run_in_executor(attempt.core.executor, _end, attempt, branch, result, raised):
                return
    finally:
        ended()


def _end(attempt: Attempt, branch: Branch, result: Any, raised: BaseException | None) -> bool:
    """Ends the attempt; or does not, where its code is to be run again first."""
    try:
        ending = _ending(attempt, branch, result, raised)
    except LeaseLost:
        attempt.is_over = True
        return True
    if ending is None:
        return False
    attempt.end(*ending)
    return True


def _ending(attempt: Attempt, branch: Branch, result: Any, raised: BaseException | None) -> End | None:
    if attempt.control == LOST:
        raise LeaseLost()
    if branch.stopped is not None:
        # Whoever caught what can't be caught has not made it undone.
        raised = branch.stopped
    if raised is None or isinstance(raised, (Suspended, ContinuedAs)):
        branch.settle()
        if attempt.has_news:
            return None
    if raised is None:
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
        return "suspend", _waits(attempt, raised.wait)
    if isinstance(raised, Paused):
        if raised.reason.get("reason") == "requested" and attempt.control == RUN:
            # Resumed before it stood still: another attempt goes on at once.
            return "release", {}
        return "suspend", {"paused": raised.reason}
    if isinstance(raised, ContinuedAs):
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


def _waits(attempt: Attempt, wait: dict[str, Any]) -> dict[str, Any]:
    """What the task waits for; or where a dry run has come to, in whichever branch."""
    found = leaves(wait)
    if not any(name == Replayed.LEAF for name, _ in found):
        return {"for": wait}
    details = {"ahead": attempt.journal.count_unreached(), "at": sorted(leaf["id"] for _, leaf in found)}
    return {"paused": {"by": "", "details": details, "reason": "replayed"}}


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
