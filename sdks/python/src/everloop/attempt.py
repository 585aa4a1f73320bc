"""One attempt: its journal, what it was told, and its events on their way to the server."""

from __future__ import annotations

import asyncio
import copy
import datetime
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import (
    Cancelled,
    EverloopError,
    HandedBack,
    LeaseLost,
    Paused,
    Stop,
    TookTooLong,
    Transient,
    Validation,
)
from .journal import Journal, is_journal

if TYPE_CHECKING:
    from .branch import Branch
    from .core import Core

log = logging.getLogger("everloop")

#: Events of one batch.
BATCH_EVENTS = 500
#: Their bytes, unless it is one that is larger.
BATCH_BYTES = 4 * 1024 * 1024
#: A value of more bytes than this is put aside before it is sent.
ASIDE_BYTES = 4 * 1024 * 1024
VALUE_MEDIA_TYPE = "application/vnd.everloop.value+json"
#: Life of a cancelled attempt, where nothing else is said, in seconds.
GRACE = 10.0
#: How long a record waits for company before it is written by itself, in seconds.
GATHER = 0.005

RUN, PAUSE, CANCEL, TIMEOUT, HAND_BACK, LOST = "run", "pause", "cancel", "timeout", "hand_back", "lost"
#: Who was told one of these does not go on again.
STOPS = frozenset((CANCEL, TIMEOUT, LOST))
#: What the capability is called that a worker offers who knows what follows.
REPLAY = "replay"
#: How an attempt replays, where it isn't as usual: without anything new, or again after every step.
ONLY, ALWAYS = "only", "always"


def now_text() -> str:
    """The wall clock as the wire has it."""
    return stamp(datetime.datetime.now(datetime.timezone.utc))


