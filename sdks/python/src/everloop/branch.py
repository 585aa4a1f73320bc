"""A branch of a task's code: a scope of its own, owned by one logical thread."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from .attempt import ALWAYS, ONLY, STOPS, Attempt
from .canonical import step_idempotency_key
from .errors import Abandoned, EverloopError, Replayed, Stop, Validation

T = TypeVar("T")

_NAME_CHARS = 64
_KEY_CHARS = 500


class Held:
    """A failure that nobody has seen yet. What the code makes of it decides what is recorded.

    If the code goes on, the failure is an outcome. If it ends the try, the step is tried again with the next one.
    """

    def __init__(self, error: BaseException, write: Callable[[bool], None]) -> None:
        self.error = error
        self.write = write


class Branch:
    """Where the code is."""

    def __init__(self, attempt: Attempt, path: str, parent: Branch | None, is_async: bool) -> None:
        self.attempt = attempt
        self.path = path
        self.parent = parent
        self.is_async = is_async
        self.is_own_abandoned = False
        #: Why this branch can't go on. Whoever catches that meets it again at the next step.
        self.stopped: Stop | None = None
        self.held: list[Held] = []
        #: How often each name came so far.
        self.occurrences: dict[str, int] = {}
        self.cleans_up: bool = parent.cleans_up if parent is not None else False
        self.in_race: bool = parent.in_race if parent is not None else False
        #: Whether all of it lies in the past: it has won a race that is recorded.
        self.is_past: bool = parent.is_past if parent is not None else False
        #: The step that is running in it.
        self.busy: str | None = None
        #: Whether it can go on by itself: `live`, `parked` (a timer that is held), `waiting`, `done`.
        self.state = "live"
        #: The branches below that it waits for.
        self.join: list[Branch] | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody needs what this branch does."""
        branch: Branch | None = self
        while branch is not None:
            if branch.is_own_abandoned:
                return True
            branch = branch.parent
        return False

    def stop(self, stop: Stop) -> Stop:
        """Remembers why the branch can't go on."""
        if self.stopped is None:
            self.stopped = stop
        return self.stopped

    def check_needed(self) -> None:
        """Stops what is abandoned: the code has gone on without it, or was begun anew, and whatever it gives is not recorded."""
        if self.is_abandoned:
            raise self.stop(Abandoned())

    def stand_before(self, key: str) -> None:
        """Stands here in a dry run: the journal does not say how this goes on."""
        if self.attempt.replay == ONLY:
            raise self.stop(Replayed(key))

    def stand_behind(self, key: str) -> None:
        """Stands here where everything is replayed after each outcome, as one was just added: until the code is run again.

        A race goes on, for whoever stands can't win it; and so does a clean-up, whose time is short.
        """
        if self.attempt.replay == ALWAYS and not self.in_race and not self.cleans_up:
            raise self.stop(Replayed(key))

    def settle(self, *, as_outcomes: bool = True) -> None:
        """Records the failures that were held: as outcomes, or as what is tried again."""
        held, self.held = self.held, []
        for one in held:
            one.write(as_outcomes)

    def next_key(self, name: str, own: str | None = None) -> str:
        """The identity of the next step of this name."""
        check_name(name)
        attempt = self.attempt
        with attempt.lock:
            self.check_needed()
            if own is None:
                self.occurrences[name] = self.occurrences.get(name, 0) + 1
                own = str(self.occurrences[name])
            key = f"{name}#{own}" if not self.path else f"{self.path}/{name}#{own}"
            attempt.journal.name(key)
        if len(key) > _KEY_CHARS:
            raise Validation(f"the identity {key!r} is longer than {_KEY_CHARS} characters", code="invalid_request")
        return key

    def idempotency_key(self, step: str) -> str:
        """What a step shows to the outside."""
        return step_idempotency_key(self.attempt.journal.keys_of or self.attempt.task, step)

    def child(self, path: str) -> Branch:
        """A branch below this one."""
        return Branch(self.attempt, path, self, self.is_async)

    def is_stuck(self) -> bool:
        """Whether nothing in it can go on by itself."""
        if self.join is not None:
            alive = [branch for branch in self.join if branch.state != "done"]
            return bool(alive) and all(branch.is_stuck() for branch in alive)
        return self.state in ("parked", "waiting")

    def replays(self) -> bool:
        """Whether something is recorded below that the code has not come to: an earlier attempt was here."""
        return self.attempt.journal.has_ahead(self.path)


async def flush(attempt: Attempt, is_async: bool) -> None:
    """Makes everything that was written so far durable."""
    if is_async:
        await attempt.flush_async()
    else:
        attempt.flush()


async def blocking(attempt: Attempt, is_async: bool, work: Callable[[], T]) -> T:
    """Runs what blocks; an async function does not hold up its loop with it."""
    if not is_async:
        return work()
    return await asyncio.get_running_loop().run_in_executor(attempt.core.executor, work)


async def pause(attempt: Attempt, is_async: bool, seconds: float) -> None:
    """Waits a moment, or until the attempt shall stop."""
    if is_async:
        await asyncio.sleep(seconds)
        return
    with attempt.lock:
        attempt.control_changed.wait_for(lambda: attempt.control in STOPS, timeout=seconds)


class Inside:
    """A step that is running: what is called in it is part of it."""

    def __init__(self, branch: Branch, key: str) -> None:
        self.branch = branch
        self.key = key


_branch: contextvars.ContextVar[Branch | None] = contextvars.ContextVar("everloop_branch", default=None)
_inside: contextvars.ContextVar[Inside | None] = contextvars.ContextVar("everloop_step", default=None)


def current(what: str = "this") -> Branch:
    """The branch that the caller runs in."""
    branch = _branch.get()
    if branch is None:
        raise EverloopError(f"{what} is for the code of a task: call it in a function with @task", code="no_task")
    return branch


def outside_of_steps(what: str) -> Branch:
    """The same for what can't stand in a step."""
    branch = current(what)
    inside = _inside.get()
    if inside is not None:
        text = f"{what} can't stand within step {inside.key}: a step is one whole, put it beside the step"
        raise Validation(text, code="invalid_request")
    return branch


def find() -> Branch | None:
    """The branch, where there is one and it is not within a step."""
    return _branch.get() if _inside.get() is None else None


def inside() -> Inside | None:
    """The step that the caller runs in."""
    return _inside.get()


@contextmanager
def entered(branch: Branch | None, step: Inside | None = None) -> Iterator[None]:
    """Runs what follows in a branch, or in a step of it."""
    before = _branch.set(branch)
    step_before = _inside.set(step)
    try:
        yield
    finally:
        _inside.reset(step_before)
        _branch.reset(before)


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Runs what never waits for a loop, because its branch has none."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise EverloopError("this can't be called in an async function: use its namesake in everloop.aio", code="no_task")


def check_name(name: str) -> None:
    """Refuses what can't name a step."""
    if not name or len(name) > _NAME_CHARS or any(sign in "/#" or ord(sign) < 32 for sign in name):
        text = f"{name!r} can't name a step: 1 to {_NAME_CHARS} characters, without / and #"
        raise Validation(text, code="invalid_request")


def sync_only(branch: Branch, what: str) -> None:
    """Refuses what would hold up the loop."""
    if branch.is_async:
        text = f"{what} would hold up the loop of async functions: use `await everloop.aio.{what}(…)`"
        raise Validation(text, code="invalid_request")
