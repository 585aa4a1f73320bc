"""What a task waits for. A wait ends the attempt and frees the worker, unless it is over or short."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .attempt import ONLY, STOPS, moment, now_text, stamp
from .branch import Branch, pause
from .canonical import intent
from .codec import plain
from .errors import Suspended
from .journaled import WARM_WAIT, blocking_resolve, look

#: The kind of the record of a timer that was held until it fired.
SLEEP = "sleep"
_NOTHING = intent(None)


@dataclass(frozen=True)
class Decision:
    """What a person has decided."""

    #: The word: one of the choices, where there were any.
    decision: str
    #: The value that came with it.
    result: Any = None
    #: Why.
    note: str | None = None


async def sleep(branch: Branch, name: str, seconds: float, is_async: bool) -> None:
    """Waits for a time to pass, across restarts."""
    attempt = branch.attempt
    branch.settle()
    key = branch.next_key(name)
    attempt.boundary(branch)
    if key in attempt.journal.fired:
        return
    if key in attempt.journal.steps:
        look(branch, key, SLEEP, _NOTHING)
        return
    # One that was waited for together with other things fires when it was first said to.
    known = attempt.journal.timers.get(key)
    now = datetime.datetime.now(datetime.timezone.utc)
    at = moment(known) if known is not None else now + datetime.timedelta(seconds=seconds)
    left = (at - now).total_seconds()
    if left < WARM_WAIT:
        # What is recorded behind it was made when it was over.
        if left > 0 and not branch.replays() and not branch.is_past:
            branch.stand_before(key)
            await pause(attempt, is_async, left)
        attempt.boundary(branch)
        return
    if branch.in_race and attempt.replay != ONLY and await _held(branch, left, is_async):
        attempt.boundary(branch)
        attempt.completed(key, SLEEP, _NOTHING, None, now_text())
        return
    raise branch.stop(Suspended({"timer": {"at": stamp(at), "id": key}}))


async def _held(branch: Branch, seconds: float, is_async: bool) -> bool:
    """Holds a timer while another branch goes on: whether it has fired."""
    attempt = branch.attempt
    if is_async:
        loop = asyncio.get_running_loop()
        stuck = asyncio.Event()

        def wake_async() -> None:
            loop.call_soon_threadsafe(stuck.set)

        with attempt.lock:
            attempt.parked.add(wake_async)
            branch.state = "parked"
        attempt.look_whether_stuck()
        try:
            await asyncio.wait_for(stuck.wait(), seconds)
            return False
        except asyncio.TimeoutError:
            return True
        finally:
            with attempt.lock:
                attempt.parked.discard(wake_async)
                branch.state = "live"
    woken: list[bool] = []

    def wake() -> None:
        woken.append(True)
        attempt.control_changed.notify_all()

    with attempt.lock:
        attempt.parked.add(wake)
        branch.state = "parked"
        attempt.look_whether_stuck()
        attempt.control_changed.wait_for(
            lambda: woken or branch.is_abandoned or attempt.control in STOPS, timeout=seconds
        )
        attempt.parked.discard(wake)
        branch.state = "live"
    attempt.boundary(branch)
    return not woken


async def wait_for_input(branch: Branch, name: str, is_async: bool) -> Any:
    """Takes the next input of a name."""
    attempt = branch.attempt
    branch.settle()
    key = branch.next_key(name)
    with attempt.lock:
        found = attempt.journal.input(key, name)
    attempt.boundary(branch)
    if found is None:
        raise branch.stop(Suspended({"input": {"id": key, "name": name}}))
    sent, is_new = found
    if is_new:
        attempt.push("task.input_taken", {"id": sent.id, "step": key})
    return await blocking_resolve(attempt, is_async, sent.data)


async def ask(branch: Branch, name: str, prompt: str, choices: Sequence[str], details: Any, is_async: bool) -> Decision:
    """Asks a person and waits for the answer."""
    attempt = branch.attempt
    branch.settle()
    key = branch.next_key(name)
    answer = attempt.journal.decisions.get(key)
    if answer is not None:
        return Decision(answer.decision, await blocking_resolve(attempt, is_async, answer.result), answer.note)
    attempt.boundary(branch)
    if key not in attempt.journal.asked:
        request = {"choices": list(choices), "id": key, "prompt": prompt}
        if details is not None:
            request["details"] = plain(details, "details")
        attempt.push("approval.requested", request)
    raise branch.stop(Suspended({"decision": {"id": key}}))