def stamp(moment: datetime.datetime) -> str:
    """A time as the wire has it."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime.datetime:
    """A time of the wire."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def dumps(value: Any) -> bytes:
    """A value as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


class Attempt:
    """A claimed task, shared by every branch of its code."""

    def __init__(self, core: Core, assignment: dict[str, Any], since: float) -> None:
        self.core = core
        self.task: str = assignment["task"]
        self.lease: str = assignment["lease"]
        self.number: int = assignment["attempt"]
        self.tries: int = assignment["tries"]
        self.spec: dict[str, Any] = assignment["spec"]
        self.kind_version: int | None = assignment.get("kind_version")
        self.policy: dict[str, Any] = self.spec.get("policy") or {}
        ttl = assignment.get("lease_ttl_ms")
        self.lease_life: float | None = None if ttl is None else ttl / 1000
        #: When the lease was last known to be ours, by the monotonic clock.
        self.renewed = since
        #: Held for the journal and everything below that several branches change.
        self.lock = threading.RLock()
        self.replay: str | None = assignment.get("replay")
        self._items = self.core.journal_of(assignment)
        #: Whether something was recorded since the code was begun, and may be replayed.
        self.has_news = False
        self.journal = Journal(self._items)
        self.control = RUN
        self.control_changed = threading.Condition(self.lock)
        self.grace_ends: float | None = None
        self.started = time.monotonic()
        self.is_over = False
        self.main: asyncio.Task[Any] | None = None
        self.root: Branch | None = None
        #: Timers that are held because something else of the task goes on meanwhile.
        self.parked: set[Callable[[], None]] = set()
        self._pending: list[bytes] = []
        self._sending = threading.Lock()
        self._batch = 0
        self._next: tuple[str, bytes, int] | None = None
        self._pushed = 0
        self._written = 0
        self._running_flush: asyncio.Future[None] | None = None
        self._failed: BaseException | None = None
        self.due = 0.0
        self.progress_at = 0.0

    def begin(self, root: Branch) -> None:
        """Lets the code begin in this branch, at its top and over everything that was recorded so far."""
        with self.lock:
            if self.root is not None:
                # Whoever is left of the run before is not needed any more.
                self.root.is_own_abandoned = True
            self.root = root
            self.control_changed.notify_all()
            self.has_news = False
            if self.replay == ALWAYS:
                # The code may change what it is given: the next run is given what was recorded.
                self.journal = Journal(copy.deepcopy(self._items))

    # --- what it was told -------------------------------------------------------------------------------------------------

    def tell(self, control: str, grace: float | None = None) -> None:
        """Says what the attempt shall do from now on."""
        with self.lock:
            if control == self.control or (self.control in STOPS and control != LOST):
                return
            self.control = control
            if control in (CANCEL, TIMEOUT):
                self.grace_ends = time.monotonic() + (GRACE if grace is None else grace)
            self.control_changed.notify_all()
            main = self.main
        if control in STOPS and main is not None:
            main.get_loop().call_soon_threadsafe(main.cancel)

    def is_expired(self) -> bool:
        """Whether the lease can't be counted on any more."""
        return self.lease_life is not None and time.monotonic() - self.renewed >= self.lease_life * 2 / 3

    def stop(self) -> BaseException | None:
        """Why the code has to stop, as an exception."""
        if self.is_over or self.control == LOST or self.is_expired():
            return LeaseLost()
        if self.control == RUN:
            return None
        if self.control == PAUSE:
            return Paused({"by": "", "reason": "requested"})
        if self.control == CANCEL:
            return Cancelled()
        return TookTooLong() if self.control == TIMEOUT else HandedBack()

    def boundary(self, branch: Branch) -> None:
        """What stands between two steps: whoever wants the task to stop is heard here."""
        if branch.stopped is not None:
            raise branch.stopped
        branch.check_needed()
        if self._failed is not None:
            raise self._failed
        stop = self.stop()
        if stop is None or (branch.cleans_up and isinstance(stop, (Cancelled, TookTooLong))):
            return
        raise branch.stop(stop) if isinstance(stop, Stop) and not isinstance(stop, TookTooLong) else stop

    def look_whether_stuck(self) -> None:
        """Lets timers that are held suspend the task once nothing else of it goes on."""
        with self.lock:
            if self.parked and self.root is not None and self.root.is_stuck():
                parked, self.parked = self.parked, set()
                for wake in parked:
                    wake()

    # --- what it writes ---------------------------------------------------------------------------------------------------

    def push(self, kind: str, data: dict[str, Any]) -> None:
        """Adds an event. It is durable once a flush has returned. A dry run says nothing."""
        if self.replay == ONLY:
            return
        written = dumps({"type": kind, "data": data})
        with self.lock:
            if self.replay == ALWAYS and is_journal(kind):
                self._items.append(json.loads(written))
                self.has_news = True
            self._pending.append(written)
            self._pushed += 1
            if self.due == 0.0:
                self.due = time.monotonic() + GATHER
                self.core.flush_later(self)

    def completed(self, step: str, kind: str, intent: str, result: Any, started_at: str) -> None:
        """Adds the outcome of a step."""
        self.push(
            "step.completed",
            {
                "attempt": self.number,
                "intent": intent,
                "kind": kind,
                "result": result,
                "started_at": started_at,
                "step": step,
            },
        )

    def aside(self, value: Any) -> Any:
        """The value, or what names it where it is too large for a request."""
        if not isinstance(value, (str, list, dict)):
            return value
        text = dumps(value)
        if len(text) <= ASIDE_BYTES:
            return value
        return self.core.ask(self, lambda: self.core.put_value(text))

    def flush(self) -> None:
        """Writes everything that was added before; when this returns, it is durable."""
        if self._written >= self._pushed and self._next is None:
            return
        with self._sending:
            while self._next is not None or self._take("events", {}):
                self._send()

    async def flush_async(self) -> None:
        """The same without holding up the loop; branches that come at the same time share a request."""
        wanted = self._pushed
        while self._written < wanted:
            if self._running_flush is None:
                running = asyncio.get_running_loop().run_in_executor(self.core.executor, self._flush_once)
                self._running_flush = running
                running.add_done_callback(self._flushed)
            await asyncio.shield(self._running_flush)

    def _flushed(self, running: asyncio.Future[None]) -> None:
        self._running_flush = None
        if not running.cancelled():
            # Whoever waited for it was told.
            running.exception()

    def _flush_once(self) -> None:
        with self._sending:
            if self._next is not None or self._take("events", {}):
                self._send()

    def _take(self, act: str, end: dict[str, Any]) -> bool:
        with self.lock:
            many, size = 0, 0
            for event in self._pending[:BATCH_EVENTS]:
                size += len(event)
                if many > 0 and size > BATCH_BYTES:
                    break
                many += 1
            batch, self._pending = self._pending[:many], self._pending[many:]
            if not self._pending:
                self.due = 0.0
            if not batch and act == "events":
                return False
            if self._pending:
                act, end = "events", {}
            body = dumps({"worker": self.core.worker_id, "batch": self._batch + 1, **end})
            if batch:
                body = body[:-1] + b',"events":[' + b",".join(batch) + b"]}"
            self._next = (act, body, many)
            return True

    def _send(self) -> str:
        """Sends the next batch until the server takes it or refuses it: which call it was."""
        assert self._next is not None
        act, body, many = self._next
        if self._failed is not None:
            raise self._failed
        pause = 0.02
        while True:
            try:
                self.core.attempt_call(self, act, body)
                break
            except Transient as error:
                log.debug("%s: events could not be written; trying again: %s", self.task, error)
                if self.stop_sending():
                    raise LeaseLost() from error
                time.sleep(pause)
                pause = min(pause * 2, 2.0)
            except EverloopError as error:
                self._next = None
                if error.code in ("lease_lost", "not_found"):
                    self.tell(LOST)
                    raise LeaseLost() from error
                refused = Validation(error.message, code=error.code, details=error.details)
                self._failed = refused
                raise refused from error
        self._next = None
        self._batch += 1
        self._written += many
        return act

    def stop_sending(self) -> bool:
        """Whether nothing that is sent would count any more."""
        return self.control == LOST or self.is_expired() or self.core.transport.is_closed

    def end(self, act: str, end: dict[str, Any]) -> None:
        """Ends the attempt, in one request with what was added last. Only the first end counts."""
        with self.lock:
            if self.is_over:
                return
            self.is_over = True
        try:
            self.core.frames.drain(self)
            with self._sending:
                self._finish(act, end)
        except LeaseLost:
            log.debug("%s: the end of attempt %s was not taken", self.task, self.number)
        except Validation as error:
            # What could not be written is the end of the try, if that can be: without what else might be refused.
            with self.lock:
                self._pending.clear()
            self._failed = None
            wire = {"class": "validation", "code": error.code, "message": error.message}
            with self._sending:
                try:
                    self._finish("fail", {"error": wire})
                except (Stop, EverloopError) as second:
                    log.warning("%s: the end of attempt %s was refused: %s", self.task, self.number, second)

    def _finish(self, act: str, end: dict[str, Any]) -> None:
        while True:
            if self._next is None:
                self._take(act, end)
            if self._send() != "events":
                return

    def is_due(self, now: float) -> bool:
        """Whether something has waited for company long enough."""
        return not self.is_over and self.due != 0.0 and self.due <= now
