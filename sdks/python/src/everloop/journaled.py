"""One step as it is run: looked up in the journal, tried, tried again, recorded; or in doubt."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import inspect
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .attempt import CANCEL, TIMEOUT, VALUE_MEDIA_TYPE, Attempt, moment, now_text, stamp
from .branch import (
    Branch,
    Held,
    Inside,
    blocking,
    entered,
    flush,
    pause,
)
from .canonical import intent as intent_of
from .codec import NotJson, plain, read
from .errors import (
    Cancelled,
    Paused,
    Stop,
    Suspended,
    TookTooLong,
    Transient,
    Validation,
    from_wire,
    to_wire,
)
from .journal import Recorded

OnUnknown = Literal["rerun", "verify", "ask", "fail"]

#: Waits shorter than this are held instead of suspending the task, in seconds.
WARM_WAIT = 2.0
#: What a person may answer about a step that was cut off.
IN_DOUBT_CHOICES = ["happened", "rerun", "fail"]


@dataclass(frozen=True)
class Happened:
    """What a `verify` function says of a step that was cut off: it happened, with this result."""

    result: Any = None


class _Verdict:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: It did not happen, and won't: it may run again.
NOT_HAPPENED = _Verdict("NOT_HAPPENED")
#: Nobody knows: a person is asked.
UNKNOWN = _Verdict("UNKNOWN")


@dataclass(frozen=True)
class Options:
    """How a step is run."""

    name: str
    kind: str = "step"
    #: Further tries after the first one.
    retries: int = 0
    #: The largest delay before the second try, doubling from there, in seconds.
    backoff: float = 1.0
    max_backoff: float = 60.0
    #: The longest time that one try may take, in seconds.
    timeout: float | None = None
    on_unknown: OnUnknown = "rerun"
    verify: Callable[..., Any] | None = None
    #: The caller's own key in place of the number of the occurrence.
    key: str | None = None


def resolve(attempt: Attempt, value: Any) -> Any:
    """The value itself, where it was too large for its event."""
    name = value.get("$blob") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(name, dict) or name.get("media_type") != VALUE_MEDIA_TYPE:
        return value
    return attempt.core.blob_value(str(name["id"]))


async def run_step(
    branch: Branch,
    options: Options,
    key: str,
    arguments: Any,
    work: Callable[[], Any],
    *,
    is_async: bool,
    hint: Any = None,
    verify: Callable[[], Any] | None = None,
) -> Any:
    """Runs the step, or gives what was recorded of it. The outcomes of all steps before it are durable before it begins."""
    attempt = branch.attempt
    branch.settle()
    if branch.busy is not None and options.key is None:
        text = (
            f"step {key} begins while {branch.busy} is running: what runs at the same time needs scopes of its own "
            "(`aio.parallel`, `aio.map`), or steps with a `key` of their own"
        )
        raise Validation(text, code="nondeterminism")
    if branch.stopped is not None:
        raise branch.stopped
    branch.check_needed()
    intent = intent_of(arguments)
    recorded = look(branch, key, options.kind, intent)
    tries = 0
    if recorded is not None:
        if recorded.error is not None:
            raise from_wire(recorded.error)
        if recorded.is_done:
            return read(await blocking_resolve(attempt, is_async, recorded.result), hint)
    branch.stand_before(key)
    if recorded is not None:
        if recorded.on_unknown == "rerun":
            tries = recorded.failed_tries
        else:
            found = await _in_doubt(branch, options, key, recorded, verify, is_async)
            if found is not None:
                result = plain(found.result)
                attempt.completed(key, options.kind, intent, result, now_text())
                branch.stand_behind(key)
                return read(await blocking_resolve(attempt, is_async, result), hint)
    branch.busy = key if options.key is None else branch.busy
    try:
        return await _live(branch, options, key, intent, recorded, tries, work, is_async, hint)
    finally:
        if branch.busy == key:
            branch.busy = None


async def blocking_resolve(attempt: Attempt, is_async: bool, value: Any) -> Any:
    """The value itself, asked for only where it lies elsewhere."""
    if isinstance(value, dict) and "$blob" in value:
        return await blocking(attempt, is_async, lambda: resolve(attempt, value))
    return value


async def aside(attempt: Attempt, is_async: bool, value: Any) -> Any:
    """The value, or what names it where it is too large for a request."""
    if isinstance(value, (str, list, dict)):
        return (
            await blocking(attempt, is_async, lambda: attempt.aside(value))
            if len(value) > 1000
            else attempt.aside(value)
        )
    return value


def look(branch: Branch, key: str, kind: str, intent: str) -> Recorded | None:
    """What is recorded of a step."""
    with branch.attempt.lock:
        branch.check_needed()
        try:
            return branch.attempt.journal.find(key, kind, intent)
        except Paused as paused:
            raise branch.stop(paused) from None


async def _live(
    branch: Branch,
    options: Options,
    key: str,
    intent: str,
    recorded: Recorded | None,
    tries: int,
    work: Callable[[], Any],
    is_async: bool,
    hint: Any,
) -> Any:
    attempt = branch.attempt
    attempt.boundary(branch)
    with attempt.lock:
        ahead = attempt.journal.passed_over(branch.path)
    if ahead is not None:
        text = f"step {key} is new and stands before recorded step {ahead}"
        attempt.push("log", {"level": "warn", "offset": 0, "source": "everloop", "text": text})
    if recorded is not None and recorded.next_at is not None and tries <= options.retries:
        await _until_next_try(branch, key, tries, moment(recorded.next_at), is_async)
    policy = attempt.policy.get("on_unknown") or options.on_unknown
    last = max(options.retries, tries)
    while True:
        attempt.boundary(branch)
        started_at = now_text()
        if policy != "rerun":
            started = {"at": started_at, "intent": intent, "kind": options.kind, "on_unknown": policy, "step": key}
            attempt.push("step.started", started)
        await flush(attempt, is_async)
        # Whoever was heard while waiting for the disk is heard before anything happens.
        attempt.boundary(branch)
        try:
            with entered(branch, Inside(branch, key)):
                value = await _call(work, options, key, is_async)
            result = plain(value, "result")
        except (Stop, KeyboardInterrupt):
            raise
        except asyncio.CancelledError:
            raise _why_cancelled(attempt) from None
        except BaseException as raised:
            if isinstance(raised, NotJson):
                raised.message = f"step {key}: {raised.message}"
            tries += 1
            then = _failed(branch, options, key, intent, raised, tries, tries <= last)
            if isinstance(then, BaseException):
                raise then from raised
            await _until_next_try(branch, key, tries, then, is_async)
            continue
        branch.check_needed()
        kept = await aside(attempt, is_async, result)
        attempt.completed(key, options.kind, intent, kept, started_at)
        if options.key is None:
            # Beside one with a key of its own others may be running in the branch, which are not to be left alone.
            branch.stand_behind(key)
        return read(result, hint)


def _why_cancelled(attempt: Attempt) -> BaseException:
    if attempt.control == CANCEL:
        return Cancelled()
    return TookTooLong() if attempt.control == TIMEOUT else asyncio.CancelledError()


async def _call(work: Callable[[], Any], options: Options, key: str, is_async: bool) -> Any:
    if is_async:
        if options.timeout is None:
            return await work()
        try:
            return await asyncio.wait_for(work(), options.timeout)
        except asyncio.TimeoutError:
            raise _too_long(key, options) from None
    value = work() if options.timeout is None else _in_time(work, options, key)
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise Validation(f"step {key}: pass an `async def` function, so that it can be awaited", code="invalid_request")
    return value


def _too_long(key: str, options: Options) -> Transient:
    return Transient(f"step {key} took longer than {options.timeout} s", code="step_timeout")


def _in_time(work: Callable[[], Any], options: Options, key: str) -> Any:
    """Runs it in a thread of its own: a function can't be stopped from outside, but left alone."""
    ended: list[tuple[bool, Any]] = []
    done = threading.Event()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            ended.append((True, context.run(work)))
        except BaseException as error:
            ended.append((False, error))
        done.set()

    threading.Thread(target=run, name=f"everloop-step-{key}", daemon=True).start()
    if not done.wait(options.timeout):
        raise _too_long(key, options)
    is_value, found = ended[0]
    if is_value:
        return found
    raise found


