"""Several things at once: all of them, or whichever is first."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

from .attempt import now_text
from .branch import Branch, Held, entered, flush
from .canonical import intent as intent_of
from .errors import Abandoned, Cancelled, HandedBack, Paused, Stop, Suspended, TookTooLong, Validation
from .journaled import look

#: The kind of the record that says who has won.
RACE = "race"
#: Branches that run at the same time, where nothing else is said.
CONCURRENCY = 64

Work = Callable[[], Any]
#: `ok` with a value, `failed` or `stop` with an exception.
Outcome = tuple[str, Any]


class Join:
    """Branches that run at the same time, and what became of them."""

    def __init__(self, branch: Branch, scopes: list[str], is_race: bool) -> None:
        self.branch = branch
        self.is_race = is_race
        self.branches = [branch.child(scope) for scope in scopes]
        for child in self.branches:
            child.in_race = child.in_race or is_race
        self.outcomes: dict[int, Outcome] = {}
        #: The branch that decides how it all ends, before the others have ended.
        self.decisive: int | None = None

    def begin(self) -> None:
        """Says that the branches run."""
        with self.branch.attempt.lock:
            self.branch.join = self.branches

    def ended(self, n: int, outcome: Outcome) -> bool:
        """A branch has ended: whether that ends the whole."""
        attempt, child = self.branch.attempt, self.branches[n]
        word, value = outcome
        with attempt.lock:
            is_wait = word == "stop" and isinstance(value, Suspended)
            child.state = "waiting" if is_wait else "done"
            if self.decisive is not None:
                return True
            self.outcomes[n] = outcome
            # Who gives way leaves the others the time to come to their next step: what they do is worth keeping.
            gives_way = word == "stop" and (is_wait or _is_asked(value))
            if not gives_way and (word != "ok" or self.is_race):
                self.decisive = n
                for place, other in enumerate(self.branches):
                    other.is_own_abandoned = place != n
                attempt.control_changed.notify_all()
        attempt.look_whether_stuck()
        return self.decisive is not None or len(self.outcomes) == len(self.branches)

    def leave(self) -> None:
        """The code goes on behind the branches."""
        with self.branch.attempt.lock:
            self.branch.join = None
        if self.decisive is not None or len(self.outcomes) < len(self.branches):
            self.abandon_all_but(self.decisive)

    def abandon_all_but(self, winner: int | None) -> None:
        """The code does not come to the other branches any more: what is recorded of them counts as reached."""
        attempt = self.branch.attempt
        with attempt.lock:
            for n, other in enumerate(self.branches):
                if n != winner:
                    other.is_own_abandoned = True
                    attempt.journal.abandon(other.path)

    def conclude(self) -> tuple[int | None, list[Any]]:
        """The branch that was decisive, and the values of all, or of that one; raises what has to be raised."""
        branch = self.branch
        if self.decisive is not None:
            child = self.branches[self.decisive]
            word, value = self.outcomes[self.decisive]
            branch.held += child.held
            child.held = []
            if word == "stop":
                raise branch.stop(value) if isinstance(value, Stop) and not isinstance(value, TookTooLong) else value
            if word == "failed" and not self.is_race:
                raise value
            return self.decisive, [value]
        asked = [value for word, value in self.outcomes.values() if word == "stop" and _is_asked(value)]
        if asked:
            raise branch.stop(asked[0])
        waits = [value.wait for _, (word, value) in sorted(self.outcomes.items()) if word == "stop"]
        if waits:
            raise branch.stop(Suspended(waits[0] if len(waits) == 1 else {"any": waits}))
        for child in self.branches:
            child.settle()
        return None, [self.outcomes[n][1] for n in range(len(self.branches))]


def _is_asked(stop: BaseException) -> bool:
    """Whether somebody wants the task to stop at its next step, and to go on later."""
    if isinstance(stop, Paused):
        return bool(stop.reason.get("reason") == "requested")
    return isinstance(stop, HandedBack)


def _outcome_of(branch: Branch, error: BaseException) -> Outcome:
    if isinstance(error, (Stop, Cancelled)):
        return "stop", error
    if isinstance(error, asyncio.CancelledError):
        return "stop", branch.attempt.stop() or Abandoned()
    return "failed", error


def _ended_well(branch: Branch, value: Any) -> Outcome:
    # Whoever caught what can't be caught has not made it undone.
    return ("ok", value) if branch.stopped is None else ("stop", branch.stopped)


def _run(branch: Branch, work: Work) -> Outcome:
    try:
        with entered(branch):
            value = work()
        return _ended_well(branch, value)
    except BaseException as error:
        return _outcome_of(branch, error)


async def _run_async(branch: Branch, work: Work) -> Outcome:
    try:
        with entered(branch):
            value = await work()
        return _ended_well(branch, value)
    except BaseException as error:
        return _outcome_of(branch, error)


def _threads(join: Join, works: list[Work], limit: int) -> None:
    """Runs the branches in threads, until all have ended or one was decisive."""
    over = threading.Event()
    numbers = iter(range(len(works)))
    lock = threading.Lock()

    def run() -> None:
        while not over.is_set():
            with lock:
                n = next(numbers, None)
            if n is None:
                return
            outcome = contextvars.copy_context().run(_run, join.branches[n], works[n])
            if join.ended(n, outcome):
                over.set()

    join.begin()
    context = contextvars.copy_context()
    for n in range(min(limit, len(works))):
        own = context.copy()
        threading.Thread(target=own.run, args=(run,), name=f"{join.branches[n].path}", daemon=True).start()
    over.wait()
    join.leave()


async def _tasks(join: Join, works: list[Work], limit: int) -> None:
    """Runs the branches as asyncio tasks, until all have ended or one was decisive."""
    over = asyncio.Event()
    room = asyncio.Semaphore(limit)

    async def run(n: int) -> None:
        outcome: Outcome
        try:
            async with room:
                outcome = await _run_async(join.branches[n], works[n])
        except BaseException as error:
            outcome = _outcome_of(join.branches[n], error)
        if join.ended(n, outcome):
            over.set()

    join.begin()
    tasks = [asyncio.create_task(run(n)) for n in range(len(works))]
    try:
        await over.wait()
    finally:
        join.leave()
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


async def _all(
    branch: Branch, key: str, places: list[str], works: list[Work], limit: int | None, is_async: bool
) -> list[Any]:
    branch.attempt.boundary(branch)
    if len(set(places)) != len(places):
        raise Validation(f"{key}: two branches have the same key", code="invalid_request")
    if not works:
        return []
    join = Join(branch, [_path(branch, f"{key}[{place}]") for place in places], is_race=False)
    if is_async:
        await _tasks(join, works, limit or CONCURRENCY)
    else:
        _threads(join, works, limit or CONCURRENCY)
    return join.conclude()[1]


def _path(branch: Branch, name: str) -> str:
    return f"{branch.path}/{name}" if branch.path else name


async def parallel(branch: Branch, works: list[Work], name: str | None, limit: int | None, is_async: bool) -> list[Any]:
    """Runs all of them, each in a scope of its own."""
    branch.settle()
    key = _local(branch, branch.next_key(name or "parallel"))
    return await _all(branch, key, [str(n) for n in range(len(works))], works, limit, is_async)


async def map_over(
    branch: Branch,
    work: Callable[[Any], Any],
    items: list[Any],
    key_of: Callable[[Any], str] | None,
    name: str | None,
    limit: int | None,
    is_async: bool,
) -> list[Any]:
    """Runs it for every item, each in a scope of its own."""
    branch.settle()
    key = _local(branch, branch.next_key(name or "map"))
    places = [str(n) if key_of is None else str(key_of(item)) for n, item in enumerate(items)]

    def of(item: Any) -> Work:
        return lambda: work(item)

    return await _all(branch, key, places, [of(item) for item in items], limit, is_async)


def _local(branch: Branch, key: str) -> str:
    """A key as its own branch names it."""
    return key[len(branch.path) + 1 :] if branch.path else key


async def race(branch: Branch, works: list[Work], name: str, is_async: bool) -> tuple[int, Any]:
    """Runs all of them until one has ended: its number, and what it gave."""
    attempt = branch.attempt
    branch.settle()
    key = branch.next_key(name)
    if not works:
        raise Validation(f"race {key} has no branches", code="invalid_request")
    attempt.boundary(branch)
    intent = intent_of(len(works))
    recorded = look(branch, key, RACE, intent)
    join = Join(branch, [f"{key}[{n}]" for n in range(len(works))], is_race=True)
    if recorded is not None and recorded.is_done:
        winner = int(recorded.result)
        join.abandon_all_but(winner)
        join.branches[winner].is_past = True
        join.begin()
        run = _run_async(join.branches[winner], works[winner]) if is_async else None
        outcome = await run if run is not None else _run(join.branches[winner], works[winner])
        join.ended(winner, outcome)
        if join.outcomes[winner][0] == "stop":
            join.decisive = winner
        join.leave()
        _, values = join.conclude()
    else:
        if is_async:
            await _tasks(join, works, len(works))
        else:
            _threads(join, works, len(works))
        decisive, values = join.conclude()
        branch.stand_before(key)
        assert decisive is not None
        winner = decisive

        def write(is_outcome: bool = True) -> None:
            if is_outcome:
                attempt.completed(key, RACE, intent, winner, now_text())

        if join.outcomes[winner][0] == "failed":
            branch.held.append(Held(values[0], write))
        else:
            branch.settle()
            write()
            await flush(attempt, is_async)
            branch.stand_behind(key)
    if join.outcomes[winner][0] == "failed":
        raise values[0]
    return winner, values[0]