def _failed(
    branch: Branch, options: Options, key: str, intent: str, raised: BaseException, tries: int, may_retry: bool
) -> BaseException | datetime.datetime:
    """Records or holds a failure: the error to raise, or when the step tries again by itself."""
    branch.check_needed()
    attempt = branch.attempt
    try:
        wire = plain(to_wire(raised))
    except NotJson:
        wire = {**to_wire(raised), "details": repr(getattr(raised, "details", None))}
    record = {"error": wire, "intent": intent, "kind": options.kind, "step": key, "try": tries}
    is_retried = wire["class"] in ("transient", "internal") and not isinstance(raised, NotJson)
    if is_retried and may_retry:
        ceiling = min(options.backoff * 2 ** (tries - 1), options.max_backoff)
        at = datetime.datetime.now(datetime.timezone.utc)
        at += datetime.timedelta(seconds=random.uniform(0, ceiling))
        attempt.push("step.failed", {**record, "next_at": stamp(at)})
        return at
    error = from_wire(wire)

    def write(is_outcome: bool) -> None:
        # What ends the try is run again with the next one, or with a redrive; whether there is one, others say.
        again = {} if is_outcome else {"next_at": now_text()}
        attempt.push("step.failed", {**record, **again})

    branch.held.append(Held(error, write))
    return error


async def _until_next_try(branch: Branch, key: str, tries: int, at: datetime.datetime, is_async: bool) -> None:
    attempt = branch.attempt
    timer = f"{key}/try-{tries + 1}"
    if timer in attempt.journal.fired:
        return
    left = (at - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    if left >= WARM_WAIT:
        raise branch.stop(Suspended({"timer": {"at": stamp(at), "id": timer}}))
    if left > 0:
        await flush(attempt, is_async)
        await pause(attempt, is_async, left)


async def _in_doubt(
    branch: Branch,
    options: Options,
    key: str,
    recorded: Recorded,
    verify: Callable[[], Any] | None,
    is_async: bool,
) -> Happened | None:
    """A step that was started and never recorded: its outcome if somebody knows it, nothing if it shall run again."""
    attempt, policy = branch.attempt, recorded.on_unknown
    # An answer is about the start that it was asked for: one that is cut off again is asked about again.
    question = key if recorded.starts <= 1 else f"{key}/start-{recorded.starts}"
    unknown = Validation(f"step {key} was cut off, and nobody knows whether it happened", code="outcome_unknown")
    if policy == "fail":
        raise unknown
    if policy == "verify" and question not in attempt.journal.asked and verify is not None:
        attempt.boundary(branch)
        with entered(branch, Inside(branch, key)):
            verdict = verify()
            if inspect.isawaitable(verdict):
                verdict = await verdict
        if isinstance(verdict, Happened):
            return verdict
        if verdict is NOT_HAPPENED:
            return None
        if verdict is not UNKNOWN:
            raise Validation(
                f"step {key}: `verify` answers Happened(result), NOT_HAPPENED or UNKNOWN, and not {verdict!r}",
                code="invalid_request",
            )
    answer = attempt.journal.decisions.get(question)
    if answer is None:
        if question not in attempt.journal.asked:
            prompt = f"Step {options.name} was started and cut off. Did it happen?"
            request = {"choices": IN_DOUBT_CHOICES, "id": question, "prompt": prompt}
            attempt.push("approval.requested", request)
        raise branch.stop(Suspended({"decision": {"id": question}}))
    if answer.decision == "happened":
        return Happened(await blocking_resolve(attempt, is_async, answer.result))
    if answer.decision == "rerun":
        return None
    raise unknown
